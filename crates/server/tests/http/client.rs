//! A client that says exactly what a test wants said, also what no client library would.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection, kept alive.
pub(crate) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.request("GET", path, "", b"").await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Reply {
        self.request("POST", path, "content-type: application/json\r\n", body.as_bytes()).await
    }

    /// Posts, expects success, and gives the JSON.
    pub(crate) async fn call(&mut self, path: &str, body: &str) -> Value {
        let reply = self.post(path, body).await;
        assert!(reply.status < 300, "POST {path} {body}: {reply:?}");
        reply.json()
    }

    /// `headers` are whole lines.
    pub(crate) async fn request(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        self.raw(&[head.as_bytes(), body].concat()).await
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) -> Reply {
        self.write(bytes).await;
        self.reply().await.expect("an answer")
    }

    /// Sends a whole request; a reply that goes on without end is read to the end of its head.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Option<Reply> {
        self.write(bytes).await;
        let is_head = bytes.starts_with(b"HEAD ");
        self.reply_to(is_head).await
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next reply; none if the server closed the connection instead.
    pub(crate) async fn reply(&mut self) -> Option<Reply> {
        self.reply_to(false).await
    }

    /// A reply that comes in chunks, whole.
    pub(crate) async fn streamed(&mut self, path: &str, headers: &str) -> Reply {
        let mut reply = self.request("GET", path, headers, b"").await;
        loop {
            let end = loop {
                match self.read.windows(2).position(|window| window == b"\r\n") {
                    Some(at) => break at,
                    None => assert!(self.more().await, "the stream broke off: {reply:?}"),
                }
            };
            let line: Vec<u8> = self.read.drain(..end + 2).collect();
            let length = usize::from_str_radix(std::str::from_utf8(&line[..end]).unwrap(), 16).unwrap();
            while self.read.len() < length + 2 {
                assert!(self.more().await, "the stream broke off: {reply:?}");
            }
            reply.body.extend(self.read.drain(..length));
            self.read.drain(..2);
            if length == 0 {
                return reply;
            }
        }
    }

    async fn reply_to(&mut self, is_head: bool) -> Option<Reply> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more().await {
                return None;
            }
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap().to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |text| text.parse::<usize>().unwrap());
        let length = if is_head { 0 } else { length };
        while self.read.len() < length {
            assert!(self.more().await, "the reply broke off: {head}");
        }
        let body = self.read.drain(..length).collect();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Reply { status, head, body })
    }

    async fn more(&mut self) -> bool {
        self.stream.read_buf(&mut self.read).await.is_ok_and(|count| count > 0)
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Whether another request may follow on the same connection.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.header("connection") != Some("close") && self.header("transfer-encoding").is_none()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Checks that this is a problem document in every respect, and gives code and field.
    pub(crate) fn problem(&self) -> (String, Option<String>) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(json["status"], self.status, "{self:?}");
        assert_eq!(text("type"), format!("urn:stint:error:{}", text("code")), "{self:?}");
        for name in ["title", "detail", "remedy"] {
            assert!(!text(name).is_empty(), "no {name}: {self:?}");
        }
        (text("code"), json["field"].as_str().map(str::to_owned))
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.head, String::from_utf8_lossy(&self.body))
    }
}
