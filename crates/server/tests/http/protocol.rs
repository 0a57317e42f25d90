//! What stands before the API: addresses, paths, methods, headers, bodies.

use std::time::Duration;

use stint_server::{BindError, Server, ServerConfig};

use crate::client::Client;
use crate::served::Served;

const SUBMIT: &str = r#"{"kind":"a"}"#;

#[tokio::test]
async fn only_loopback_addresses_are_served() {
    let served = Served::start().await;
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[2001:db8::1]:0", "[::ffff:10.0.0.1]:0"] {
        let config = ServerConfig::new(address.parse().unwrap());
        let Err(error) = Server::bind(served.engine.clone(), config).await else { panic!("{address}") };
        assert!(matches!(error, BindError::NotLoopback(_)), "{address}: {error}");
        assert!(error.to_string().contains(address.trim_end_matches(":0")), "{error}");
    }
    let taken = ServerConfig::new(served.address);
    let Err(error) = Server::bind(served.engine.clone(), taken).await else { panic!("bound twice") };
    assert!(error.to_string().contains(&served.address.to_string()), "{error}");
}

#[tokio::test]
async fn paths_and_methods() {
    let served = Served::start().await;
    let mut client = served.client().await;
    for (method, path, code) in [
        ("GET", "/", "not_found"),
        ("GET", "/v1", "not_found"),
        ("GET", "/v2/executions", "not_found"),
        ("POST", "/v1/execution", "not_found"),
        ("POST", "/v1/executions/", "not_found"),
        ("GET", "/v1/executions/ex_1/nothing", "not_found"),
        ("POST", "/v1/leases/l/steps/a/b/result", "not_found"),
        ("PUT", "/v1/executions", "method_not_allowed"),
        ("DELETE", "/v1/executions/ex_1", "method_not_allowed"),
        ("POST", "/v1/executions/ex_1", "method_not_allowed"),
        ("GET", "/v1/leases", "method_not_allowed"),
        ("GET", "/v1/worker/exchange", "method_not_allowed"),
        ("PATCH", "/v1/lanes/a", "method_not_allowed"),
        ("POST", "/livez", "method_not_allowed"),
        ("OPTIONS", "/v1/executions", "method_not_allowed"),
        ("BREW", "/v1/executions", "method_not_allowed"),
    ] {
        let reply = client.request(method, path, "content-type: application/json\r\n", b"{}").await;
        assert_eq!(reply.problem(), (code.to_owned(), None), "{method} {path}");
        assert_eq!(
            reply.header("allow").is_some(),
            code == "method_not_allowed",
            "{method} {path}: {reply:?}"
        );
    }
    assert_eq!(client.get("/livez").await.status, 200);
    let reply = client.request("GET", "/v1/executions/%ff", "", b"").await;
    assert_eq!(reply.problem().0, "malformed_id");
}

#[tokio::test]
async fn content_types() {
    let served = Served::start().await;
    let mut client = served.client().await;
    for kind in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON ;charset=utf-8",
        "application/vnd.example+json",
    ] {
        let header = format!("content-type: {kind}\r\n");
        let reply = client.request("POST", "/v1/executions", &header, SUBMIT.as_bytes()).await;
        assert_eq!(reply.status, 201, "{kind}: {reply:?}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "json", "application/jsonx", ""] {
        let header = format!("content-type: {kind}\r\n");
        let reply = client.request("POST", "/v1/executions", &header, SUBMIT.as_bytes()).await;
        let expected = ("unsupported_media_type".to_owned(), Some("Content-Type".to_owned()));
        assert_eq!(reply.problem(), expected, "{kind}");
    }
    let reply = client.request("POST", "/v1/executions", "", SUBMIT.as_bytes()).await;
    assert_eq!(reply.problem().0, "unsupported_media_type");
}

#[tokio::test]
async fn pages_of_other_sites_are_kept_out() {
    let served = Served::start().await;
    let mut client = served.client().await;
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.1.2.3"] {
        let head = format!("GET /livez HTTP/1.1\r\nhost: {host}\r\n\r\n");
        let reply = client.raw(head.as_bytes()).await;
        assert_eq!(reply.problem(), ("invalid_field".to_owned(), Some("Host".to_owned())), "{host}");
    }
    let path = "/v1/lanes/a/pause";
    let reply = client.request("POST", path, "origin: http://evil.example\r\n", b"").await;
    assert_eq!(reply.problem().0, "unsupported_media_type");
}

#[tokio::test]
async fn idempotency_keys() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let long = "k".repeat(256);
    let cases: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        long.into_bytes(),
        b"a b".to_vec(),
        b"caf\xc3\xa9".to_vec(),
        b"\xff".to_vec(),
        b"a\r\nidempotency-key: b".to_vec(),
    ];
    for key in cases {
        let head =
            format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{SUBMIT}", SUBMIT.len());
        let start = b"POST /v1/executions HTTP/1.1\r\nhost: localhost\r\nidempotency-key: ";
        let reply = client.raw(&[start, &key[..], b"\r\n", head.as_bytes()].concat()).await;
        let expected = ("invalid_field".to_owned(), Some("Idempotency-Key".to_owned()));
        assert_eq!(reply.problem(), expected, "{key:?}");
    }
}

#[tokio::test]
async fn queries() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let id = client.call("/v1/executions", SUBMIT).await["id"].as_str().unwrap().to_owned();
    for (query, code, field) in [
        ("wait=1", "unknown_field", "wait"),
        ("wait_ms=1&wait_ms=2", "invalid_field", "wait_ms"),
        ("wait_ms=", "invalid_field", "wait_ms"),
        ("wait_ms=-1", "invalid_field", "wait_ms"),
        ("wait_ms=%2B1", "invalid_field", "wait_ms"),
        ("wait_ms=1.5", "invalid_field", "wait_ms"),
        ("wait_ms=60001", "invalid_field", "wait_ms"),
        ("wait_ms=99999999999999999999", "invalid_field", "wait_ms"),
        ("namespace=", "invalid_field", "namespace"),
        ("namespace=a%20b", "invalid_field", "namespace"),
        ("namespace=%ff", "invalid_field", "namespace"),
    ] {
        let reply = client.get(&format!("/v1/executions/{id}/result?{query}")).await;
        assert_eq!(reply.problem(), (code.to_owned(), Some(field.to_owned())), "{query}");
    }
    let reply = client.get(&format!("/v1/executions/{id}?wait_ms=1")).await;
    assert_eq!(reply.problem(), ("unknown_field".to_owned(), Some("wait_ms".to_owned())));
    let reply = client.post("/v1/executions?namespace=other", SUBMIT).await;
    assert_eq!(reply.problem(), ("unknown_field".to_owned(), Some("namespace".to_owned())));
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let served = Served::start_with(|config| config.body_bytes = 10_000).await;
    let mut client = served.client().await;
    let body = |bytes: usize| format!(r#"{{"kind":"a","input":"{}"}}"#, "x".repeat(bytes - 23));
    assert_eq!(client.post("/v1/executions", &body(10_000)).await.status, 201);
    for bytes in [10_001, 30_000, 200_000] {
        let reply = served.client().await.post("/v1/executions", &body(bytes)).await;
        assert_eq!(reply.status, 413);
        assert_eq!(reply.problem().0, "body_too_large");
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(&bytes.to_string()) && detail.contains("10000"), "{detail}");
    }
    let mut chunked = served.client().await;
    let head = "POST /v1/executions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    chunked.write(head.as_bytes()).await;
    for _ in 0..20 {
        chunked.write(format!("3e8\r\n{}\r\n", " ".repeat(1_000)).as_bytes()).await;
    }
    chunked.write(b"0\r\n\r\n").await;
    assert_eq!(chunked.reply().await.unwrap().problem().0, "body_too_large");
    let mut small = served.client().await;
    small.write(head.as_bytes()).await;
    for byte in SUBMIT.bytes() {
        small.write(&[b"1\r\n", &[byte][..], b"\r\n"].concat()).await;
    }
    small.write(b"0\r\n\r\n").await;
    assert_eq!(small.reply().await.unwrap().status, 201);
}

#[tokio::test]
async fn a_body_that_never_ends_is_answered() {
    let served = Served::start_with(|config| config.body_timeout = Duration::from_millis(20)).await;
    let mut client = served.client().await;
    let head = "POST /v1/executions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{";
    let reply = client.raw(head.as_bytes()).await;
    assert_eq!((reply.status, reply.problem().0.as_str()), (408, "request_timeout"));
}

#[tokio::test]
async fn no_http_at_all() {
    let served = Served::start().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut client = served.client().await;
        client.write(bytes).await;
        if let Some(reply) = client.reply().await {
            assert!((400..500).contains(&reply.status), "{reply:?}");
        }
    }
    assert_eq!(served.client().await.get("/livez").await.status, 200);
}

#[tokio::test]
async fn one_connection_many_requests() {
    let served = Served::start().await;
    let mut client: Client = served.client().await;
    let one = format!(
        "POST /v1/executions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{SUBMIT}",
        SUBMIT.len()
    );
    client.write(one.repeat(50).as_bytes()).await;
    for _ in 0..50 {
        assert_eq!(client.reply().await.unwrap().status, 201);
    }
}
