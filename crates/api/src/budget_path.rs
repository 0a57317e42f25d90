//! Paths of budgets.

use crate::check::is_dots;
use crate::{PATH_LEVELS, PATH_SEGMENT_CHARS, Problem};

/// Checks the path of a budget: segments joined by `/`, of which the first names the tree.
pub fn check_path(field: &str, path: &str) -> Result<(), Problem> {
    let is_segment = |segment: &str| {
        (1..=PATH_SEGMENT_CHARS).contains(&segment.len())
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
            && !is_dots(segment)
    };
    if path.split('/').count() <= PATH_LEVELS && path.split('/').all(is_segment) {
        return Ok(());
    }
    let detail = format!(
        "expected 1 to {PATH_LEVELS} segments joined by /, each of 1 to {PATH_SEGMENT_CHARS} characters of A-Z a-z 0-9 . _ - and none of them `.` or `..`"
    );
    Err(Problem::invalid(field, detail))
}

/// The first segment of a path.
pub(crate) fn tree(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}
