//! Child processes of this very binary, which never outlive it.
//!
//! A child is started with `--with-parent` and a pipe as its standard input. It ends when the pipe closes, which
//! happens when we drop it and also when we are killed.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// How long a child may take to say its first line.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A child whose standard output we read.
#[derive(Debug)]
pub(crate) struct Kid {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pid: u32,
}

impl Kid {
    /// Starts this binary with these arguments. It is killed when the handle is dropped.
    pub(crate) fn start<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Result<Self> {
        let binary = std::env::current_exe().context("the path of this binary is not known")?;
        let mut child = Command::new(binary)
            .args(args)
            .arg("--with-parent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A terminal's Ctrl-C goes to the whole group; only the parent decides what it means.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a child process")?;
        let stdout = child.stdout.take().context("the child has no standard output")?;
        let pid = child.id().context("the child has ended at once")?;
        Ok(Self { child, lines: BufReader::new(stdout).lines(), pid })
    }

    /// Starts `stint serve` and waits until it says its address.
    pub(crate) async fn serve(args: &[String]) -> Result<(Self, String)> {
        let mut kid = Self::start(std::iter::once("serve".to_owned()).chain(args.iter().cloned()))?;
        let said = tokio::time::timeout(START_TIMEOUT, kid.next_line()).await;
        let said = said.context("the server did not start in time")??;
        let address = said.as_deref().and_then(|line| line.strip_prefix("stint listening on "));
        match address {
            Some(address) => Ok((kid, address.to_owned())),
            None => bail!("the server did not start, see above"),
        }
    }

    /// The next line of its output; `None` at the end.
    pub(crate) async fn next_line(&mut self) -> Result<Option<String>> {
        self.lines.next_line().await.context("cannot read the child's output")
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("cannot kill a child process")
    }

    /// SIGTERM, and waits until it has ended.
    pub(crate) async fn terminate(&mut self, patience: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(pid, Signal::TERM).context("cannot end a child process")?;
        match tokio::time::timeout(patience, self.child.wait()).await {
            Ok(status) => status.context("cannot wait for a child process"),
            Err(_) => {
                self.kill().await?;
                bail!("a child process did not end in time and was killed")
            }
        }
    }
}
