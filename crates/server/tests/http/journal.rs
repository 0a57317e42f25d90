//! What hangs on an execution and on a worker: steps, logs, progress, lanes, drains.

use serde_json::{Value, json};

use crate::client::Client;
use crate::served::Served;

async fn submit(client: &mut Client, body: &str) -> String {
    client.call("/v1/executions", body).await["id"].as_str().unwrap().to_owned()
}

async fn lease(client: &mut Client) -> String {
    let claim = r#"{"worker":{"name":"w"},"lanes":["default"]}"#;
    client.call("/v1/leases", claim).await["leases"][0]["lease"].as_str().unwrap().to_owned()
}

async fn get(client: &mut Client, path: &str) -> Value {
    let reply = client.get(path).await;
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    reply.json()
}

#[tokio::test]
async fn steps_and_logs_are_shown() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let id = submit(&mut client, r#"{"kind":"a"}"#).await;
    let lease = lease(&mut client).await;
    client.call(&format!("/v1/leases/{lease}/steps"), r#"{"key":"a/b"}"#).await;
    client.call(&format!("/v1/leases/{lease}/steps"), r#"{"key":"c"}"#).await;
    client
        .call(
            &format!("/v1/leases/{lease}/steps/a%2Fb/result"),
            r#"{"output":{"$bytes":"AQI=","content_type":"a/b"}}"#,
        )
        .await;
    let steps = get(&mut client, &format!("/v1/executions/{id}/steps?limit=1")).await;
    let at = steps["steps"][0]["at"].clone();
    assert!(at.is_string());
    let output = json!({"$bytes": "AQI=", "content_type": "a/b"});
    let step = json!({"key": "a/b", "state": "recorded", "attempt": 1, "output": output, "at": at});
    assert_eq!(steps, json!({"steps": [step], "next_cursor": "a/b"}));
    let steps = get(&mut client, &format!("/v1/executions/{id}/steps?cursor=a%2Fb")).await;
    let at = steps["steps"][0]["at"].clone();
    assert_eq!(steps, json!({"steps": [{"key": "c", "state": "started", "attempt": 1, "at": at}]}));

    let logs = format!("/v1/leases/{lease}/logs");
    assert_eq!(client.call(&logs, r#"{"lines":["one","two"]}"#).await, json!({"accepted": 2}));
    for _ in 0..2 {
        let body = br#"{"lines":["three"]}"#;
        let headers = "content-type: application/json\r\nidempotency-key: log-3\r\n";
        assert_eq!(client.request("POST", &logs, headers, body).await.json(), json!({"accepted": 1}));
    }
    let page = get(&mut client, &format!("/v1/executions/{id}/logs?limit=2&attempt=1")).await;
    let at = page["lines"][0]["at"].clone();
    let lines = json!([{"attempt": 1, "at": at, "line": "one"}, {"attempt": 1, "at": at, "line": "two"}]);
    assert_eq!(page["lines"], lines);
    let cursor = page["next_cursor"].as_str().unwrap();
    let page = get(&mut client, &format!("/v1/executions/{id}/logs?cursor={cursor}")).await;
    assert_eq!((&page["lines"][0]["line"], page["lines"].as_array().unwrap().len()), (&json!("three"), 1));
    assert_eq!(page["next_cursor"], Value::Null);

    let large = format!(r#"{{"lines":["{}"]}}"#, "x".repeat(65_000));
    for _ in 0..16 {
        client.call(&logs, &large).await;
    }
    let full = client.post(&logs, &large).await;
    assert_eq!((full.status, full.problem()), (409, ("log_full".to_owned(), Some("lines".to_owned()))));
    client.call(&format!("/v1/leases/{lease}/complete"), "{}").await;
    assert_eq!(client.post(&logs, r#"{"lines":["late"]}"#).await.problem().0, "lease_lost");
}

#[tokio::test]
async fn an_exchange_logs_reports_progress_and_hears_of_a_drain() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let id = submit(&mut client, r#"{"kind":"a"}"#).await;
    let exchange = |n: u64, said: Value| {
        let mut body = json!({"worker": {"name": "w/1", "session": "s1"}, "n": n, "seen": n - 1,
                              "lanes": ["default"], "max": 1, "wait_ms": 0});
        body.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        body.to_string()
    };
    let reply = client.call("/v1/worker/exchange", &exchange(1, json!({}))).await;
    let lease = reply["leases"][0]["lease"].as_str().unwrap().to_owned();
    assert_eq!(reply["drain"], Value::Null);
    let progress = json!({"percent": 70, "message": "page 7"});
    let said = json!({"leases": [{"lease": lease, "progress": progress}], "logs": [{"lease": lease, "lines": ["x"]}]});
    let reply = client.call("/v1/worker/exchange", &exchange(2, said)).await;
    assert_eq!(reply["answers"], json!([{"lease": lease, "logs": true, "accepted": 1}]));
    assert_eq!(get(&mut client, &format!("/v1/executions/{id}")).await["progress"], progress);

    let workers = get(&mut client, "/v1/workers").await;
    let worker = &workers["workers"][0];
    let seen = [&worker["id"], &worker["leases"], &worker["draining"]];
    assert_eq!(seen, [&json!("w/1~s1"), &json!(1), &json!(false)]);
    let reply = client.post("/v1/workers/w%2F1~s1/drain", "{}").await;
    assert_eq!((reply.status, &reply.json()["worker"]["draining"]), (200, &json!(true)));
    submit(&mut client, r#"{"kind":"a"}"#).await;
    let reply = client.call("/v1/worker/exchange", &exchange(3, json!({"leases": [{"lease": lease}]}))).await;
    assert_eq!((&reply["drain"], &reply["leases"]), (&json!(true), &json!([])));
    for (path, body, code, field) in [
        ("/v1/workers/nobody/drain", "{}", "not_found", None),
        ("/v1/workers/w%2F1~s1/drain", r#"{"namespace":"other"}"#, "not_found", None),
        ("/v1/workers/w%2F1~s1/drain", r#"{"at":"once"}"#, "unknown_field", Some("at")),
    ] {
        assert_eq!(client.post(path, body).await.problem(), (code.to_owned(), field.map(str::to_owned)));
    }
}

#[tokio::test]
async fn lanes_are_listed_and_a_submission_says_what_blocks_it() {
    let served = Served::start().await;
    let mut client = served.client().await;
    assert_eq!(get(&mut client, "/v1/lanes").await, json!({"lanes": []}));
    client.call("/v1/lanes/b/pause", "{}").await;
    let id = submit(&mut client, r#"{"kind":"a","lane":"a"}"#).await;
    let reply = client.call("/v1/executions", r#"{"kind":"a","lane":"b","idempotency_key":"k 1"}"#).await;
    assert_eq!((&reply["state"], &reply["reason"]), (&json!("blocked"), &json!("lane_paused")));
    let shown = get(&mut client, &format!("/v1/executions/{}", reply["id"].as_str().unwrap())).await;
    assert_eq!((&shown["state"], &shown["reason"]), (&reply["state"], &reply["reason"]));
    assert_eq!(shown["idempotency_key"], "k 1");
    assert_eq!(get(&mut client, &format!("/v1/executions/{id}")).await["idempotency_key"], Value::Null);
    let page = get(&mut client, "/v1/lanes?limit=1").await;
    assert_eq!((&page["lanes"][0]["name"], &page["next_cursor"]), (&json!("a"), &json!("a")));
    let page = get(&mut client, "/v1/lanes?cursor=a").await;
    let lane = &page["lanes"][0];
    assert_eq!((&lane["name"], &lane["paused"], &lane["waiting"]), (&json!("b"), &json!(true), &json!(1)));
    assert_eq!(page["next_cursor"], Value::Null);
}
