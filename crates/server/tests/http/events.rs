//! Server-sent events over a real socket: bodies that go on, resume, end, and are left.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::Client;
use crate::served::Served;

const CLAIM: &str = r#"{"worker":{"name":"w"},"lanes":["default"]}"#;

/// A stream of events, read as it comes.
struct Listener {
    stream: TcpStream,
    read: Vec<u8>,
    head: String,
    /// What the chunks held, as far as it was not given out.
    text: String,
    over: bool,
}

/// One event: id, name, data.
type Heard = (String, String, Value);

impl Listener {
    /// `headers` are whole lines.
    async fn open(address: SocketAddr, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut listener =
            Self { stream, read: Vec::new(), head: String::new(), text: String::new(), over: false };
        listener.head = listener.line_of("\r\n\r\n").await.expect("a reply").to_ascii_lowercase();
        listener
    }

    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// What stands before the next `end`; none if the connection ends first.
    async fn line_of(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|part| part == end.as_bytes()) {
                let line = self.read.drain(..at + end.len()).take(at).collect();
                return Some(String::from_utf8(line).unwrap());
            }
            if self.stream.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next event, comments left out; none at the end of the body.
    async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                if block.starts_with(':') {
                    continue;
                }
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    line.unwrap_or_else(|| panic!("no {name} in {block}")).to_owned()
                };
                return Some((field("id"), field("event"), serde_json::from_str(&field("data")).unwrap()));
            }
            if self.over {
                return None;
            }
            let size = usize::from_str_radix(&self.line_of("\r\n").await?, 16).unwrap();
            let chunk = self.line_of("\r\n").await?;
            assert_eq!(chunk.len(), size);
            self.over = size == 0;
            self.text.push_str(&chunk);
        }
    }

    async fn rest(&mut self) -> Vec<Heard> {
        let mut rest = Vec::new();
        while let Some(heard) = self.next().await {
            rest.push(heard);
        }
        rest
    }
}

fn names(heard: &[Heard]) -> Vec<&str> {
    heard.iter().map(|(_, name, _)| name.as_str()).collect()
}

async fn submit(client: &mut Client) -> String {
    client.call("/v1/executions", r#"{"kind":"a"}"#).await["id"].as_str().unwrap().to_owned()
}

async fn lease(client: &mut Client) -> String {
    client.call("/v1/leases", CLAIM).await["leases"][0]["lease"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn events_come_as_they_happen_and_end_with_the_execution() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let id = submit(&mut client).await;
    let path = format!("/v1/executions/{id}/events");
    let mut listener = Listener::open(served.address, &path, "accept: text/event-stream\r\n").await;
    assert_eq!(listener.status(), "200");
    assert!(listener.head.contains("content-type: text/event-stream"), "{}", listener.head);
    assert!(listener.head.contains("cache-control: no-cache"), "{}", listener.head);
    let (cursor, name, data) = listener.next().await.unwrap();
    assert_eq!(name, "submitted");
    let expected =
        json!({"cursor": cursor, "event": "submitted", "at": data["at"], "attempt": 0, "execution": id});
    assert_eq!(data, expected);

    let lease = lease(&mut client).await;
    assert_eq!(listener.next().await.unwrap().1, "leased");
    client.call(&format!("/v1/leases/{lease}/complete"), "{}").await;
    let (last, name, data) = listener.next().await.unwrap();
    assert_eq!((name.as_str(), &data["attempt"]), ("completed", &json!(1)));
    assert!(listener.next().await.is_none());

    let mut again = Listener::open(served.address, &path, &format!("last-event-id: {cursor}\r\n")).await;
    assert_eq!(names(&again.rest().await), ["leased", "completed"]);
    let done = Listener::open(served.address, &path, &format!("Last-Event-ID: {last}\r\n")).await;
    assert_eq!(done.status(), "204", "a browser does not come again");
    // The connection of an ended stream serves the next request.
    let request = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    again.stream.write_all(request.as_bytes()).await.unwrap();
    assert!(again.line_of("\r\n").await.unwrap().ends_with("200 OK"));

    for (query, headers) in [
        ("?follow=false", ""),
        ("", "accept: application/json\r\n"),
        ("?follow=false", "accept: text/event-stream\r\n"),
    ] {
        let reply = client.request("GET", &format!("{path}{query}"), headers, b"").await;
        let events = reply.json()["events"].as_array().unwrap().clone();
        assert_eq!(
            events.iter().map(|e| e["event"].as_str().unwrap()).collect::<Vec<_>>(),
            ["submitted", "leased", "completed"]
        );
        assert_eq!(
            (events[0]["cursor"].as_str(), events[2]["cursor"].as_str()),
            (Some(&*cursor), Some(&*last))
        );
    }
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let id = submit(&mut client).await;
    let path = format!("/v1/executions/{id}/events");
    let mut listeners = Vec::new();
    for _ in 0..3 {
        let mut listener = Listener::open(served.address, &path, "").await;
        listener.next().await.unwrap();
        listeners.push(listener);
    }
    assert_eq!(served.engine.followed(), 1);
    drop(listeners);
    // The server sees the closed sockets by itself: nothing is written to them.
    while served.engine.followed() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_shutdown_ends_a_stream_and_its_reader_goes_on_elsewhere() {
    let mut served = Served::start().await;
    let mut client = served.client().await;
    let id = submit(&mut client).await;
    let mut listener = Listener::open(served.address, &format!("/v1/executions/{id}/events"), "").await;
    assert_eq!(listener.next().await.unwrap().1, "submitted");
    served.stop();
    assert!(listener.next().await.is_none() && listener.over, "the body ends as a body ends");
    served.stopped().await;
}

#[tokio::test]
async fn wrong_requests_for_events_are_refused() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let id = submit(&mut client).await;
    for (path, headers, code, field) in [
        ("ex_00000000000000000000000000/events", "", "not_found", None),
        ("nonsense/events", "", "malformed_id", Some("id")),
        ("nonsense/events?follow=false", "", "malformed_id", Some("id")),
        ("{id}/events?namespace=other", "", "not_found", None),
        ("{id}/events?follow=no", "", "invalid_field", Some("follow")),
        ("{id}/events?tail=1", "", "unknown_field", Some("tail")),
        ("{id}/events", "last-event-id: x\r\n", "invalid_field", Some("Last-Event-ID")),
        ("{id}/steps?limit=0", "", "invalid_field", Some("limit")),
        ("{id}/steps?limit=+5", "", "invalid_field", Some("limit")),
        ("{id}/steps?cursor=", "", "invalid_field", Some("cursor")),
        ("{id}/steps?attempt=1", "", "unknown_field", Some("attempt")),
        ("{id}/logs?attempt=0", "", "invalid_field", Some("attempt")),
        ("{id}/logs?limit=1001", "", "invalid_field", Some("limit")),
        ("{id}/logs?cursor=1", "", "invalid_field", Some("cursor")),
        ("{id}/logs?limit=1&limit=2", "", "invalid_field", Some("limit")),
        ("{id}/logs?namespace=other", "", "not_found", None),
        ("nonsense/logs", "", "malformed_id", Some("id")),
    ] {
        let path = format!("/v1/executions/{}", path.replace("{id}", &id));
        let reply = client.request("GET", &path, headers, b"").await;
        assert_eq!(reply.problem(), (code.to_owned(), field.map(str::to_owned)), "{path}");
    }
    assert_eq!(served.engine.followed(), 0);
}
