//! Budgets over HTTP: paths with several segments and verbs, shortfalls, exports.

use serde_json::{Value, json};

use crate::client::Client;
use crate::served::Served;

const TOTAL: &str = r#"{"windows":[{"name":"all","kind":"total","limits":{"usd_micros":{"hard":100}}}]}"#;

async fn put(client: &mut Client, path: &str, body: &str) -> Value {
    let headers = "content-type: application/json\r\n";
    let reply = client.request("PUT", path, headers, body.as_bytes()).await;
    assert!(reply.status < 300, "{reply:?}");
    reply.json()
}

#[tokio::test]
async fn a_budget_is_set_charged_read_and_deleted() {
    let served = Served::start().await;
    served.engine.opened().await;
    let mut client = served.client().await;
    put(&mut client, "/v1/budgets/acme", TOTAL).await;
    let budget = put(&mut client, "/v1/budgets/acme/search", TOTAL).await;
    assert_eq!((&budget["path"], &budget["state"]), (&json!("acme/search"), &json!("open")));
    let charge = r#"{"charge_id":"c,1","amounts":{"usd_micros":70,"calls":1}}"#;
    let charged = client.call("/v1/budgets/acme/search:charge", charge).await;
    assert_eq!((&charged["recorded"], &charged["over_limit"]), (&json!(true), &json!(false)));
    let above = client.get("/v1/budgets/acme").await.json();
    assert_eq!(above["windows"][0]["used"], json!({"calls": 1, "usd_micros": 70}));
    let tree = client.get("/v1/budgets/acme:tree").await.json();
    assert_eq!(tree["budgets"].as_array().unwrap().len(), 2);
    let page = client.get("/v1/budgets/acme:ledger?kind=refund,charge").await.json();
    assert_eq!(
        (&page["entries"][0]["charge_id"], &page["entries"][0]["path"]),
        (&json!("c,1"), &json!("acme/search"))
    );
    let table = client.streamed("/v1/budgets/acme:ledger?format=csv", "").await;
    assert_eq!(table.header("content-type"), Some("text/csv; charset=utf-8"));
    let table = String::from_utf8(table.body).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines.len() == 3 && lines[2].contains(",charge,acme/search,usd_micros,70,70,\"c,1\","),
        "{table}"
    );
    let lines = client.streamed("/v1/budgets/acme:ledger", "accept: application/x-ndjson\r\n").await;
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let entry: Value = serde_json::from_slice(&lines.body).unwrap();
    assert_eq!(entry["amounts"]["usd_micros"], 70);
    let report = client.get("/v1/budgets/acme:report?by=path&every=day").await.json();
    assert_eq!(
        (&report["rows"][0]["key"], &report["rows"][0]["charges"]),
        (&json!("acme/search"), &json!(1))
    );
    assert_eq!(
        (&report["burn_per_hour"]["usd_micros"], &report["runs_out"]["left"]),
        (&json!(70), &json!(30))
    );
    // What is above is spent by others too, and is gone first.
    client.call("/v1/budgets/acme:charge", r#"{"charge_id":"c2","amounts":{"usd_micros":10}}"#).await;
    let report = client.get("/v1/budgets/acme/search:report").await.json();
    assert_eq!(
        (&report["total"]["usd_micros"], &report["runs_out"]["path"], &report["runs_out"]["left"]),
        (&json!(70), &json!("acme"), &json!(20))
    );
    let gone = client.request("DELETE", "/v1/budgets/acme/search?force=false", "", b"").await;
    assert_eq!((gone.status, gone.json()), (200, json!({"deleted": true})));
    assert_eq!(client.get("/v1/budgets/acme/search").await.problem().0, "budget_not_found");
    // What it spent is still known; of what never was there is nothing.
    let report = client.get("/v1/budgets/acme/search:report").await.json();
    assert_eq!(report["total"]["usd_micros"], 70);
    assert_eq!(client.get("/v1/budgets/acme/search:ledger").await.json()["entries"][0]["charge_id"], "c,1");
    for misspelt in
        ["acme/serch:report", "acme/serch:ledger", "acme/serch:ledger?format=csv", "acme/serch:tree"]
    {
        let answer = client.get(&format!("/v1/budgets/{misspelt}")).await;
        assert_eq!(answer.problem().0, "budget_not_found", "{misspelt}");
    }
}

#[tokio::test]
async fn what_is_refused_names_the_limit_in_the_way() {
    let served = Served::start().await;
    served.engine.opened().await;
    let mut client = served.client().await;
    put(&mut client, "/v1/budgets/acme", TOTAL).await;
    let hold = r#"{"id":"h","amounts":{"usd_micros":60},"ttl_ms":60000}"#;
    let held = client.call("/v1/budgets/acme:hold", hold).await["hold"].as_str().unwrap().to_owned();
    let other = client.post("/v1/budgets/acme:hold", &hold.replace("\"h\"", "\"other\"")).await;
    let problem = other.json();
    assert_eq!((other.status, &problem["code"]), (409, &json!("budget_exhausted")));
    let said =
        ["path", "window", "dimension", "limit", "used", "held", "missing"].map(|name| problem[name].clone());
    let wanted =
        [json!("acme"), json!("all"), json!("usd_micros"), json!(100), json!(0), json!(60), json!(20)];
    assert_eq!(said, wanted);
    let more = r#"{"id":"e","amounts":{"usd_micros":50}}"#;
    let extended = client.call(&format!("/v1/holds/{held}/extend"), more).await;
    assert_eq!((&extended["granted"], &extended["missing"]), (&json!(false), &json!(10)));
    let submission = r#"{"kind":"a","budgets":[{"path":"acme","hold":{"usd_micros":101}}]}"#;
    let refused = client.post("/v1/executions", submission).await;
    assert_eq!(refused.problem(), ("hold_too_large".to_owned(), Some("budgets[0].hold".to_owned())));
    let settle = r#"{"charges":[{"charge_id":"c","amounts":{"usd_micros":5}}]}"#;
    assert_eq!(client.call(&format!("/v1/holds/{held}/settle"), settle).await, json!({"settled": true}));
}

#[tokio::test]
async fn wrong_requests_are_told_what_is_wrong() {
    let served = Served::start().await;
    served.engine.opened().await;
    let mut client = served.client().await;
    put(&mut client, "/v1/budgets/acme", TOTAL).await;
    let json_head = "content-type: application/json\r\n";
    for line in include_str!("../../../api/tests/bad/budget.txt").lines() {
        let (body, expected) = line.rsplit_once(" => ").unwrap();
        let (code, field) = expected.split_once(' ').unwrap();
        let reply = client.request("PUT", "/v1/budgets/other", json_head, body.as_bytes()).await;
        assert_eq!(reply.problem(), (code.to_owned(), Some(field.to_owned())), "{body}");
    }
    for (method, path, status, code, field) in [
        ("GET", "/v1/budgets/a%20b", 400, "invalid_field", Some("path")),
        ("GET", "/v1/budgets/a//b", 400, "invalid_field", Some("path")),
        ("GET", "/v1/budgets/1/2/3/4/5/6/7/8/9", 400, "invalid_field", Some("path")),
        ("GET", "/v1/budgets/acme:spend", 404, "not_found", None),
        ("POST", "/v1/budgets/acme:spend", 404, "not_found", None),
        ("POST", "/v1/budgets/acme:tree", 405, "method_not_allowed", None),
        ("GET", "/v1/budgets/acme:raise", 405, "method_not_allowed", None),
        ("POST", "/v1/budgets/acme", 405, "method_not_allowed", None),
        ("GET", "/v1/budgets/acme?force=true", 400, "unknown_field", Some("force")),
        ("GET", "/v1/budgets?under=a:b", 400, "invalid_field", Some("under")),
        ("GET", "/v1/budgets?limit=0", 400, "invalid_field", Some("limit")),
        ("GET", "/v1/budgets/acme:ledger?kind=spent", 400, "invalid_field", Some("kind")),
        ("GET", "/v1/budgets/acme:ledger?order=up", 400, "invalid_field", Some("order")),
        ("GET", "/v1/budgets/acme:ledger?format=xml", 400, "invalid_field", Some("format")),
        ("GET", "/v1/budgets/acme:ledger?cursor=x", 400, "invalid_field", Some("cursor")),
        ("GET", "/v1/budgets/acme:ledger?since=today", 400, "invalid_field", Some("since")),
        ("GET", "/v1/budgets/acme:ledger?execution=7", 400, "malformed_id", Some("execution")),
        ("GET", "/v1/budgets/acme:report?by=colour", 400, "invalid_field", Some("by")),
        ("GET", "/v1/budgets/acme:report?every=week", 400, "invalid_field", Some("every")),
        ("DELETE", "/v1/budgets/acme?force=yes", 400, "invalid_field", Some("force")),
        ("DELETE", "/v1/budgets/none", 404, "budget_not_found", None),
        ("POST", "/v1/holds/ex_1/release", 400, "malformed_id", Some("id")),
    ] {
        let reply = client.request(method, path, "", b"").await;
        let problem = reply.problem();
        assert_eq!(
            (reply.status, &*problem.0, problem.1.as_deref()),
            (status, code, field),
            "{method} {path}"
        );
    }
    let budgets = client.get("/v1/budgets").await.json();
    assert_eq!(budgets["budgets"].as_array().unwrap().len(), 1, "something was made");
}
