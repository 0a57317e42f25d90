//! A child process that can't outlive its test.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Starts the program, waits for a line (we want it dead) or the end of its standard input (we are dead), and kills
/// the program; in the second case it removes the directory `$0` too, if there is one. The inner shell names its
/// process id before it becomes the program. `read` is part of the shell: so no child is reaped before `wait`, and
/// the id can't have become another process's.
const GUARD: &str = r#"sh -c 'echo $$; exec "$@"' sh "$@" &
p=$!
exec >/dev/null
read -r _ && dir= || dir=$0
kill -9 $p 2>/dev/null
wait $p 2>/dev/null
code=$?
[ -z "$dir" ] || rm -rf "$dir"
exit $code"#;

/// How to start a [`Process`].
#[derive(Debug)]
pub struct ProcessBuilder {
    program: OsString,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    orphaned_dir: PathBuf,
}

/// A child process. It is killed (SIGKILL) when this is dropped or when the test process dies in any way. Its
/// standard output is read here, line by line; its standard error is the test's.
#[derive(Debug)]
pub struct Process {
    guard: Child,
    pid: Pid,
    output: Arc<Output>,
}

#[derive(Debug, Default)]
struct Output {
    state: Mutex<Lines>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<String>,
    closed: bool,
}

impl ProcessBuilder {
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn current_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// A directory to remove if the test process dies before it can do so.
    pub(crate) fn remove_if_orphaned(mut self, dir: impl Into<PathBuf>) -> Self {
        self.orphaned_dir = dir.into();
        self
    }

    /// Starts it.
    pub fn spawn(self) -> Result<Process> {
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(GUARD)
            .arg(&self.orphaned_dir)
            .arg(&self.program)
            .args(&self.args)
            .envs(self.envs);
        if let Some(dir) = self.dir {
            command.current_dir(dir);
        }
        let mut guard = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", self.program.display()))?;
        let mut stdout = BufReader::new(guard.stdout.take().context("the child has no standard output")?);
        let mut first = String::new();
        stdout.read_line(&mut first)?;
        let pid = first.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("{} did not start", self.program.display()))?;
        let output = Arc::new(Output::default());
        let reader = Arc::clone(&output);
        std::thread::spawn(move || reader.read_all(stdout));
        Ok(Process { guard, pid, output })
    }
}

impl Process {
    /// A process that will run `program`.
    pub fn builder(program: impl AsRef<OsStr>) -> ProcessBuilder {
        ProcessBuilder {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            envs: Vec::new(),
            dir: None,
            orphaned_dir: PathBuf::new(),
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The first line of its output, past or to come, for which `wanted` is true. Fails if the output ends or
    /// `timeout` passes before.
    pub fn wait_for_line(&self, timeout: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        self.wait_for(timeout, |lines| lines.iter().find(|line| wanted(line)).cloned())
    }

    /// What `look` finds in all lines of its output, looking again whenever there is a new one. Fails if the output
    /// ends or `timeout` passes before.
    pub fn wait_for<T>(&self, timeout: Duration, look: impl Fn(&[String]) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + timeout;
        let mut state = self.output.lock();
        loop {
            if let Some(found) = look(&state.lines) {
                return Ok(found);
            }
            if state.closed {
                bail!("the process ended before what was awaited; it said: {:?}", state.lines);
            }
            state = self.output.wait(state, deadline)?;
        }
    }

    /// All lines of its output so far.
    pub fn lines(&self) -> Vec<String> {
        self.output.lock().lines.clone()
    }

    /// Whether its output has ended, which a process does at its end at the latest.
    pub fn has_ended(&self) -> bool {
        self.output.lock().closed
    }

    /// Waits until it ends by itself and returns its exit code (128 + the number of the signal that ended it).
    pub fn wait(mut self, timeout: Duration) -> Result<i32> {
        let deadline = Instant::now() + timeout;
        let output = Arc::clone(&self.output);
        let mut state = output.lock();
        while !state.closed {
            state = output.wait(state, deadline).context("the process did not end in time")?;
        }
        drop(state);
        self.finish().context("the process has no exit code")
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Stops it where it stands (SIGSTOP).
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on after [`Process::pause`].
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(mut self) {
        self.finish();
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        if self.has_ended() {
            bail!("the process has ended");
        }
        kill_process(self.pid, signal).context("signal the process")
    }

    /// Makes the guard kill the program, and returns the program's exit code.
    fn finish(&mut self) -> Option<i32> {
        if let Some(mut stdin) = self.guard.stdin.take() {
            // If this fails the guard is gone already, and with it the program.
            let _ = stdin.write_all(b"\n");
        }
        self.guard.wait().ok().and_then(|status| status.code())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for news; fails at `deadline`.
    fn wait<'a>(&self, state: MutexGuard<'a, Lines>, deadline: Instant) -> Result<MutexGuard<'a, Lines>> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("timed out; output so far: {:?}", state.lines);
        }
        let (state, _) = self.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        Ok(state)
    }

    fn read_all(&self, stdout: BufReader<ChildStdout>) {
        for line in stdout.split(b'\n').map_while(Result::ok) {
            self.lock().lines.push(String::from_utf8_lossy(&line).into_owned());
            self.news.notify_all();
        }
        self.lock().closed = true;
        self.news.notify_all();
    }
}
