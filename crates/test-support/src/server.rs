//! One Valkey or Redis server.

use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{Process, binary, free_port, wire};

/// How long a server may take to be ready; a cluster needs 2 s at best.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// Ports to try before giving up: another process may take one between our look and the server's bind.
const ATTEMPTS: usize = 5;

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flavour {
    /// Valkey 9.
    Valkey,
    /// Redis 7.0, the oldest version we support.
    Redis,
}

/// A server on a free loopback port, with a data directory of its own and without persistence unless asked.
#[derive(Debug)]
pub struct Server {
    flavour: Flavour,
    port: u16,
    args: Vec<String>,
    dir: TempDir,
    process: Option<Process>,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub fn start(flavour: Flavour) -> Result<Self> {
        Self::start_with(flavour, &[])
    }

    /// Starts a server with further options, such as `["--appendonly", "yes"]`.
    pub fn start_with(flavour: Flavour, args: &[&str]) -> Result<Self> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut failure = None;
        for _ in 0..ATTEMPTS {
            let dir = tempfile::Builder::new().prefix("stint-server-").tempdir()?;
            let mut server = Self { flavour, port: free_port()?, args: args.clone(), dir, process: None };
            match server.restart() {
                Ok(()) => return Ok(server),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.context("no port was tried")?)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The store URL of this server.
    pub fn url(&self) -> String {
        match self.flavour {
            Flavour::Valkey => format!("valkey://{}", self.address()),
            Flavour::Redis => format!("redis://{}", self.address()),
        }
    }

    /// Process id, `None` while it is down.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Kills it (SIGKILL). Its port and data directory stay for [`Server::restart`].
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts it on the same port and data directory again, after killing it if it runs.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        let (name, variable) = match self.flavour {
            Flavour::Valkey => ("valkey-server", "VALKEY_SERVER_BIN"),
            Flavour::Redis => ("redis-server", "REDIS_SERVER_BIN"),
        };
        let process = Process::builder(binary::find(name, variable)?)
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", ""])
            .args(&self.args)
            .current_dir(self.dir.path())
            .remove_if_orphaned(self.dir.path())
            .spawn()?;
        // Its own log says so once it has bound the port and loaded its data; a reply could be another server's.
        process
            .wait_for_line(READY_TIMEOUT, |line| line.contains("Ready to accept connections"))
            .with_context(|| format!("{name} did not start"))?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops it where it stands (SIGSTOP): connections stay open, nothing is answered.
    pub fn pause(&self) -> Result<()> {
        self.running()?.pause()
    }

    /// Lets it go on.
    pub fn resume(&self) -> Result<()> {
        self.running()?.resume()
    }

    /// Sends one command without spaces in its arguments and returns its text reply, such as that of `INFO memory`.
    pub fn call(&self, command: &str) -> Result<String> {
        wire::call(self.port, command)
    }

    /// The number after `field:` in `INFO section`.
    pub fn info(&self, section: &str, field: &str) -> Result<f64> {
        let info = self.call(&format!("INFO {section}"))?;
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let value = value.with_context(|| format!("INFO {section} has no {field}"))?;
        value.trim().parse().with_context(|| format!("{field} is {value}, not a number"))
    }

    /// User and system CPU time it has used.
    pub fn cpu(&self) -> Result<Duration> {
        let seconds = self.info("cpu", "used_cpu_user")? + self.info("cpu", "used_cpu_sys")?;
        Ok(Duration::from_secs_f64(seconds))
    }

    pub(crate) fn running(&self) -> Result<&Process> {
        self.process.as_ref().context("the server is down")
    }
}
