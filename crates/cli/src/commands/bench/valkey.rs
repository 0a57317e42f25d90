//! A Valkey server of the bench's own.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Starts the server and kills it when standard input closes: we dropped it, or are gone ourselves.
const GUARD: &str = r#""$@" & p=$!; read -r _; kill -9 $p; wait $p 2>/dev/null"#;

/// How long the server may take to answer.
const START: Duration = Duration::from_secs(10);

/// One server on a free loopback port, without persistence.
#[derive(Debug)]
pub(super) struct Valkey {
    port: u16,
    // Its standard input is what keeps the server alive.
    _guard: Child,
    _dir: TempDir,
}

impl Valkey {
    pub(super) async fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("stint-valkey-").tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let guard = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .arg(binary()?)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start valkey-server")?;
        let server = Self { port, _guard: guard, _dir: dir };
        let since = Instant::now();
        while server.call("PING").await.is_err() {
            if since.elapsed() > START {
                bail!("valkey-server does not answer on port {port}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(server)
    }

    /// The store's URL.
    pub(super) fn url(&self) -> String {
        format!("valkey://127.0.0.1:{}", self.port)
    }

    /// User and system CPU time it has used.
    pub(super) async fn cpu(&self) -> Result<Duration> {
        let seconds = self.info("cpu", "used_cpu_user").await? + self.info("cpu", "used_cpu_sys").await?;
        Ok(Duration::from_secs_f64(seconds))
    }

    /// The number after `field:` in `INFO section`.
    pub(super) async fn info(&self, section: &str, field: &str) -> Result<f64> {
        let info = self.call(&format!("INFO {section}")).await?;
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let value = value.with_context(|| format!("INFO {section} has no {field}"))?;
        value.trim().parse().with_context(|| format!("{field} is {value}, not a number"))
    }

    /// One command on a connection of its own: a line, or a text of a length that is said first.
    async fn call(&self, command: &str) -> Result<String> {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).await?);
        stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        let mut head = String::new();
        stream.read_line(&mut head).await?;
        let Some(length) = head.strip_prefix('$') else { return Ok(head) };
        let mut text = vec![0; length.trim().parse()?];
        stream.read_exact(&mut text).await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// `VALKEY_SERVER_BIN`, else what `scripts/setup` installed here, else the one on `PATH`.
fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("VALKEY_SERVER_BIN") {
        return Ok(path.into());
    }
    let installed = std::env::current_dir()?.join("target/test-servers/valkey-server");
    if installed.is_file() {
        return Ok(installed);
    }
    let on_path = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|dir| dir.join("valkey-server")).find(|f| f.is_file())
    });
    on_path.context("valkey-server is not installed: run scripts/setup, or set VALKEY_SERVER_BIN to its path")
}
