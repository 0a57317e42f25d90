//! What a server says while it ends, and what every reply carries.

use std::time::Duration;

use crate::served::Served;

/// The head of a submission whose body is still to come.
const BEGUN: &[u8] = b"POST /v1/executions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 12\r\nexpect: 100-continue\r\n\r\n";

#[tokio::test]
async fn while_it_drains_new_requests_are_refused_and_begun_ones_are_answered() {
    let mut served = Served::start().await;
    let mut begun = served.client().await;
    begun.write(BEGUN).await;
    // The server asks for the body: the request is in its hands.
    assert_eq!(begun.reply().await.unwrap().status, 100);
    let mut parked = served.client().await;
    let poll = br#"{"worker":{"name":"w"},"lanes":["empty"],"wait_ms":60000}"#;
    let head = format!(
        "POST /v1/leases HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        poll.len()
    );
    parked.write(&[head.as_bytes(), poll].concat()).await;
    let mut watching = served.client().await;
    while !scraped(&mut watching, "stint_claims_parked 1.0").await {}
    served.stop();
    // The poll is answered, with nothing: whatever the reason, no lease was lost.
    assert!(parked.reply().await.unwrap().status < 504);
    let mut late = served.client().await;
    let reply = late.post("/v1/executions", r#"{"kind":"late"}"#).await;
    assert_eq!((reply.status, reply.problem().0.as_str()), (503, "draining"));
    assert_eq!(reply.header("retry-after"), Some("1"), "{reply:?}");
    assert_eq!(served.client().await.get("/livez").await.status, 200);
    assert_eq!(served.client().await.get("/readyz").await.problem().0, "draining");
    assert_eq!(served.client().await.get("/metrics").await.status, 200);
    begun.write(br#"{"kind":"a"}"#).await;
    let reply = begun.reply().await.unwrap();
    assert_eq!(reply.problem().0, "draining", "the engine takes no more work, and says so");
    served.stopped().await;
}

#[tokio::test]
async fn draining_has_an_end() {
    let mut served = Served::start_with(|config| config.drain_timeout = Duration::from_millis(50)).await;
    let mut begun = served.client().await;
    begun.write(BEGUN).await;
    assert_eq!(begun.reply().await.unwrap().status, 100);
    served.stop();
    served.stopped().await;
}

#[tokio::test]
async fn every_reply_says_which_request_it_answers() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let reply = client.request("GET", "/livez", "x-request-id: mine-17\r\n", b"").await;
    assert_eq!(reply.header("x-request-id"), Some("mine-17"));
    let mut seen = Vec::new();
    for (path, header) in [
        ("/livez", String::new()),
        ("/nowhere", String::new()),
        ("/v1/executions/x", "x-request-id: two words\r\n".to_owned()),
        ("/livez", format!("x-request-id: {}\r\n", "x".repeat(129))),
    ] {
        let reply = client.request("GET", path, &header, b"").await;
        let id = reply.header("x-request-id").unwrap().to_owned();
        assert!(id.len() < 30 && !id.contains(' ') && !seen.contains(&id), "{id}");
        seen.push(id);
    }
}

#[tokio::test]
async fn a_head_is_a_get_without_its_body() {
    let served = Served::start().await;
    let mut client = served.client().await;
    for path in ["/livez", "/readyz", "/v1/openapi.json", "/v1/workers", "/v1/executions/x", "/nowhere"] {
        let whole = client.get(path).await;
        let head =
            client.send(format!("HEAD {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").as_bytes()).await.unwrap();
        assert_eq!(
            (head.status, head.header("content-type")),
            (whole.status, whole.header("content-type")),
            "{path}"
        );
        assert_eq!(head.header("content-length"), whole.header("content-length"), "{path}");
        assert!(head.body.is_empty());
    }
    assert_eq!(client.get("/livez").await.status, 200, "no body was left on the connection");
}

async fn scraped(client: &mut crate::client::Client, line: &str) -> bool {
    let reply = client.get("/metrics").await;
    String::from_utf8_lossy(&reply.body).lines().any(|found| found == line)
}
