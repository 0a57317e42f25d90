//! What a program's end means: an output, or a failure.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::json;
use serde_json::value::RawValue;
use stint::Failure;
use stint::api::{ERROR_TYPE_BYTES, PAYLOAD_BYTES, Payload};

use super::OutputForm;
use super::channel::Told;

/// Reads what a program said on standard output.
pub(super) fn output(bytes: Vec<u8>, form: OutputForm, content_type: &str) -> Result<Payload, Failure> {
    if bytes.len() > PAYLOAD_BYTES {
        let message = format!("standard output is longer than {PAYLOAD_BYTES} bytes");
        return Err(Failure::new("output_too_large", message).no_retry());
    }
    let json = |bytes: &[u8]| serde_json::from_slice::<Box<RawValue>>(bytes);
    match form {
        OutputForm::Bytes => Ok(Payload::bytes(bytes, content_type)),
        OutputForm::Json => match json(&bytes) {
            Ok(json) => Ok(Payload::Json(json)),
            Err(error) => {
                let message = format!("standard output is not JSON: {error}");
                Err(Failure::new("invalid_output", message).no_retry())
            }
        },
        OutputForm::Text => Ok(text(&String::from_utf8_lossy(&bytes))),
        OutputForm::Auto => match (json(&bytes), String::from_utf8(bytes)) {
            (Ok(json), _) => Ok(Payload::Json(json)),
            (_, Ok(said)) if said.trim().is_empty() => Ok(Payload::null()),
            (_, Ok(said)) => Ok(text(&said)),
            (_, Err(error)) => Ok(Payload::bytes(error.into_bytes(), content_type)),
        },
    }
}

/// A JSON string without the end of its last line.
fn text(said: &str) -> Payload {
    let said = said.strip_suffix('\n').unwrap_or(said);
    Payload::json(said.strip_suffix('\r').unwrap_or(said)).unwrap_or_default()
}

/// What to report of a program that ended with anything but exit code 0.
pub(super) fn failure(
    status: ExitStatus,
    last_words: &str,
    told: Option<Told>,
    non_retryable: &[i32],
) -> Failure {
    let code = status.code();
    let (fallback, details, how) = match (code, status.signal()) {
        (Some(code), _) => (
            format!("exit_{code}"),
            json!({"exit_code": code}),
            format!("the program ended with exit code {code}"),
        ),
        (None, Some(signal)) => {
            let how = format!("the program was ended by signal {signal}");
            ("signal".to_owned(), json!({"signal": signal}), how)
        }
        (None, None) => ("exit".to_owned(), json!({}), "the program ended in an unknown way".to_owned()),
    };
    let is_final = code.is_some_and(|code| non_retryable.contains(&code));
    let mut failure = match told {
        Some(told) => {
            let mut details = details;
            if let Some(more) = told.details {
                details["details"] = more;
            }
            let mut failure = Failure::new(told.kind, told.message.unwrap_or(how)).details(details);
            if told.retry == Some(false) {
                failure = failure.no_retry();
            }
            match told.retry_after_ms {
                Some(ms) => failure.retry_after(Duration::from_millis(ms)),
                None => failure,
            }
        }
        None => {
            let (kind, message) = type_and_message(last_words);
            let message = if message.is_empty() { how } else { message.to_owned() };
            Failure::new(kind.map_or(fallback, str::to_owned), message).details(details)
        }
    };
    if is_final {
        failure = failure.no_retry();
    }
    failure
}

/// `rate_limited: try later` is type and message; anything else is a message.
fn type_and_message(line: &str) -> (Option<&str>, &str) {
    match line.split_once(": ") {
        Some((kind, message))
            if kind.len() <= ERROR_TYPE_BYTES
                && kind.starts_with(|first: char| first.is_ascii_alphabetic())
                && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) =>
        {
            (Some(kind), message)
        }
        _ => (None, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], form: OutputForm) -> String {
        match output(bytes.to_vec(), form, "a/b") {
            Ok(payload) => serde_json::to_string(&payload).unwrap_or_default(),
            Err(failure) => failure.kind().to_owned(),
        }
    }

    #[test]
    fn outputs_are_what_they_look_like_unless_said_otherwise() {
        let cases: [(&[u8], OutputForm, &str); 11] = [
            (b"{\"a\": 1}\n", OutputForm::Auto, "{\"a\": 1}"),
            (b"3", OutputForm::Auto, "3"),
            (b"", OutputForm::Auto, "null"),
            (b"\n", OutputForm::Auto, "null"),
            (b"Hello, Ada\n", OutputForm::Auto, "\"Hello, Ada\""),
            (b"\xff", OutputForm::Auto, "{\"$bytes\":\"/w==\",\"content_type\":\"a/b\"}"),
            (b"3\n", OutputForm::Text, "\"3\""),
            (b"two\nlines\n", OutputForm::Text, "\"two\\nlines\""),
            (b"3", OutputForm::Bytes, "{\"$bytes\":\"Mw==\",\"content_type\":\"a/b\"}"),
            (b"no", OutputForm::Json, "invalid_output"),
            (&[b'x'; PAYLOAD_BYTES + 1], OutputForm::Auto, "output_too_large"),
        ];
        for (bytes, form, expected) in cases {
            assert_eq!(read(bytes, form), expected, "{form:?}");
        }
    }

    #[test]
    fn the_last_line_of_standard_error_names_type_and_message() {
        let cases = [
            ("rate_limited: try later", Some("rate_limited"), "try later"),
            ("urllib.error.URLError: refused", Some("urllib.error.URLError"), "refused"),
            ("./job.sh: line 3: no", None, "./job.sh: line 3: no"),
            ("it broke", None, "it broke"),
            ("", None, ""),
        ];
        for (line, kind, message) in cases {
            assert_eq!(type_and_message(line), (kind, message));
        }
        let failed = failure(ExitStatus::from_raw(3 << 8), "", None, &[3]);
        assert_eq!((failed.kind(), failed.message()), ("exit_3", "the program ended with exit code 3"));
        assert_eq!(failure(ExitStatus::from_raw(9), "", None, &[]).kind(), "signal");
    }
}
