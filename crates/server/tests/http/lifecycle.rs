//! Starting, being ready, and ending without leaving anybody waiting.

use serde_json::json;
use tokio::net::TcpStream;

use crate::served::Served;

#[tokio::test]
async fn alive_and_ready() {
    let served = Served::start().await;
    let mut client = served.client().await;
    assert_eq!(client.get("/livez").await.json(), json!({"status": "alive"}));
    let ready = client.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["status"]), (200, &json!("ready")));
    assert_eq!(client.get("/v1/workers").await.json(), json!({"workers": []}));
}

#[tokio::test]
async fn a_shutdown_answers_everybody() {
    let mut served = Served::start().await;
    let address = served.address;
    let mut idle = served.client().await;
    assert_eq!(idle.get("/livez").await.status, 200);
    let id = idle.call("/v1/executions", r#"{"kind":"a","lane":"other"}"#).await["id"]
        .as_str()
        .unwrap()
        .to_owned();

    let mut claims = served.client().await;
    let claim = r#"{"worker":{"name":"w"},"lanes":["default"],"wait_ms":60000}"#;
    let head = "content-type: application/json\r\n";
    let request = format!(
        "POST /v1/leases HTTP/1.1\r\nhost: localhost\r\n{head}content-length: {}\r\n\r\n{claim}",
        claim.len()
    );
    // A request that is answered first shows that the server has taken the connection.
    assert_eq!(claims.get("/livez").await.status, 200);
    claims.write(request.as_bytes()).await;
    let mut results = served.client().await;
    assert_eq!(results.get("/livez").await.status, 200);
    let get = format!("GET /v1/executions/{id}/result?wait_ms=60000 HTTP/1.1\r\nhost: localhost\r\n\r\n");
    results.write(get.as_bytes()).await;

    served.stop();
    for waiting in [&mut claims, &mut results] {
        // A poll that was parked is answered; one that came too late finds the connection closed.
        if let Some(reply) = waiting.reply().await {
            assert!(reply.status == 200 || reply.problem().0 == "draining", "{reply:?}");
        }
    }
    served.stopped().await;
    assert!(idle.reply().await.is_none(), "an idle connection is closed");
    assert!(TcpStream::connect(address).await.is_err(), "nothing listens any more");
}
