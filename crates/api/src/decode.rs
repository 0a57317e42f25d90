//! From a body to a request, or to a problem that names the field.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::{Code, Problem};

/// Reads a JSON body. A body that can't be read is read a second time, slowly, to say where it is wrong.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).or_else(|_| explain(body))
}

fn explain<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize::<_, T>(&mut deserializer);
    let error = match read {
        Ok(value) => match deserializer.end() {
            Ok(()) => return Ok(value),
            Err(error) => return Err(malformed(body, &error)),
        },
        Err(error) => error,
    };
    let path = error.path().to_string();
    let path = if path == "." { String::new() } else { path };
    let error = error.into_inner();
    if error.classify() != Category::Data {
        return Err(malformed(body, &error));
    }
    Err(wrong_field(&path, &error.to_string()))
}

fn malformed(body: &[u8], error: &serde_json::Error) -> Problem {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Problem::new(Code::MalformedJson, "the body is empty");
    }
    Problem::new(Code::MalformedJson, format!("the body is not JSON: {error}"))
}

/// Turns what serde says into a code and a field. The texts are serde's own and checked by tests.
fn wrong_field(path: &str, message: &str) -> Problem {
    let said = message.rsplit_once(" at line ").map_or(message, |(said, _)| said);
    if let Some((name, expected)) = quoted(said, "unknown field `") {
        let detail = match expected.strip_prefix(", expected ") {
            Some(known) => format!("the field `{name}` is not known here, expected {known}"),
            None => format!("the field `{name}` is not known here"),
        };
        return Problem::new(Code::UnknownField, detail).at(below(path, name));
    }
    if let Some((name, _)) = quoted(said, "missing field `") {
        return Problem::invalid(below(path, name), format!("the field `{name}` is missing"))
            .remedy(format!("Add the field `{name}`."));
    }
    if let Some((name, _)) = quoted(said, "duplicate field `") {
        return Problem::invalid(below(path, name), format!("the field `{name}` stands there twice"))
            .remedy(format!("Keep one `{name}`."));
    }
    if let Some((name, rest)) = quoted(said, "at `") {
        return Problem::invalid(below(path, name), rest.trim_start_matches(": ").to_owned());
    }
    let said = said
        .split_once("expected struct ")
        .map_or_else(|| said.to_owned(), |(found, _)| format!("{found}expected an object"));
    let problem = Problem::new(Code::InvalidField, said);
    if path.is_empty() { Problem { code: Code::InvalidRequest, ..problem } } else { problem.at(path) }
}

fn quoted<'a>(said: &'a str, start: &str) -> Option<(&'a str, &'a str)> {
    said.strip_prefix(start)?.split_once('`')
}

fn below(path: &str, name: &str) -> String {
    // The path of an unknown field already ends in its name.
    let is_there = path.strip_suffix(name).is_some_and(|outer| outer.is_empty() || outer.ends_with('.'));
    if is_there {
        path.to_owned()
    } else if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// For a field where `null` and "absent" differ: present is `Some`, whatever it holds.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}
