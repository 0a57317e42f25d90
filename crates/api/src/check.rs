//! The rules that many fields share. Each takes the field's name, for the problem it may answer.

use std::collections::BTreeMap;

use crate::{
    DURATION_MS, NAME_CHARS, PREDICATE_BYTES, PREDICATES, Problem, SESSION_CHARS, STEP_KEY_CHARS,
    TAG_VALUE_BYTES, TAGS, WAIT_MS,
};

/// Checks a namespace that comes from a query instead of a body.
pub fn check_namespace(namespace: &str) -> Result<(), Problem> {
    name("namespace", namespace)
}

pub(crate) fn name(field: &str, text: &str) -> Result<(), Problem> {
    bounded_name(field, text, NAME_CHARS)
}

pub(crate) fn optional_name(field: &str, text: Option<&String>) -> Result<(), Problem> {
    text.map_or(Ok(()), |text| name(field, text))
}

pub(crate) fn step_key(field: &str, text: &str) -> Result<(), Problem> {
    bounded_name(field, text, STEP_KEY_CHARS)
}

pub(crate) fn session(field: &str, text: &str) -> Result<(), Problem> {
    if is_session(text) {
        return Ok(());
    }
    Err(Problem::invalid(field, format!("expected 1 to {SESSION_CHARS} characters of A-Z a-z 0-9 _ -")))
}

pub(crate) fn is_session(text: &str) -> bool {
    (1..=SESSION_CHARS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Free text for people or for comparing: not empty, bounded, without control characters.
pub(crate) fn text(field: &str, text: &str, bytes: usize) -> Result<(), Problem> {
    if !text.is_empty() && text.len() <= bytes && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Problem::invalid(field, format!("expected 1 to {bytes} bytes of text without control characters")))
}

/// Text that may be empty and of any characters.
pub(crate) fn at_most(field: &str, text: &str, bytes: usize) -> Result<(), Problem> {
    if text.len() <= bytes {
        return Ok(());
    }
    Err(Problem::invalid(field, format!("{} bytes are too long, the limit is {bytes} bytes", text.len())))
}

pub(crate) fn range<T: PartialOrd + std::fmt::Display>(
    field: &str,
    value: T,
    least: T,
    most: T,
) -> Result<(), Problem> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(Problem::invalid(field, format!("{value} is out of range, expected {least} to {most}")))
}

pub(crate) fn duration(field: &str, ms: Option<u64>, least: u64) -> Result<(), Problem> {
    ms.map_or(Ok(()), |ms| range(field, ms, least, DURATION_MS))
}

pub(crate) fn wait(ms: u64) -> Result<(), Problem> {
    range("wait_ms", ms, 0, WAIT_MS)
}

pub(crate) fn count(field: &str, len: usize, most: usize) -> Result<(), Problem> {
    if len <= most {
        return Ok(());
    }
    Err(Problem::invalid(field, format!("{len} entries are too many, the limit is {most}")))
}

/// Tags: their number, keys and values.
pub(crate) fn tags(field: &str, tags: &BTreeMap<String, String>) -> Result<(), Problem> {
    count(field, tags.len(), TAGS)?;
    tags.iter().try_for_each(|(key, value)| {
        name(field, key)?;
        at_most("", value, TAG_VALUE_BYTES).map_err(|problem| problem.at(format!("{field}.{key}")))
    })
}

/// A list of predicates; core parses each one.
pub(crate) fn predicates(field: &str, list: &[String]) -> Result<(), Problem> {
    count(field, list.len(), PREDICATES)?;
    each(field, list, |at, predicate| text(at, predicate, PREDICATE_BYTES))
}

/// `gpu` or `mem_gb=64`, of what predicates can compare with.
pub(crate) fn capability(field: &str, text: &str) -> Result<(), Problem> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim())),
        None => (text.trim(), None),
    };
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(is_name_byte);
    if text.len() <= PREDICATE_BYTES && is_word(name) && value.is_none_or(is_word) {
        return Ok(());
    }
    Err(Problem::invalid(field, "expected `name` or `name=value` in characters of A-Z a-z 0-9 . _ : / @ -"))
}

/// Checks every entry; the index is only written out for the one that is wrong.
pub(crate) fn each<T>(
    field: &str,
    list: &[T],
    check: impl Fn(&str, &T) -> Result<(), Problem>,
) -> Result<(), Problem> {
    for (index, entry) in list.iter().enumerate() {
        check("", entry).map_err(|mut problem| {
            if problem.field.as_deref() == Some("") {
                problem.field = None;
            }
            problem.within(format_args!("{field}[{index}]"))
        })?;
    }
    Ok(())
}

/// Whether clients and proxies would take a piece of a path out of an address instead of sending it: what has such a name
/// can't be reached by it, and another thing is.
pub(crate) fn is_dots(text: &str) -> bool {
    matches!(text, "." | "..")
}

fn bounded_name(field: &str, text: &str, chars: usize) -> Result<(), Problem> {
    if is_dots(text) {
        return Err(Problem::invalid(field, format!("`{text}` is no name: in an address it means a folder")));
    }
    if (1..=chars).contains(&text.len()) && text.bytes().all(is_name_byte) {
        return Ok(());
    }
    Err(Problem::invalid(field, format!("expected 1 to {chars} characters of A-Z a-z 0-9 . _ : / @ -")))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'/' | b'@' | b'-')
}
