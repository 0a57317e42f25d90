//! What a request is called in logs and at its caller's.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header, in requests and replies.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest name that is taken over from a caller, in bytes.
const LONGEST: usize = 128;

/// Names requests that bring no name of their own.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: u32,
    last: AtomicU64,
}

impl RequestIds {
    /// `process` tells the requests of this process from those of others.
    pub(crate) fn new(process: u32) -> Self {
        Self { process, last: AtomicU64::new(0) }
    }

    /// The caller's, if it is short and readable; else a new one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(REQUEST_ID) {
            Some(id) if is_readable(id.as_bytes()) => id.clone(),
            _ => {
                let n = self.last.fetch_add(1, Relaxed) + 1;
                // Hex digits and a hyphen are a header's value.
                HeaderValue::from_str(&format!("{:08x}-{n:x}", self.process))
                    .unwrap_or_else(|_| HeaderValue::from_static("-"))
            }
        }
    }
}

fn is_readable(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}
