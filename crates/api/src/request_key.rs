//! The `Idempotency-Key` header.

use std::fmt;

use crate::check::is_session;
use crate::{Problem, REQUEST_KEY_BYTES};

/// What makes a POST safe to send again: the same key with the same body is answered, not done, twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RequestKey {
    /// `<session>.<n>`, as the SDK sends it: routed by its session.
    Session {
        /// 1 to 64 characters of `[A-Za-z0-9_-]`, new for every process.
        session: String,
        /// The request's number within the session.
        n: u64,
    },
    /// Any other text: routed by its hash.
    Text(String),
}

impl RequestKey {
    /// Reads the header's value: 1 to 255 visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        if text.is_empty()
            || text.len() > REQUEST_KEY_BYTES
            || !text.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(Problem::invalid(
                "Idempotency-Key",
                "an Idempotency-Key has 1 to 255 visible ASCII characters",
            ));
        }
        Ok(match text.rsplit_once('.') {
            Some((session, n)) if is_session(session) => match n.parse::<u64>() {
                // A number that is written in another way is another key.
                Ok(number) if number.to_string() == n => {
                    Self::Session { session: session.to_owned(), n: number }
                }
                _ => Self::Text(text.to_owned()),
            },
            _ => Self::Text(text.to_owned()),
        })
    }
}

impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session { session, n } => write!(f, "{session}.{n}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}
