//! Broken variants of good requests: always read or refused, never a panic, never anything but a 4xx.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test panics")]

use serde::de::DeserializeOwned;
use stint_api::*;

const SUBMIT: &str = r#"{"kind":"k","input":{"$bytes":"AA==","content_type":"a/b"},"priority":-5,"requires":["gpu"],"run_at":"2026-11-23T11:00:00.000Z","retry":{"max_attempts":3,"backoff":{"kind":"exponential","delay_ms":1,"factor":1.5,"max_ms":9,"jitter":0.25},"non_retryable":["a"]},"tags":{"a":"b"},"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}"#;
const EXCHANGE: &str = r#"{"worker":{"name":"w","session":"s"},"n":2,"seen":1,"lanes":["a"],"max":5,"wait_ms":0,"leases":[{"lease":"l","progress":{"percent":5}}],"results":[{"lease":"l","complete":{"output":null}},{"lease":"m","fail":{"error":{"type":"t","message":"","details":{}}}}],"steps":[{"lease":"l","key":"k","output":{"x":[1]}}]}"#;

#[test]
fn every_cut_and_every_changed_byte() {
    check(SUBMIT, |request: &SubmitRequest| request.validate(&Limits::default()));
    check(EXCHANGE, |request: &ExchangeRequest| request.validate(&Limits::default()));
}

fn check<T: DeserializeOwned>(good: &str, validate: impl Fn(&T) -> Result<(), Problem>) {
    let try_one = |body: &[u8]| {
        let result = decode::<T>(body).and_then(|request| validate(&request));
        if let Err(problem) = &result {
            let shown = String::from_utf8_lossy(body);
            assert!((400..500).contains(&problem.status()), "{problem}\n{shown}");
            let names_it =
                problem.field.is_some() || matches!(problem.code, Code::MalformedJson | Code::InvalidRequest);
            assert!(names_it, "{problem}\n{shown}");
        }
        result
    };
    try_one(good.as_bytes()).unwrap();
    for at in 0..good.len() {
        assert!(try_one(&good.as_bytes()[..at]).is_err(), "cut at {at}");
        let mut body = good.as_bytes().to_vec();
        for byte in [0, b'"', b'{', b'}', b'[', b']', b',', b':', b'-', b'9', b'e', b'\\', b' ', 0xff] {
            body[at] = byte;
            let _: Result<(), Problem> = try_one(&body);
        }
        let (head, tail) = good.as_bytes().split_at(at);
        for inserted in [&b"null"[..], b"[", b"{", b"\"", b"1e999", b"\xc3"] {
            let _: Result<(), Problem> = try_one(&[head, inserted, tail].concat());
        }
    }
}
