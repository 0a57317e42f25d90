//! Wrong requests without end: each endpoint of the document, bent in many ways, from a seed.
//!
//! Every answer is one that the document names, errors are problem documents with a code that it names, nothing hangs,
//! and what was refused has changed nothing. `STINT_FUZZ_REQUESTS` and `STINT_FUZZ_SEED` run more of them.

use std::time::Duration;

use serde_json::Value;
use stint_api::Code;
use tokio::time::timeout;

use crate::api::{self, Operation};
use crate::bend::{Bent, Dice, bend};
use crate::client::{Client, Reply};
use crate::served::Served;

/// Nothing that is asked here takes long: what takes longer hangs.
const HANGS: Duration = Duration::from_secs(30);

#[tokio::test]
async fn every_wrong_request_has_a_documented_answer_and_changes_nothing() {
    let requests = variable("STINT_FUZZ_REQUESTS", 2_000);
    let seed = variable("STINT_FUZZ_SEED", 1);
    let mut dice = Dice::new(seed);
    let mut bed = Bed::new().await;
    let document = api::document(&bed.served).await;
    let operations = api::operations(&document);
    let mut refused = 0;
    for n in 0..requests {
        let operation = &operations[dice.below(operations.len())];
        let bent = bend(&mut dice, operation, &bed.names);
        let place = format!("request {n} of seed {seed}: {bent:?}");
        let before = bed.served.heads().await;
        let reply = match timeout(HANGS, bed.client.send(&bent.bytes())).await {
            Ok(Some(reply)) => reply,
            Ok(None) => panic!("{place}: no answer"),
            Err(_) => panic!("{place}: hangs"),
        };
        check(&document, operation, &bent, &reply, &place);
        if reply.status >= 400 {
            refused += 1;
            assert_eq!(
                bed.served.heads().await,
                before,
                "{place}: refused, and something changed\n{reply:?}"
            );
        } else if bent.method != "GET" && bent.method != "HEAD" {
            // It was right after all, and its effects may go on: the next one meets a fresh server.
            bed = Bed::new().await;
        }
        if !reply.keeps_alive() {
            bed.client = bed.served.client().await;
        }
    }
    assert!(
        refused * 10 > requests * 7,
        "only {refused} of {requests} were refused: they are not wrong enough"
    );
}

/// A server with something to act on.
struct Bed {
    served: Served,
    client: Client,
    names: Vec<(&'static str, String)>,
}

impl Bed {
    async fn new() -> Self {
        let served = Served::start().await;
        served.engine.opened().await;
        let mut client = served.client().await;
        let submission = r#"{"kind":"held","lane":"held","lease_ttl_ms":3600000}"#;
        client.call("/v1/executions", submission).await;
        let claim = r#"{"worker":{"name":"w"},"lanes":["held"]}"#;
        let leased = client.call("/v1/leases", claim).await;
        let waiting = client.call("/v1/executions", r#"{"kind":"waiting","lane":"nobody"}"#).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let names = vec![
            ("lease", text(&leased["leases"][0]["lease"])),
            ("id", text(&waiting["id"])),
            ("name", "nobody".to_owned()),
            ("path", "acme".to_owned()),
            ("key", "charge-card".to_owned()),
            ("job", "unknown".to_owned()),
        ];
        Self { served, client, names }
    }
}

fn check(document: &Value, operation: &Operation, bent: &Bent, reply: &Reply, place: &str) {
    let status = reply.status;
    let allowed_fault = matches!(status, 501);
    assert!(status < 500 || allowed_fault, "{place}: {reply:?}");
    if bent.method == "HEAD" {
        assert!(reply.body.is_empty(), "{place}: {reply:?}");
        return;
    }
    assert!(reply.header("x-request-id").is_some(), "{place}: no request id\n{reply:?}");
    if status < 400 {
        let documented = !operation.said["responses"][status.to_string()].is_null();
        assert!(documented, "{place}: {status} is not documented\n{reply:?}");
        return;
    }
    let (code, _) = reply.problem();
    assert!(Code::parse(&code).is_some(), "{place}: unknown code {code}");
    if bent.elsewhere {
        // Where it went is another endpoint, or none.
        return;
    }
    let response = &operation.said["responses"][status.to_string()];
    let response = match response["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).unwrap(),
        None => response,
    };
    let codes = response["x-codes"].as_array().into_iter().flatten();
    let documented = codes.filter_map(Value::as_str).any(|known| known == code);
    assert!(documented, "{place}: {status} {code} is not documented for this endpoint\n{reply:?}");
}

fn variable(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number")),
        Err(_) => default,
    }
}
