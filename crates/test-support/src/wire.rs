//! Just enough of the servers' protocol for a test's questions: one inline command, one reply.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends one command and returns its reply as text: a simple string without its `+`, or the bytes of a bulk string.
pub(crate) fn call(port: u16, command: &str) -> Result<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, REPLY_TIMEOUT)?;
    stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut reply = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        reply.extend_from_slice(chunk.get(..read).unwrap_or_default());
        let text = String::from_utf8_lossy(&reply).into_owned();
        let Some((head, body)) = text.split_once("\r\n") else { continue };
        match head.split_at_checked(1) {
            Some(("+" | ":", line)) => return Ok(line.to_owned()),
            Some(("$", length)) => {
                let length: usize = length.parse().context("length of the reply")?;
                if let Some(body) = body.get(..length) {
                    return Ok(body.to_owned());
                }
            }
            _ => bail!("{command}: {head}"),
        }
    }
}
