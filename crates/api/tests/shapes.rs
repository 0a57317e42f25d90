//! What goes over the wire, and that it comes back.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test panics")]

use stint_api::*;

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap()
}

fn round_trip<T: serde::Serialize + serde::de::DeserializeOwned>(text: &str) {
    let value: T = serde_json::from_str(text).unwrap();
    assert_eq!(json(&value), text);
}

#[test]
fn payloads_keep_the_text_that_was_sent() {
    for text in [
        "null",
        "7",
        "1.50",
        "1e400",
        "\"a\\u0041\"",
        "{\"b\": 1,\"a\":  [ ]}",
        "{\"a\":{\"$bytes\":1}}",
        "{\"a\":\"$bytes\"}",
        "{\"$byte\":1}",
        "[{\"$bytes\":\"AA==\"}]",
        "\"$bytes\"",
    ] {
        round_trip::<Payload>(text);
        assert!(matches!(serde_json::from_str::<Payload>(text), Ok(Payload::Json(_))), "{text}");
    }
}

#[test]
fn all_byte_values_round_trip() {
    let all: Vec<u8> = (0..=255).collect();
    let sent = Payload::bytes(all, "application/x-all; v=1");
    let text = json(&sent);
    assert!(text.starts_with("{\"$bytes\":\"AAECAwQ"), "{text}");
    let back: Payload = serde_json::from_str(&text).unwrap();
    assert_eq!(back, sent);
    assert_eq!(back.size(), 256);
    round_trip::<Payload>("{\"$bytes\":\"\",\"content_type\":\"a/b\"}");
    let swapped: Payload =
        serde_json::from_str("{\"content_type\":\"a/b\",\"\\u0024bytes\":\"/w==\"}").unwrap();
    assert_eq!(swapped, Payload::bytes(vec![255], "a/b"));
}

#[test]
fn payload_limits_are_in_bytes_of_the_data() {
    let limits = Limits { payload_bytes: 10 };
    assert!(Payload::bytes(vec![0; 10], "a/b").validate("output", &limits).is_ok());
    let problem = Payload::bytes(vec![0; 11], "a/b").validate("output", &limits).unwrap_err();
    assert_eq!((problem.code, problem.field.as_deref()), (Code::PayloadTooLarge, Some("output")));
    assert!(problem.detail.contains("11") && problem.detail.contains("10"), "{problem}");
    assert!(Payload::json("12345678").unwrap().validate("output", &limits).is_ok());
    assert!(Payload::json("123456789").unwrap().validate("output", &limits).is_err());
}

#[test]
fn instants() {
    for (read, written) in [
        ("2026-11-23T11:00:00Z", "2026-11-23T11:00:00.000Z"),
        ("2026-11-23t11:00:00z", "2026-11-23T11:00:00.000Z"),
        ("2026-11-23T11:00:00.1Z", "2026-11-23T11:00:00.100Z"),
        ("2026-11-23T11:00:00.123456789Z", "2026-11-23T11:00:00.123Z"),
        ("2026-11-23T13:30:00+02:30", "2026-11-23T11:00:00.000Z"),
        ("2026-11-23T00:00:00-11:00", "2026-11-23T11:00:00.000Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
        ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ("2024-02-29T23:59:59.999Z", "2024-02-29T23:59:59.999Z"),
    ] {
        let at: Instant = read.parse().unwrap();
        assert_eq!(at.to_string(), written);
        assert_eq!(written.parse::<Instant>().unwrap(), at);
    }
    assert_eq!(json(&Instant::from_millis(1)), "\"1970-01-01T00:00:00.001Z\"");
}

#[test]
fn thousandths_are_exact() {
    for (read, thousandths, written) in [
        ("0", 0, "0"),
        ("1", 1_000, "1"),
        ("1.0", 1_000, "1"),
        ("1.005", 1_005, "1.005"),
        ("0.1", 100, "0.1"),
        ("2.50", 2_500, "2.5"),
        ("4294967.295", u32::MAX, "4294967.295"),
    ] {
        let value: Thousandths = serde_json::from_str(read).unwrap();
        assert_eq!((value.0, json(&value).as_str()), (thousandths, written));
    }
    for wrong in ["-1", "1.0001", "1e3", "\"1\"", "null", "4294967.296", "99999999999", "[]"] {
        assert!(serde_json::from_str::<Thousandths>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn request_keys() {
    let session = |session: &str, n| RequestKey::Session { session: session.to_owned(), n };
    let longest = "k".repeat(255);
    for (text, key) in [
        ("abc.7", session("abc", 7)),
        ("A_b-9.0", session("A_b-9", 0)),
        ("abc.18446744073709551615", session("abc", u64::MAX)),
        ("abc.18446744073709551616", RequestKey::Text("abc.18446744073709551616".into())),
        ("abc.07", RequestKey::Text("abc.07".into())),
        ("abc.+7", RequestKey::Text("abc.+7".into())),
        ("a.b.7", RequestKey::Text("a.b.7".into())),
        (".7", RequestKey::Text(".7".into())),
        ("order:17", RequestKey::Text("order:17".into())),
        (longest.as_str(), RequestKey::Text(longest.clone())),
    ] {
        let parsed = RequestKey::parse(text).unwrap();
        assert_eq!(parsed, key);
        assert_eq!(parsed.to_string(), text);
    }
    for wrong in ["", "a b", "caf\u{e9}", "a\n", &"k".repeat(256)] {
        let problem = RequestKey::parse(wrong).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("Idempotency-Key"), "{wrong}");
    }
}

#[test]
fn problems() {
    let problem = Problem::invalid("priority", "101 is out of range").within("executions[3]");
    assert_eq!(
        json(&problem),
        r#"{"type":"urn:stint:error:invalid_field","title":"A field of the request is not valid","status":400,"code":"invalid_field","detail":"101 is out of range","field":"executions[3].priority","remedy":"Correct the field that is named."}"#
    );
    for code in Code::ALL {
        let problem = Problem::new(*code, "d").remedy("do this").retry_after_ms(5);
        assert_eq!(serde_json::from_str::<Problem>(&json(&problem)).unwrap(), problem);
        assert_eq!(Code::parse(code.as_str()), Some(*code));
    }
    let newer: Problem =
        serde_json::from_str(r#"{"code":"approval_denied","status":422,"detail":"d"}"#).unwrap();
    assert_eq!((newer.code, newer.detail.as_ref()), (Code::InvalidRequest, "approval_denied: d"));
}

#[test]
fn every_code_has_its_page() {
    let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    for code in Code::ALL {
        let page = std::fs::read_to_string(pages.join(format!("{code}.md")))
            .unwrap_or_else(|error| panic!("{code}: {error}"));
        for part in [format!("# {code}"), format!("Status {}", code.status()), "## Symptom".into()]
            .iter()
            .chain(&["## Cause".to_owned(), "## What to do".to_owned()])
        {
            assert!(page.contains(part), "{code}: no {part:?}");
        }
    }
    let index = std::fs::read_to_string(pages.join("README.md")).unwrap();
    for entry in std::fs::read_dir(&pages).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "README.md" || index.contains(&format!("]({name}) |")), "{name} is not in the index");
    }
}

#[test]
fn replies() {
    let id = "ex_1".to_owned();
    let submitted = SubmitReply { id, state: ExecutionState::Ready, reason: None, existed: false };
    assert_eq!(json(&submitted), r#"{"id":"ex_1","state":"ready"}"#);
    let batch = BatchReply {
        results: vec![
            BatchResult::Submitted(SubmitReply { existed: true, ..submitted }),
            BatchResult::Refused { error: Problem::new(Code::LaneFull, "full") },
        ],
    };
    let text = json(&batch);
    assert!(
        text.starts_with(r#"{"results":[{"id":"ex_1","state":"ready","existed":true},{"error":{"type""#),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<BatchReply>(&text).unwrap().results, batch.results);
    for text in [r#"{"run":true}"#, r#"{"unknown":true}"#, r#"{"result":null}"#, r#"{"result":{"a": 1}}"#] {
        round_trip::<StepReply>(text);
    }
    for text in [
        r#"{"n":1,"leases":[],"answers":[{"lease":"l","state":"completed"},{"lease":"l","key":"k","result":null},{"lease":"l","key":"k","run":true},{"lease":"l","key":"k","state":"running"}],"stops":[{"lease":"l","reason":"cancelled","grace_ms":5,"action":"cancel"}]}"#,
        r#"{"n":2,"leases":[{"lease":"l","ttl_ms":30000,"execution":{"id":"e","kind":"k","lane":"default","namespace":"default","input":{"x": 1},"priority":0,"submitted_at":"2026-11-23T11:00:00.000Z"},"attempt":1,"steps":[{"key":"a","result":null},{"key":"b","unknown":true},{"key":"c"}]}],"answers":[],"stops":[]}"#,
    ] {
        round_trip::<ExchangeReply>(text);
    }
    for text in [
        r#"{"state":"running"}"#,
        r#"{"state":"completed","output":null}"#,
        r#"{"state":"failed","error":{"type":"t","message":"m","details":{"a": 1}}}"#,
    ] {
        round_trip::<ResultReply>(text);
    }
    round_trip::<HeartbeatReply>(r#"{"ttl_ms":1,"stop":{"reason":"r","grace_ms":2,"action":"cancel"}}"#);
    round_trip::<WhyReply>(r#"{"state":"blocked","waiting_for":[{"reason":"lane_paused","detail":"d"}]}"#);
    round_trip::<ExchangeStep>(r#"{"lease":"l","key":"k","output":null}"#);
    round_trip::<ExchangeStep>(r#"{"lease":"l","key":"k"}"#);
    round_trip::<ExchangeResult>(r#"{"lease":"l","complete":{"output":null}}"#);
    round_trip::<ExchangeResult>(r#"{"lease":"l","release":{}}"#);
}

#[test]
fn a_full_submission_comes_back_as_it_was() {
    let text = r#"{"kind":"k","input":{"a": [1]},"namespace":"n","lane":"l","priority":-100,"requires":["gpu"],"prefer":["x"],"run_at":"2026-11-23T11:00:00.000Z","queue_ttl_ms":1,"attempt_timeout_ms":2,"deadline_ms":3,"lease_ttl_ms":1000,"retry":{"max_attempts":3,"backoff":{"kind":"exponential","delay_ms":1,"factor":1.5,"max_ms":9,"jitter":0.25},"non_retryable":["a"]},"max_crashes":0,"fairness_key":"f","tags":{"a":"b"},"idempotency_key":"i","retention_ms":0,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}"#;
    round_trip::<SubmitRequest>(text);
    decode::<SubmitRequest>(text.as_bytes()).unwrap().validate(&Limits::default()).unwrap();
}

#[test]
fn budgets_round_trip() {
    round_trip::<BudgetSettings>(
        r#"{"windows":[{"name":"w","kind":"rolling","every_ms":60000,"limits":{"usd_micros":{"hard":5,"soft":["80%",4]}}}],"on_hard":"cancel","overshoot":{"usd_micros":1},"carry_over":true}"#,
    );
    round_trip::<BudgetUse>(
        r#"{"path":"a/b","hold":{"calls":1},"cap":{"wall_clock_ms":5},"attempt_cap":{}}"#,
    );
    round_trip::<ExtendReply>(r#"{"granted":true}"#);
    round_trip::<ExtendReply>(
        r#"{"granted":false,"path":"a","window":"w","dimension":"calls","limit":5,"used":3,"held":2,"missing":1}"#,
    );
    round_trip::<ExchangeResult>(r#"{"lease":"l","suspended":{}}"#);
    round_trip::<ExchangeAnswer>(
        r#"{"lease":"l","charge_id":"c","charged":{"recorded":true,"amounts":{"calls":1},"late":false,"over_limit":true,"quarantined":false}}"#,
    );
    round_trip::<ExchangeAnswer>(r#"{"lease":"l","hold":"h","extended":{"granted":true}}"#);
}

#[test]
fn a_problem_says_which_limit_is_in_the_way() {
    let shortfall = Shortfall {
        path: "acme".into(),
        window: "day".into(),
        dimension: "usd_micros".into(),
        limit: 10,
        used: 4,
        held: 5,
        missing: 2,
        resets_at: Some(Instant::from_millis(0)),
    };
    let problem = Problem::new(Code::BudgetExhausted, "not enough").shortfall(shortfall);
    let text = json(&problem);
    assert!(
        text.ends_with(
            r#""path":"acme","window":"day","dimension":"usd_micros","limit":10,"used":4,"held":5,"missing":2,"resets_at":"1970-01-01T00:00:00.000Z"}"#
        ),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
    let plain = Problem::new(Code::BudgetNotFound, "none");
    assert_eq!(serde_json::from_str::<Problem>(&json(&plain)).unwrap(), plain);
}
