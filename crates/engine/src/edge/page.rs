//! Pages of lists: how many entries, and where they begin.

use stint_api::{LIST_DEFAULT, LIST_LIMIT, Problem};

/// How many entries a page holds at most.
pub(crate) fn limit(limit: Option<u32>) -> Result<usize, Problem> {
    match limit.unwrap_or(LIST_DEFAULT) {
        limit @ 1..=LIST_LIMIT => Ok(limit as usize),
        _ => Err(Problem::invalid("limit", format!("expected 1 to {LIST_LIMIT}"))),
    }
}

/// A cursor that no reply of this list has had.
pub(crate) fn bad_cursor() -> Problem {
    Problem::invalid("cursor", "expected the next_cursor of a reply to the same request, or none")
        .remedy("Leave the cursor out to begin with the first page.")
}

/// The two numbers of a cursor.
pub(crate) fn pair<A: std::str::FromStr, B: std::str::FromStr>(text: &str) -> Option<(A, B)> {
    let (first, second) = text.split_once('-')?;
    // A sign is no part of a number here.
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (number(first) && number(second)).then(|| Some((first.parse().ok()?, second.parse().ok()?)))?
}
