//! Every wrong request is a coded problem that names the field. The cases are data.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test panics")]

use serde::de::DeserializeOwned;
use stint_api::*;

trait Checked: DeserializeOwned {
    fn checked(&self) -> Result<(), Problem>;
}

macro_rules! checked {
    ($($type:ty => |$request:ident| $check:expr;)*) => {
        $(impl Checked for $type { fn checked(&self) -> Result<(), Problem> { let $request = self; $check } })*
    };
}

checked! {
    SubmitRequest => |r| r.validate(&Limits::default());
    BatchRequest => |r| r.validate(&Limits::default());
    LeaseRequest => |r| r.validate();
    HeartbeatRequest => |r| r.validate();
    CompleteRequest => |r| r.validate(&Limits::default());
    FailRequest => |r| r.validate();
    ReleaseRequest => |r| r.validate();
    StepRequest => |r| r.validate();
    StepResultRequest => |r| r.validate("a", &Limits::default());
    ExchangeRequest => |r| r.validate(&Limits::default());
    CancelRequest => |r| r.validate();
    ReplayRequest => |r| r.validate();
    PriorityRequest => |r| r.validate();
    TagRequest => |r| r.validate();
    LaneSettings => |r| r.validate();
    LogRequest => |r| r.validate();
    Usage => |r| r.validate();
    BudgetSettings => |r| r.validate();
    RaiseRequest => |r| r.validate();
    TopUpRequest => |r| r.validate();
    RefundRequest => |r| r.validate();
    BudgetChargeRequest => |r| r.validate();
    HoldRequest => |r| r.validate();
    SettleRequest => |r| r.validate();
    LeaseHoldRequest => |r| r.validate();
    PricesRequest => |r| r.validate();
}

/// Each line: body, expected code, expected field (`-` is none).
fn check<T: Checked>(cases: &str) {
    for line in cases.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (body, expected) = line.rsplit_once(" => ").expect("a case is `body => code field`");
        let (code, field) = expected.split_once(' ').expect("a case names code and field");
        let found = decode::<T>(body.as_bytes()).and_then(|request| request.checked());
        let problem = match found {
            Ok(()) => panic!("accepted: {body}"),
            Err(problem) => problem,
        };
        assert_eq!(problem.code.as_str(), code, "{body}\n{problem}");
        assert_eq!(problem.field.as_deref().unwrap_or("-"), field, "{body}\n{problem}");
        assert!(!problem.remedy_text().is_empty() && !problem.detail.is_empty(), "{body}");
    }
}

fn accept<T: Checked>(cases: &str) {
    for body in cases.lines().map(str::trim).filter(|line| !line.is_empty()) {
        decode::<T>(body.as_bytes())
            .and_then(|request| request.checked())
            .unwrap_or_else(|problem| panic!("{body}\n{problem}"));
    }
}

#[test]
fn submissions() {
    check::<SubmitRequest>(include_str!("bad/submit.txt"));
}

#[test]
fn batches() {
    check::<BatchRequest>(
        r#"
        {} => invalid_field executions
        {"executions":[]} => invalid_field executions
        {"executions":{}} => invalid_field executions
        {"executions":[{"kind":"a"},{"kind":"a","input":1,"colour":2}]} => unknown_field executions[1].colour
        {"executions":[{"kind":"a"},{}]} => invalid_field executions[1].kind
        {"executions":[{"kind":"a"},{"kind":"a","priority":101}]} => invalid_field executions[1].priority
        {"executions":[{"kind":"a","retry":{"backoff":{"kind":"fixed"}}}]} => invalid_field executions[0].retry.backoff.delay_ms
        {"executions":[{"kind":"a","input":{"$bytes":1}}]} => invalid_field executions[0].input.$bytes
        {"executions":[{"kind":"a"}],"namespace":"a b"} => invalid_field namespace
        {"executions":[{"kind":"a"}],"kind":"a"} => unknown_field kind
        {"executions":[7]} => invalid_field executions[0]
        [] => invalid_request -
        {"executions":[["a"]]} => invalid_field executions[0]
        "#,
    );
    let many = |count: usize| {
        let list = vec![r#"{"kind":"a"}"#; count].join(",");
        decode::<BatchRequest>(format!(r#"{{"executions":[{list}]}}"#).as_bytes())
            .and_then(|batch| batch.validate(&Limits::default()))
    };
    assert!(many(1_000).is_ok());
    assert_eq!(many(1_001).unwrap_err().field.as_deref(), Some("executions"));
}

#[test]
fn claims() {
    check::<LeaseRequest>(
        r#"
        {} => invalid_field worker
        {"worker":{"name":"w"}} => invalid_field lanes
        {"worker":{},"lanes":["a"]} => invalid_field worker.name
        {"worker":{"name":""},"lanes":["a"]} => invalid_field worker.name
        {"worker":{"name":"w","session":"s"},"lanes":["a"]} => unknown_field worker.session
        {"worker":{"name":"w","capabilities":"gpu"},"lanes":["a"]} => invalid_field worker.capabilities
        {"worker":{"name":"w","capabilities":["gpu",""]},"lanes":["a"]} => invalid_field worker.capabilities[1]
        {"worker":{"name":"w","capabilities":["gpu",1]},"lanes":["a"]} => invalid_field worker.capabilities[1]
        {"worker":{"name":"w","capabilities":["=x"]},"lanes":["a"]} => invalid_field worker.capabilities[0]
        {"worker":{"name":"w","capabilities":["a="]},"lanes":["a"]} => invalid_field worker.capabilities[0]
        {"worker":{"name":"w","capabilities":["a=b=c"]},"lanes":["a"]} => invalid_field worker.capabilities[0]
        {"worker":{"name":"w","capabilities":["mem_gb >= 4"]},"lanes":["a"]} => invalid_field worker.capabilities[0]
        {"worker":{"name":"w","version":""},"lanes":["a"]} => invalid_field worker.version
        {"worker":"w","lanes":["a"]} => invalid_field worker
        {"worker":["w"],"lanes":["a"]} => invalid_field worker
        {"worker":{"name":"w"},"lanes":[]} => invalid_field lanes
        {"worker":{"name":"w"},"lanes":"a"} => invalid_field lanes
        {"worker":{"name":"w"},"lanes":["a","b c"]} => invalid_field lanes[1]
        {"worker":{"name":"w"},"lanes":["a"],"kinds":["!"]} => invalid_field kinds[0]
        {"worker":{"name":"w"},"lanes":["a"],"max":0} => invalid_field max
        {"worker":{"name":"w"},"lanes":["a"],"max":1001} => invalid_field max
        {"worker":{"name":"w"},"lanes":["a"],"max":-1} => invalid_field max
        {"worker":{"name":"w"},"lanes":["a"],"max":"1"} => invalid_field max
        {"worker":{"name":"w"},"lanes":["a"],"wait_ms":60001} => invalid_field wait_ms
        {"worker":{"name":"w"},"lanes":["a"],"wait_ms":1.5} => invalid_field wait_ms
        {"worker":{"name":"w"},"lanes":["a"],"namespace":""} => invalid_field namespace
        {"worker":{"name":"w"},"lanes":["a"],"namespace":7} => invalid_field namespace
        {"worker":{"name":"w"},"lanes":["a"],"wait":1} => unknown_field wait
        "#,
    );
    accept::<LeaseRequest>(
        r#"
        {"worker":{"name":"w"},"lanes":["a"]}
        {"worker":{"name":"w","version":"1.0 beta","capabilities":["gpu","region=eu"]},"lanes":["a"],"kinds":["x/y"],"max":1000,"wait_ms":60000,"namespace":"n"}
        "#,
    );
}

#[test]
fn ends() {
    check::<HeartbeatRequest>(
        r#"
        {"progress":{"percent":101}} => invalid_field progress.percent
        {"progress":{"percent":-1}} => invalid_field progress.percent
        {"progress":{"percent":300}} => invalid_field progress.percent
        {"progress":{"done":1}} => unknown_field progress.done
        {"progress":[7]} => invalid_field progress
        {"progress":7} => invalid_field progress
        {"ttl_ms":7} => unknown_field ttl_ms
        {"namespace":""} => invalid_field namespace
        "#,
    );
    check::<CompleteRequest>(
        r#"
        {"output":1,"result":2} => unknown_field result
        {"output":{"$bytes":"?"}} => invalid_field output.$bytes
        {"output":{"$bytes":"AA=="}} => invalid_field output.content_type
        {"output":1,"output":2} => invalid_field output
        {"namespace":" "} => invalid_field namespace
        "#,
    );
    check::<FailRequest>(
        r#"
        {} => invalid_field error
        {"error":{}} => invalid_field error.type
        {"error":"boom"} => invalid_field error
        {"error":{"type":"a"}} => invalid_field error.message
        {"error":{"type":"","message":"m"}} => invalid_field error.type
        {"error":{"type":"a","message":1}} => invalid_field error.message
        {"error":{"type":"a","message":"m","stack":""}} => unknown_field error.stack
        {"error":{"type":"a","message":"m"},"retry":"no"} => invalid_field retry
        {"error":{"type":"a","message":"m"},"retry_after_ms":-5} => invalid_field retry_after_ms
        {"error":{"type":"a","message":"m"},"retry_after_ms":99999999999999} => invalid_field retry_after_ms
        {"error":{"type":"a","message":"m"},"retry":false,"retry_after_ms":5} => invalid_field retry_after_ms
        {"error":{"type":"a","message":"m"},"delay_ms":5} => unknown_field delay_ms
        "#,
    );
    check::<ReleaseRequest>(
        r#"
        {"reason":"x"} => unknown_field reason
        {"namespace":"\u0000"} => invalid_field namespace
        "#,
    );
    check::<StepRequest>(
        r#"
        {} => invalid_field key
        {"key":""} => invalid_field key
        {"key":"a b"} => invalid_field key
        {"key":1} => invalid_field key
        {"key":"a","run":true} => unknown_field run
        "#,
    );
    check::<StepResultRequest>(
        r#"
        {"result":1} => unknown_field result
        {"output":{"$bytes":"AA=="}} => invalid_field output.content_type
        "#,
    );
    let long = |bytes| FailRequest::new(Failure::new("t", "m".repeat(bytes))).validate();
    assert!(long(16 * 1024).is_ok());
    assert_eq!(long(16 * 1024 + 1).unwrap_err().field.as_deref(), Some("error.message"));
    let typed = |bytes| FailRequest::new(Failure::new("t".repeat(bytes), "m")).validate();
    assert!(typed(128).is_ok());
    assert_eq!(typed(129).unwrap_err().field.as_deref(), Some("error.type"));
}

#[test]
fn exchanges() {
    check::<ExchangeRequest>(include_str!("bad/exchange.txt"));
    accept::<ExchangeRequest>(
        r#"
        {"worker":{"name":"w","session":"s"},"n":1,"seen":0,"lanes":["a"],"max":0,"wait_ms":0}
        {"worker":{"name":"w","session":"s"},"n":2,"seen":1,"lanes":["a"],"max":5,"wait_ms":0,"leases":[{"lease":"l","progress":{"percent":5,"message":"m"}}],"results":[{"lease":"l","complete":{"output":null}},{"lease":"m","fail":{"error":{"type":"t","message":""}}},{"lease":"n","release":{}}],"steps":[{"lease":"l","key":"k"},{"lease":"l","key":"k","output":null}]}
        "#,
    );
}

#[test]
fn actions_and_lanes() {
    check::<CancelRequest>(
        r#"
        [] => invalid_request -
        ["because"] => invalid_request -
        {"reason":7} => invalid_field reason
        {"grace_ms":-1} => invalid_field grace_ms
        {"why":"x"} => unknown_field why
        "#,
    );
    check::<ReplayRequest>(
        r#"
        {"from_step":""} => invalid_field from_step
        {"from":"a"} => unknown_field from
        "#,
    );
    check::<PriorityRequest>(
        r#"
        {} => invalid_field priority
        {"priority":101} => invalid_field priority
        {"priority":-101} => invalid_field priority
        {"priority":1.0} => invalid_field priority
        {"priority":99999999999} => invalid_field priority
        "#,
    );
    check::<TagRequest>(
        r#"
        {} => invalid_field tags
        {"tags":{}} => invalid_field tags
        {"tags":{"":"x"}} => invalid_field tags
        {"tags":{"a":1}} => invalid_field tags.a
        {"tag":{"a":"b"}} => unknown_field tag
        "#,
    );
    check::<LogRequest>(
        r#"
        {} => invalid_field lines
        {"lines":[]} => invalid_field lines
        {"lines":"x"} => invalid_field lines
        {"lines":[null]} => invalid_field lines[0]
        {"lines":["x"],"attempt":1} => unknown_field attempt
        {"lines":["x"],"namespace":""} => invalid_field namespace
        ["x"] => invalid_request -
        "#,
    );
    check::<LaneSettings>(
        r#"
        {"weights":{"a":0}} => invalid_field weights.a
        {"weights":{"a":-1}} => invalid_field weights.a
        {"weights":{"":1}} => invalid_field weights
        {"weights":{"a":1,"a":1}} => invalid_field weights.a
        {"weights":[1]} => invalid_field weights
        {"age_step_ms":0} => invalid_field age_step_ms
        {"max_length":0} => invalid_field max_length
        {"paused":true} => unknown_field paused
        "#,
    );
}

#[test]
fn no_json_at_all() {
    check::<SubmitRequest>(
        "
        { => malformed_json -
        {\"kind\" => malformed_json -
        {\"kind\":\"a\",} => malformed_json -
        {\"kind\":'a'} => malformed_json -
        {\"kind\":\"a\"} x => malformed_json -
        {\"kind\":\"a\"}{\"kind\":\"a\"} => malformed_json -
        {\"kind\":\"a\",\"input\":nul} => malformed_json -
        {\"kind\":\"a\",\"input\":[1,} => malformed_json -
        {\"kind\":\"a\",\"input\":01} => malformed_json -
        {\"kind\":\"\u{1}\"} => malformed_json -
        7 => invalid_request -
        null => invalid_request -
        \"kind\" => invalid_request -
        ",
    );
    for body in
        [&b""[..], b"  \n", b"\xff\xfe", b"{\"kind\":\"\xff\"}", b"{\"kind\":\"a\",\"input\":\"\xc3\x28\"}"]
    {
        let problem = decode::<SubmitRequest>(body).unwrap_err();
        assert_eq!(problem.code, Code::MalformedJson, "{body:?}");
    }
}

#[test]
fn usage() {
    accept::<Usage>(
        r#"
        {"model":"m"}
        {"model":"m","input_tokens":9007199254740991,"cached_input_tokens":5,"cache_write_tokens":6,"output_tokens":7,"calls":0}
        "#,
    );
    check::<Usage>(
        r#"
        {} => invalid_field model
        {"model":""} => invalid_field model
        {"model":"a\u0000"} => invalid_field model
        {"model":"m","input_tokens":-1} => invalid_field input_tokens
        {"model":"m","input_tokens":1.5} => invalid_field input_tokens
        {"model":"m","output_tokens":18446744073709551616} => invalid_field output_tokens
        {"model":"m","input_tokens":1,"cached_input_tokens":2} => invalid_field cached_input_tokens
        {"model":"m","input_tokens":3,"cached_input_tokens":2,"cache_write_tokens":2} => invalid_field cache_write_tokens
        {"model":"m","tokens":1} => unknown_field tokens
        ["m"] => invalid_request -
        "#,
    );
}

#[test]
fn budgets() {
    check::<BudgetSettings>(include_str!("bad/budget.txt"));
    accept::<BudgetSettings>(
        r#"
        {"windows":[{"name":"all","kind":"total","limits":{"usd_micros":{"hard":500000,"soft":["80%",400000]}}}]}
        {"windows":[{"name":"all","kind":"total","limits":{"calls":{"soft":[7]}}}],"on_hard":"block","shadow":true}
        {"windows":[{"name":"r","kind":"rolling","every_ms":60000,"limits":{}},{"name":"d","kind":"day","tz":"Etc/GMT+5","limits":{"calls":{"hard":0}}}],"default_hold":{"calls":1},"overshoot":{},"in_doubt_ms":0,"stop_grace_ms":0,"carry_over":false}
        "#,
    );
}

#[test]
fn changes_of_budgets() {
    check::<RaiseRequest>(
        r#"
        {"limits":{"calls":1}} => invalid_field window
        {"window":"a b","limits":{"calls":1}} => invalid_field window
        {"window":"w"} => invalid_field limits
        {"window":"w","limits":{}} => invalid_field limits
        {"window":"w","limits":{"calls":{"hard":1}}} => invalid_field limits.calls
        {"window":"w","limits":{"calls":9007199254740992}} => amount_overflow limits.calls
        "#,
    );
    check::<TopUpRequest>(
        r#"
        {"window":"w","amounts":{"calls":1}} => invalid_field id
        {"id":"","window":"w","amounts":{"calls":1}} => invalid_field id
        {"id":"t","window":"w","amounts":{}} => invalid_field amounts
        {"id":"t","window":"w","amounts":{"calls":0}} => invalid_field amounts
        {"id":"t","window":"w","amounts":{"calls":1},"expires_at":"soon"} => invalid_field expires_at
        "#,
    );
    check::<RefundRequest>(
        r#"
        {"charge_id":"c","amounts":{"calls":1}} => invalid_field id
        {"id":"c","charge_id":"c","amounts":{"calls":1}} => invalid_field id
        {"id":"r","charge_id":"c","amounts":{}} => invalid_field amounts
        "#,
    );
    check::<BudgetChargeRequest>(
        r#"
        {"amounts":{}} => invalid_field charge_id
        {"charge_id":"c"} => invalid_field amounts
        {"charge_id":"c","amounts":{},"usage":{"model":"m"}} => invalid_field usage
        {"charge_id":"c","usage":{"model":"m","input_tokens":1,"cached_input_tokens":2}} => invalid_field usage.cached_input_tokens
        {"charge_id":"c","amounts":{"a b":1}} => invalid_field amounts
        {"charge_id":"c","amounts":{},"step":"s"} => unknown_field step
        "#,
    );
}

#[test]
fn holds() {
    check::<HoldRequest>(
        r#"
        {"amounts":{"calls":1},"ttl_ms":1} => invalid_field id
        {"id":"h","amounts":{},"ttl_ms":1} => invalid_field amounts
        {"id":"h","amounts":{"calls":1}} => invalid_field ttl_ms
        {"id":"h","amounts":{"calls":1},"ttl_ms":0} => invalid_field ttl_ms
        "#,
    );
    check::<SettleRequest>(
        r#"
        {"charges":[{"charge_id":"a","amounts":{}},{"charge_id":"b"}]} => invalid_field charges[1].amounts
        {"charges":[{"charge_id":"","amounts":{}}]} => invalid_field charges[0].charge_id
        {"spent":[]} => unknown_field spent
        "#,
    );
    check::<LeaseHoldRequest>(
        r#"
        {"id":"h","path":"","amounts":{"calls":1}} => invalid_field path
        {"id":"h"} => invalid_field amounts
        "#,
    );
    accept::<SettleRequest>("{}");
}

#[test]
fn prices() {
    check::<PricesRequest>(
        r#"
        {} => invalid_field models
        {"models":{"a*b":{"input":1,"output":1}}} => invalid_field models
        {"models":{"":{"input":1,"output":1}}} => invalid_field models
        {"models":{"a":{"input":1}}} => invalid_field models.a.output
        {"models":{"a":{"input":-1,"output":1}}} => invalid_field models.a.input
        {"models":{"a":{"input":9007199254740992,"output":1}}} => amount_overflow models.a.input
        {"models":{"a":{"input":1,"output":1},"a":{"input":1,"output":1}}} => invalid_field models.a
        {"models":{},"unpriced":"free"} => invalid_field unpriced
        "#,
    );
    accept::<PricesRequest>(
        r#"{"version":7,"unpriced":"quarantine","models":{"gpt-*":{"input":1,"cached_input":0,"cache_write":4,"output":2,"call":3}}}"#,
    );
}
