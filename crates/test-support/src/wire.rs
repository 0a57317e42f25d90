//! Just enough of the servers' protocol to see that they are ready: one inline command, one reply.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a server may take to be ready; a cluster needs 2 s at best.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

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

/// Sends `command` until `ready` accepts its reply. `alive` says whether waiting still makes sense.
pub(crate) fn wait_until(
    port: u16,
    command: &str,
    alive: impl Fn() -> bool,
    ready: impl Fn(&str) -> bool,
) -> Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        let reply = call(port, command);
        if reply.as_ref().is_ok_and(|reply| ready(reply)) {
            return Ok(());
        }
        if !alive() {
            bail!("the server on port {port} ended");
        }
        if Instant::now() > deadline {
            bail!("the server on port {port} is not ready; {command} says {reply:?}");
        }
        std::thread::sleep(POLL);
    }
}
