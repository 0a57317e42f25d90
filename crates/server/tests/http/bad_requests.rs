//! Wrong requests over HTTP: each a coded 4xx that names the field, and nothing changed.
//!
//! The tables of wrong bodies are those of `stint-api`, so that HTTP is held to every line of them.

use serde_json::json;

use crate::client::Client;
use crate::served::Served;

#[tokio::test]
async fn submissions() {
    let served = Served::start().await;
    let mut client = served.client().await;
    check_all(&mut client, "/v1/executions", include_str!("../../../api/tests/bad/submit.txt")).await;
    for line in cases(include_str!("../../../api/tests/bad/submit.txt")).filter(|case| case.2 != "-") {
        let body = format!(r#"{{"executions":[{{"kind":"good"}},{}]}}"#, line.0);
        let field = format!("executions[1].{}", line.2);
        check(&mut client, "/v1/executions/batch", &body, line.1, &field).await;
    }
    // What only core can read.
    for (body, field) in [
        (r#"{"kind":"a","requires":["gpu ="]}"#, "requires[0]"),
        (r#"{"kind":"a","requires":["gpu","mem_gb >= many"]}"#, "requires[1]"),
        (r#"{"kind":"a","requires":["region in ()"]}"#, "requires[0]"),
        (r#"{"kind":"a","prefer":["not gpu or"]}"#, "prefer[0]"),
    ] {
        check(&mut client, "/v1/executions", body, "invalid_field", field).await;
    }
    assert_nothing_there(&mut client).await;
}

#[tokio::test]
async fn exchanges() {
    let served = Served::start().await;
    let mut client = served.client().await;
    check_all(&mut client, "/v1/worker/exchange", include_str!("../../../api/tests/bad/exchange.txt")).await;
}

#[tokio::test]
async fn claims() {
    let served = Served::start().await;
    let mut client = served.client().await;
    client.call("/v1/executions", r#"{"kind":"a"}"#).await;
    for (body, code, field) in [
        ("{}", "invalid_field", "worker"),
        (r#"{"worker":{"name":"w"}}"#, "invalid_field", "lanes"),
        (r#"{"worker":{"name":"w"},"lanes":[]}"#, "invalid_field", "lanes"),
        (
            r#"{"worker":{"name":"w","capabilities":["=x"]},"lanes":["default"]}"#,
            "invalid_field",
            "worker.capabilities[0]",
        ),
        (r#"{"worker":{"name":"w"},"lanes":["default"],"max":1001}"#, "invalid_field", "max"),
        (r#"{"worker":{"name":"w"},"lanes":["default"],"limit":1}"#, "unknown_field", "limit"),
    ] {
        check(&mut client, "/v1/leases", body, code, field).await;
    }
    let reply = client.call("/v1/leases", r#"{"worker":{"name":"w"},"lanes":["default"],"max":5}"#).await;
    assert_eq!(reply["leases"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_lease_holder_says() {
    let served = Served::start().await;
    let mut client = served.client().await;
    client.call("/v1/executions", r#"{"kind":"a"}"#).await;
    let claim = client.call("/v1/leases", r#"{"worker":{"name":"w"},"lanes":["default"]}"#).await;
    let lease = claim["leases"][0]["lease"].as_str().unwrap();
    let id = claim["leases"][0]["execution"]["id"].as_str().unwrap();
    let before = client.get(&format!("/v1/executions/{id}")).await.json();
    for (verb, body, code, field) in [
        ("heartbeat", r#"{"progress":{"percent":101}}"#, "invalid_field", "progress.percent"),
        ("heartbeat", r#"{"progress":1}"#, "invalid_field", "progress"),
        ("heartbeat", r#"{"ttl_ms":1}"#, "unknown_field", "ttl_ms"),
        ("complete", r#"{"result":1}"#, "unknown_field", "result"),
        ("complete", r#"{"output":{"$bytes":"?"}}"#, "invalid_field", "output.$bytes"),
        ("complete", "[1]", "invalid_request", "-"),
        ("complete", "{", "malformed_json", "-"),
        ("complete", "", "malformed_json", "-"),
        ("fail", "{}", "invalid_field", "error"),
        ("fail", r#"{"error":{"type":"","message":""}}"#, "invalid_field", "error.type"),
        ("fail", r#"{"error":{"type":"t","message":"m"},"retry":1}"#, "invalid_field", "retry"),
        ("release", r#"{"reason":"x"}"#, "unknown_field", "reason"),
        ("logs", "{}", "invalid_field", "lines"),
        ("logs", r#"{"lines":[]}"#, "invalid_field", "lines"),
        ("logs", r#"{"lines":["x",1]}"#, "invalid_field", "lines[1]"),
        ("logs", r#"{"lines":["x"],"namespace":"other"}"#, "not_found", "-"),
        ("steps", "{}", "invalid_field", "key"),
        ("steps", r#"{"key":"a b"}"#, "invalid_field", "key"),
        ("steps/a%20b/result", "{}", "invalid_field", "key"),
        ("steps/a/result", r#"{"result":1}"#, "unknown_field", "result"),
        ("steps/a/result", r#"{"output":1}"#, "step_not_started", "-"),
        ("heartbeat", r#"{"namespace":"other"}"#, "not_found", "-"),
        ("complete", r#"{"namespace":"other"}"#, "not_found", "-"),
        ("steps", r#"{"key":"a","namespace":"other"}"#, "not_found", "-"),
    ] {
        check(&mut client, &format!("/v1/leases/{lease}/{verb}"), body, code, field).await;
    }
    let large = format!(r#"{{"output":"{}"}}"#, "x".repeat(1024 * 1024));
    check(&mut client, &format!("/v1/leases/{lease}/complete"), &large, "payload_too_large", "output").await;
    let after = client.get(&format!("/v1/executions/{id}")).await.json();
    assert_eq!(after, before, "something changed");
    client.call(&format!("/v1/leases/{lease}/complete"), "{}").await;
}

#[tokio::test]
async fn ids_and_leases() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let id = client.call("/v1/executions", r#"{"kind":"a"}"#).await["id"].as_str().unwrap().to_owned();
    // Another id of the same form: one character in its random part differs.
    let mut other = id.clone();
    other.replace_range(24..25, if id.as_bytes()[24] == b'a' { "b" } else { "a" });
    let cut = &id[..id.len() - 1];
    for wrong in [
        "ex_",
        "ex_1",
        "x",
        "ls_abc",
        cut,
        &id.replacen("ex_", "EX_", 1),
        "%00",
        "..%2F..%2Fetc",
        &"a".repeat(5_000),
    ] {
        for verb in ["", "/result", "/why"] {
            let reply = client.get(&format!("/v1/executions/{wrong}{verb}")).await;
            assert_eq!(reply.problem().0, "malformed_id", "{wrong}{verb}");
        }
        for verb in ["cancel", "replay", "pause", "resume", "revoke"] {
            check(&mut client, &format!("/v1/executions/{wrong}/{verb}"), "{}", "malformed_id", "id").await;
        }
    }
    assert_eq!(client.get(&format!("/v1/executions/{other}")).await.problem().0, "not_found");
    let reply = client.get(&format!("/v1/executions/{id}?namespace=other")).await;
    assert_eq!(reply.problem().0, "not_found");
    for wrong in ["ls_", "ls_abc", "x", &id] {
        for (verb, body) in [
            ("heartbeat", "{}"),
            ("complete", "{}"),
            ("fail", r#"{"error":{"type":"t","message":"m"}}"#),
            ("release", "{}"),
            ("logs", r#"{"lines":["x"]}"#),
            ("steps", r#"{"key":"k"}"#),
            ("steps/k/result", "{}"),
        ] {
            check(&mut client, &format!("/v1/leases/{wrong}/{verb}"), body, "malformed_id", "lease").await;
        }
    }
}

#[tokio::test]
async fn actions_and_lanes() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let id = client.call("/v1/executions", r#"{"kind":"a"}"#).await["id"].as_str().unwrap().to_owned();
    for (verb, body, code, field) in [
        ("priority", "{}", "invalid_field", "priority"),
        ("priority", r#"{"priority":101}"#, "invalid_field", "priority"),
        ("priority", "", "malformed_json", "-"),
        ("cancel", r#"{"why":"x"}"#, "unknown_field", "why"),
        ("cancel", r#"{"reason":1}"#, "invalid_field", "reason"),
        ("cancel", r#"{"namespace":"other"}"#, "not_found", "-"),
        ("replay", "{}", "execution_not_finished", "-"),
        ("replay", r#"{"from_step":""}"#, "invalid_field", "from_step"),
        ("pause", r#"{"reason":"x"}"#, "unknown_field", "reason"),
        ("pause", r#"{"namespace":""}"#, "invalid_field", "namespace"),
    ] {
        check(&mut client, &format!("/v1/executions/{id}/{verb}"), body, code, field).await;
    }
    let json = "content-type: application/json\r\n";
    for (name, body, code, field) in [
        ("a", r#"{"weights":{"k":0}}"#, "invalid_field", "weights.k"),
        ("a", r#"{"age_step_ms":0}"#, "invalid_field", "age_step_ms"),
        ("a", r#"{"paused":true}"#, "unknown_field", "paused"),
        ("a%20b", "{}", "invalid_field", "lane"),
    ] {
        let reply = client.request("PUT", &format!("/v1/lanes/{name}"), json, body.as_bytes()).await;
        assert_eq!(reply.problem(), (code.to_owned(), Some(field.to_owned())), "{name} {body}");
    }
    let state = client.get(&format!("/v1/executions/{id}")).await.json();
    assert_eq!((&state["state"], &state["priority"]), (&json!("ready"), &json!(0)));
}

#[tokio::test]
async fn no_json() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let json = "content-type: application/json\r\n";
    for body in [&b""[..], b" ", b"{", b"\xff", b"\xef\xbb\xbf{\"kind\":\"a\"}"] {
        for path in ["/v1/executions", "/v1/executions/batch", "/v1/leases", "/v1/worker/exchange"] {
            let reply = client.request("POST", path, json, body).await;
            assert_eq!(reply.problem().0, "malformed_json", "{path} {body:?}");
        }
    }
    let deep = format!(r#"{{"kind":"deep","input":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let reply = client.post("/v1/executions", &deep).await;
    assert!(reply.status < 500, "{reply:?}");
}

/// Lines of `body => code field`.
fn cases(table: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    table.lines().filter_map(|line| {
        let (body, expected) = line.rsplit_once(" => ")?;
        let (code, field) = expected.split_once(' ')?;
        Some((body, code, field))
    })
}

async fn check_all(client: &mut Client, path: &str, table: &str) {
    let mut count = 0;
    for (body, code, field) in cases(table) {
        check(client, path, body, code, field).await;
        count += 1;
    }
    assert!(count > 30, "the table is not read");
}

async fn check(client: &mut Client, path: &str, body: &str, code: &str, field: &str) {
    let reply = client.post(path, body).await;
    let shown = body.get(..200).unwrap_or(body);
    let (found, at) = reply.problem();
    assert_eq!(
        (found.as_str(), at.as_deref().unwrap_or("-")),
        (code, field),
        "POST {path} {shown}\n{reply:?}"
    );
    let refused_by_fault = reply.status >= 500 && code != "not_available";
    assert!(!refused_by_fault, "POST {path} {shown}: {}", reply.status);
}

async fn assert_nothing_there(client: &mut Client) {
    let reply = client.call("/v1/leases", r#"{"worker":{"name":"w"},"lanes":["default"],"max":1000}"#).await;
    assert_eq!(reply["leases"], json!([]), "a refused request left something behind");
}
