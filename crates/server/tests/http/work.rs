//! The main path: submit, lease, steps, ends, results, and what the replies look like.

use serde_json::{Value, json};

use crate::client::Client;
use crate::served::Served;

const CLAIM: &str = r#"{"worker":{"name":"w1"},"lanes":["default"],"max":1000}"#;

async fn submit(client: &mut Client, body: &str) -> String {
    client.call("/v1/executions", body).await["id"].as_str().unwrap().to_owned()
}

/// Claims what is there: exactly one lease.
async fn claim_one(client: &mut Client) -> Value {
    let mut reply = client.call("/v1/leases", CLAIM).await;
    let leases = reply["leases"].as_array_mut().unwrap();
    assert_eq!(leases.len(), 1, "{leases:?}");
    leases.remove(0)
}

fn lease_path(lease: &Value, verb: &str) -> String {
    format!("/v1/leases/{}/{verb}", lease["lease"].as_str().unwrap())
}

async fn execution(client: &mut Client, id: &str) -> Value {
    client.get(&format!("/v1/executions/{id}")).await.json()
}

async fn result(client: &mut Client, id: &str) -> Value {
    client.get(&format!("/v1/executions/{id}/result?wait_ms=60000")).await.json()
}

#[tokio::test]
async fn from_submission_to_result() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let reply =
        client.post("/v1/executions", r#"{"kind":"resize","input":{"b": 1,"a":[ ]},"tags":{"t":"v"}}"#).await;
    assert_eq!(reply.status, 201);
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(reply.json(), json!({"id": id, "state": "ready"}));
    assert!(id.starts_with("ex_") && id.len() == 29, "{id}");

    let lease = claim_one(&mut client).await;
    assert!(lease["lease"].as_str().unwrap().starts_with("ls_"));
    let submitted_at = lease["execution"]["submitted_at"].clone();
    assert_eq!(submitted_at.as_str().unwrap().len(), "2026-11-23T11:00:00.000Z".len());
    assert_eq!(
        (&lease["ttl_ms"], &lease["attempt"], &lease["steps"]),
        (&json!(30_000), &json!(1), &json!([]))
    );
    assert_eq!(
        lease["execution"],
        json!({"id": id, "kind": "resize", "lane": "default", "namespace": "default", "input": {"b": 1, "a": []},
               "priority": 0, "tags": {"t": "v"}, "submitted_at": submitted_at})
    );
    let beat =
        client.call(&lease_path(&lease, "heartbeat"), r#"{"progress":{"percent":40,"message":"m"}}"#).await;
    assert_eq!(beat, json!({"ttl_ms": 30_000}));

    let steps = lease_path(&lease, "steps");
    assert_eq!(client.call(&steps, r#"{"key":"a/b"}"#).await, json!({"run": true}));
    assert_eq!(
        client.call(&steps, r#"{"key":"a/b"}"#).await,
        json!({"run": true}),
        "the same epoch asks again"
    );
    let recorded = client.call(&lease_path(&lease, "steps/a%2Fb/result"), r#"{"output":null}"#).await;
    assert_eq!(recorded, json!({"state": "running"}));
    assert_eq!(client.call(&steps, r#"{"key":"a/b"}"#).await, json!({"result": null}));
    let other = client.post(&lease_path(&lease, "steps/a%2Fb/result"), r#"{"output":1}"#).await;
    assert_eq!(other.problem().0, "step_already_recorded");

    let running = execution(&mut client, &id).await;
    assert_eq!(running["state"], "running");
    assert_eq!(running["progress"], json!({"percent": 40, "message": "m"}));
    let attempt = &running["attempts"][0];
    assert_eq!((&attempt["attempt"], &attempt["worker"]), (&json!(1), &json!("w1")));
    assert_eq!((&attempt["ended_at"], &attempt["outcome"]), (&Value::Null, &Value::Null));

    let complete = lease_path(&lease, "complete");
    let end = client.call(&complete, r#"{"output":{"w":640}}"#).await;
    assert_eq!(end, json!({"state": "completed"}));
    assert_eq!(client.call(&complete, r#"{"output":{"w":640}}"#).await, end, "the same end twice");
    let other = client.post(&complete, r#"{"output":{"w":641}}"#).await;
    assert_eq!((other.status, other.problem().0.as_str()), (409, "already_completed"));

    assert_eq!(result(&mut client, &id).await, json!({"state": "completed", "output": {"w": 640}}));
    let ended = execution(&mut client, &id).await;
    assert_eq!(
        (&ended["state"], &ended["attempts"][0]["outcome"]),
        (&json!("completed"), &json!("completed"))
    );
    assert!(ended["ended_at"].is_string() && ended["attempts"][0]["ended_at"].is_string(), "{ended}");
}

#[tokio::test]
async fn json_keeps_its_text_and_bytes_their_values() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let all: Vec<u8> = (0..=255).collect();
    let bytes = serde_json::to_string(&stint_api::Payload::bytes(all, "application/x-all")).unwrap();
    for payload in
        [bytes.as_str(), "null", "1.50", "{\"b\": 1,\"a\":  [ ]}", "\"\\u0000\\ud83d\\ude00\"", "1e400"]
    {
        let id = submit(&mut client, &format!(r#"{{"kind":"echo","input":{payload}}}"#)).await;
        let claim = client.post("/v1/leases", CLAIM).await;
        let text = String::from_utf8(claim.body).unwrap();
        assert!(text.contains(&format!("\"input\":{payload}")), "{text}");
        let lease = text.split('"').find(|part| part.starts_with("ls_")).unwrap();
        client.call(&format!("/v1/leases/{lease}/steps"), r#"{"key":"k"}"#).await;
        let output = format!(r#"{{"output":{payload}}}"#);
        client.call(&format!("/v1/leases/{lease}/steps/k/result"), &output).await;
        let step = client.post(&format!("/v1/leases/{lease}/steps"), r#"{"key":"k"}"#).await;
        assert_eq!(String::from_utf8(step.body).unwrap(), format!(r#"{{"result":{payload}}}"#));
        client.call(&format!("/v1/leases/{lease}/complete"), &output).await;
        let result = client.get(&format!("/v1/executions/{id}/result")).await;
        let expected = format!(r#"{{"state":"completed","output":{payload}}}"#);
        assert_eq!(String::from_utf8(result.body).unwrap(), expected);
    }
}

#[tokio::test]
async fn failures_and_releases() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let id =
        submit(&mut client, r#"{"kind":"a","retry":{"max_attempts":3,"non_retryable":["fatal"]}}"#).await;

    let lease = claim_one(&mut client).await;
    assert_eq!(
        client.request("POST", &lease_path(&lease, "release"), "", b"").await.json()["state"],
        "ready"
    );
    let lease = claim_one(&mut client).await;
    assert_eq!(lease["attempt"], 1, "a release costs no attempt");

    let error = r#"{"type":"http_503","message":"later","details":{"a": 1}}"#;
    let body = format!(r#"{{"error":{error},"retry_after_ms":250}}"#);
    let end = client.call(&lease_path(&lease, "fail"), &body).await;
    assert!(end["run_at"].is_string(), "{end}");
    assert_eq!(end, json!({"state": "scheduled", "run_at": end["run_at"]}));
    let again = client.call(&lease_path(&lease, "fail"), &body).await;
    assert_eq!(again, end, "the same word has the same answer");
    let stale = client.post(&lease_path(&lease, "heartbeat"), "{}").await;
    assert_eq!((stale.status, stale.problem().0.as_str()), (409, "lease_lost"));

    let waiting = r#"{"worker":{"name":"w2"},"lanes":["default"],"wait_ms":60000}"#;
    let lease = client.call("/v1/leases", waiting).await["leases"][0].clone();
    assert_eq!(lease["attempt"], 2);
    let end = client.call(&lease_path(&lease, "fail"), r#"{"error":{"type":"fatal","message":"m"}}"#).await;
    assert_eq!(end, json!({"state": "failed"}));
    let expected = json!({"state": "failed", "error": {"type": "fatal", "message": "m"}});
    assert_eq!(result(&mut client, &id).await, expected);
    let ended = execution(&mut client, &id).await;
    assert_eq!(ended["error"]["type"], "fatal");
    assert_eq!(ended["attempts"][0]["error"], serde_json::from_str::<Value>(error).unwrap());
    assert_eq!(ended["attempts"][1]["worker"], "w2");

    submit(&mut client, r#"{"kind":"a"}"#).await;
    let lease = claim_one(&mut client).await;
    let body = r#"{"error":{"type":"t","message":"m"},"retry":false}"#;
    assert_eq!(client.call(&lease_path(&lease, "fail"), body).await, json!({"state": "failed"}));
}

#[tokio::test]
async fn parked_polls_are_answered() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let mut waiting = served.client().await;
    let claim = r#"{"worker":{"name":"w"},"lanes":["default"],"wait_ms":60000}"#;
    let head = format!(
        "POST /v1/leases HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{claim}",
        claim.len()
    );
    waiting.write(head.as_bytes()).await;
    let id = submit(&mut client, r#"{"kind":"a"}"#).await;
    let lease = waiting.reply().await.unwrap().json()["leases"][0].clone();
    assert_eq!(lease["execution"]["id"], id);

    let early = client.get(&format!("/v1/executions/{id}/result?wait_ms=20")).await.json();
    assert_eq!(early, json!({"state": "running"}));
    let get = format!("GET /v1/executions/{id}/result?wait_ms=60000 HTTP/1.1\r\nhost: localhost\r\n\r\n");
    waiting.write(get.as_bytes()).await;
    client.call(&lease_path(&lease, "complete"), r#"{"output":7}"#).await;
    assert_eq!(waiting.reply().await.unwrap().json(), json!({"state": "completed", "output": 7}));
}

#[tokio::test]
async fn the_same_request_twice() {
    let served = Served::start().await;
    let mut client = served.client().await;
    for key in ["session-1.7", "any text:7"] {
        let key = key.replace(' ', "-");
        let headers = format!("content-type: application/json\r\nidempotency-key: {key}\r\n");
        let first = client.request("POST", "/v1/executions", &headers, br#"{"kind":"a"}"#).await;
        let again = client.request("POST", "/v1/executions", &headers, br#"{"kind":"a"}"#).await;
        assert_eq!((first.status, again.status), (201, 200), "{key}");
        assert_eq!(first.json()["id"], again.json()["id"], "{key}");
    }
    let first = client.post("/v1/executions", r#"{"kind":"a","idempotency_key":"k"}"#).await;
    let again = client.post("/v1/executions", r#"{"kind":"a","idempotency_key":"k"}"#).await;
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!(first.json()["id"], again.json()["id"]);
    let other = client.post("/v1/executions", r#"{"kind":"a","idempotency_key":"k","priority":1}"#).await;
    assert_eq!(other.problem().0, "idempotency_conflict");
    let elsewhere =
        client.post("/v1/executions", r#"{"kind":"a","idempotency_key":"k","namespace":"n"}"#).await;
    assert_eq!(elsewhere.status, 201);
    let leases = client.call("/v1/leases", CLAIM).await;
    assert_eq!(leases["leases"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_thousand_at_once() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let list: Vec<Value> = (0..1_000).map(|n| json!({"kind": "a", "input": n})).collect();
    let batch = json!({ "executions": list }).to_string();
    let headers = "content-type: application/json\r\nidempotency-key: s.1\r\n";
    let reply = client.request("POST", "/v1/executions/batch", headers, batch.as_bytes()).await;
    let first = reply.json();
    let mut ids: Vec<&str> =
        first["results"].as_array().unwrap().iter().map(|result| result["id"].as_str().unwrap()).collect();
    let again = client.request("POST", "/v1/executions/batch", headers, batch.as_bytes()).await.json();
    for (one, two) in ids.iter().zip(again["results"].as_array().unwrap()) {
        assert_eq!(*one, two["id"]);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1_000);
    let leases = client.call("/v1/leases", CLAIM).await;
    let mut inputs: Vec<u64> = leases["leases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lease| lease["execution"]["input"].as_u64().unwrap())
        .collect();
    inputs.sort_unstable();
    assert_eq!(inputs, (0..1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_worker_needs_one_call() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let id = submit(&mut client, r#"{"kind":"a","input":1}"#).await;
    let exchange = |n: u64, more: Value| {
        let mut body = json!({"worker": {"name": "w", "session": "s1"}, "n": n, "seen": n - 1, "lanes": ["default"],
                              "max": 1, "wait_ms": 0});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let first = client.call("/v1/worker/exchange", &exchange(1, json!({}))).await;
    let lease = first["leases"][0]["lease"].clone();
    assert_eq!(
        (&first["n"], &first["leases"][0]["execution"]["id"], &first["answers"], &first["stops"]),
        (&json!(1), &json!(id), &json!([]), &json!([]))
    );
    let body =
        exchange(2, json!({"leases": [{"lease": lease}], "steps": [{"lease": lease, "key": "k"}], "max": 0}));
    let second = client.call("/v1/worker/exchange", &body).await;
    assert_eq!(second["answers"], json!([{"lease": lease, "key": "k", "run": true}]));
    let body = exchange(
        3,
        json!({"leases": [{"lease": lease}], "steps": [{"lease": lease, "key": "k", "output": null}], "max": 0}),
    );
    let third = client.call("/v1/worker/exchange", &body).await;
    assert_eq!(third["answers"], json!([{"lease": lease, "key": "k", "state": "running"}]));
    let body = exchange(4, json!({"results": [{"lease": lease, "complete": {"output": 2}}], "max": 0}));
    let fourth = client.call("/v1/worker/exchange", &body).await;
    assert_eq!(fourth["answers"], json!([{"lease": lease, "state": "completed"}]));
    assert_eq!(result(&mut client, &id).await, json!({"state": "completed", "output": 2}));
}

#[tokio::test]
async fn what_an_operator_does() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let id = submit(&mut client, r#"{"kind":"a"}"#).await;
    let act = |verb: &str| format!("/v1/executions/{id}/{verb}");
    let why = client.get(&act("why")).await.json();
    assert!(why["state"] == "ready" && why["waiting_for"].is_array(), "{why}");
    assert_eq!(client.call(&act("priority"), r#"{"priority":5}"#).await["id"], id);
    assert_eq!(execution(&mut client, &id).await["priority"], 5);
    client.call(&act("pause"), "{}").await;
    assert_eq!(client.call("/v1/leases", CLAIM).await["leases"], json!([]));
    client.call(&act("resume"), "{}").await;
    let lease = claim_one(&mut client).await;
    client.call(&act("revoke"), "{}").await;
    assert_eq!(client.post(&lease_path(&lease, "heartbeat"), "{}").await.problem().0, "lease_lost");
    let lease = claim_one(&mut client).await;
    let cancelled = client.call(&act("cancel"), r#"{"reason":"no need","grace_ms":60000}"#).await;
    assert_eq!(cancelled["id"], id);
    let beat = client.call(&lease_path(&lease, "heartbeat"), "{}").await;
    assert!(beat["stop"]["reason"].is_string() && beat["stop"]["grace_ms"].is_u64(), "{beat}");
    client.call(&act("cancel"), "{}").await;
    client.call(&lease_path(&lease, "fail"), r#"{"error":{"type":"stopped","message":"m"}}"#).await;
    assert_eq!(execution(&mut client, &id).await["state"], "cancelled");
    assert_eq!(client.post(&act("pause"), "{}").await.problem().0, "execution_finished");
    assert_eq!(client.call(&act("replay"), "{}").await["state"], "ready");
}

#[tokio::test]
async fn lanes() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let id = submit(&mut client, r#"{"kind":"a"}"#).await;
    let paused = client.request("POST", "/v1/lanes/default/pause", "", b"").await;
    assert_eq!(paused.status, 200);
    assert_eq!(
        (&paused.json()["lane"]["paused"], &paused.json()["missing_partitions"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(client.call("/v1/leases", CLAIM).await["leases"], json!([]));
    assert_eq!(execution(&mut client, &id).await["state"], "blocked");
    client.call("/v1/lanes/default/resume", "{}").await;
    claim_one(&mut client).await;
    let json = "content-type: application/json\r\n";
    let body = br#"{"weights":{"k":3},"age_step_ms":1000,"max_length":7}"#;
    assert_eq!(client.request("PUT", "/v1/lanes/default", json, body).await.status, 200);
    let lane = client.get("/v1/lanes/default").await.json();
    assert_eq!(
        (&lane["name"], &lane["namespace"], &lane["weights"], &lane["age_step_ms"], &lane["max_length"]),
        (&json!("default"), &json!("default"), &json!({"k": 3}), &json!(1000), &json!(7))
    );
    client.call("/v1/lanes/default/drain", "{}").await;
    assert_eq!(client.post("/v1/executions", r#"{"kind":"a"}"#).await.problem().0, "lane_draining");
}

#[tokio::test]
async fn namespaces() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let own = |ms: u64| json!({"name": "n", "retention_ms": ms, "ledger_retention_ms": 34_560_000_000_u64});
    let week = 7 * 24 * 3_600_000;
    assert_eq!(client.get("/v1/namespaces/n").await.json(), own(week));
    let json = "content-type: application/json\r\n";
    let set = client.request("PUT", "/v1/namespaces/n", json, br#"{"retention_ms":0}"#).await;
    assert_eq!(set.json(), json!({"namespace": own(0), "missing_partitions": []}));
    assert_eq!(client.get("/v1/namespaces/n").await.json(), own(0));
    assert_eq!(client.get("/v1/namespaces/default").await.json()["retention_ms"], week);
    for (path, body, field) in [
        ("n", r#"{"retention_ms":-1}"#, "retention_ms"),
        ("n", r#"{"retention_ms":99999999999999}"#, "retention_ms"),
        ("n", r#"{"ledger_retention_ms":86399999}"#, "ledger_retention_ms"),
        ("n", r#"{"retention":1}"#, "retention"),
        ("no%20name", "{}", "name"),
    ] {
        let path = format!("/v1/namespaces/{path}");
        let refused = client.request("PUT", &path, json, body.as_bytes()).await;
        assert_eq!((refused.status, refused.json()["field"].as_str()), (400, Some(field)), "{refused:?}");
    }
    assert_eq!(client.request("PUT", "/v1/namespaces/n", json, b"{}").await.status, 200);
    assert_eq!(client.get("/v1/namespaces/n").await.json(), own(week));
}
