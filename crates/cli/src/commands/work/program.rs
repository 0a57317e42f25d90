//! One run of the program: for one attempt.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use stint::api::{PAYLOAD_BYTES, Payload, StopAction};
use stint::{Context, Failure, Stopping};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

use super::group::Group;
use super::guard::Guard;
use super::lines::Lines;
use super::{OutputForm, channel, ended};

/// The descriptor of the side channel in the program.
const CHANNEL: i32 = 3;

/// The longest line of standard error that is kept, in bytes.
const ERROR_LINE_BYTES: usize = 16 * 1_024;

/// How long to go on reading after the program's end: something it started may hold its output open for ever.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What is run, and how.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) file: OsString,
    pub(super) args: Vec<OsString>,
    /// So that the program can submit and ask, too.
    pub(super) servers: String,
    pub(super) output: OutputForm,
    pub(super) content_type: String,
    pub(super) text_input: bool,
    pub(super) non_retryable: Vec<i32>,
    pub(super) grace: Duration,
    pub(super) is_quiet: bool,
    /// Ends programs if this process can't.
    pub(super) guard: Arc<Guard>,
    /// Becomes true when programs have to stop because the worker does.
    pub(super) draining: watch::Receiver<bool>,
}

/// Where an attempt's lines go: to its execution's log, and to this process's standard error.
#[derive(Debug)]
pub(super) struct Log {
    context: Context,
    is_quiet: bool,
}

/// What a program said until its end.
#[derive(Default)]
struct Said {
    output: Mutex<Vec<u8>>,
    last_words: Mutex<String>,
    channel: channel::Heard,
}

/// How a run came to its end.
enum End {
    Exited(ExitStatus),
    /// It was ended because this worker ends: the attempt is given back.
    Drained,
}

impl Program {
    /// Runs the program for an attempt. If this is dropped, the program and all it started are killed.
    pub(super) async fn run(self: Arc<Self>, context: Context, input: Payload) -> Result<Payload, Failure> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let channel = UnixStream::from_std(ours)?;
        let mut child = self.start(&context, &input, theirs)?;
        let mut group = Group::of(child.id(), Arc::clone(&self.guard));
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let log = Log { context: context.clone(), is_quiet: self.is_quiet };
        let said = Said::default();
        let talk = async {
            tokio::join!(
                feed(stdin, self.input(&input)),
                collect(stdout, &said.output),
                listen(stderr, &log, &said.last_words),
                channel::serve(channel, &context, &log, &said.channel),
            );
        };
        let mut talk = std::pin::pin!(talk);
        let mut is_silent = false;
        let end = {
            let mut life = std::pin::pin!(self.supervise(&mut child, &group, &context, &said.channel));
            loop {
                tokio::select! {
                    biased;
                    end = &mut life => break end?,
                    () = &mut talk, if !is_silent => is_silent = true,
                }
            }
        };
        group.kill();
        let status = match end {
            End::Exited(status) => status,
            // The worker gives its lease back when it has waited long enough, and drops this.
            End::Drained => std::future::pending().await,
        };
        said.channel.ended.send_replace(Some(status));
        if !is_silent {
            let _ = tokio::time::timeout(LAST_WORDS, talk).await;
        }
        if status.success() {
            let output = std::mem::take(&mut *locked(&said.output));
            return ended::output(output, self.output, &self.content_type);
        }
        if context.is_cancelled() {
            return Err(Failure::new("stopped", "the program was asked to stop"));
        }
        let (last_words, told) = (locked(&said.last_words).clone(), locked(&said.channel.told).take());
        Err(ended::failure(status, &last_words, told, &self.non_retryable))
    }

    fn start(&self, context: &Context, input: &Payload, theirs: StdUnixStream) -> Result<Child, Failure> {
        let content_type = match input {
            Payload::Bytes { content_type, .. } => content_type,
            Payload::Json(_) => "application/json",
        };
        let tags = serde_json::to_string(context.tags())?;
        let mut command = Command::new(&self.file);
        command
            .args(&self.args)
            .env("STINT_EXECUTION_ID", context.execution_id())
            .env("STINT_KIND", context.kind())
            .env("STINT_LANE", context.lane())
            .env("STINT_NAMESPACE", context.namespace())
            .env("STINT_ATTEMPT", context.attempt().to_string())
            .env("STINT_TAGS", tags)
            .env("STINT_CONTENT_TYPE", content_type)
            .env("STINT_CHANNEL", CHANNEL.to_string())
            .env("STINT_SERVER", &self.servers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A terminal's Ctrl-C is for the worker, which lets programs finish.
            .process_group(0)
            .kill_on_drop(true);
        match context.traceparent() {
            Some(traceparent) => command.env("TRACEPARENT", traceparent),
            None => command.env_remove("TRACEPARENT"),
        };
        command.fd_mappings(vec![FdMapping { parent_fd: OwnedFd::from(theirs), child_fd: CHANNEL }])?;
        command.spawn().map_err(|error| {
            Failure::new("not_started", format!("{} can't be started: {error}", self.file.display()))
        })
    }

    /// The input as the program reads it: text ends in a line's end, as `read` of the shell wants it.
    fn input<'a>(&self, input: &'a Payload) -> std::borrow::Cow<'a, [u8]> {
        let json = match input {
            Payload::Bytes { bytes, .. } => return bytes.as_ref().into(),
            Payload::Json(json) => json.get(),
        };
        let text = if self.text_input { serde_json::from_str::<String>(json).ok() } else { None };
        let mut line = text.unwrap_or_else(|| json.to_owned()).into_bytes();
        line.push(b'\n');
        line.into()
    }

    /// When the program is to be told to stop. One that asks before each step hears of a budget's stop in the answer to its
    /// next question: what it is doing is paid for, and may end first.
    async fn stopped(&self, context: &Context, heard: &channel::Heard) -> Stopping {
        let stopping = context.cancelled().await;
        if stopping.action == StopAction::Suspend && heard.asks.load(Ordering::Relaxed) {
            tokio::time::sleep(stopping.grace.saturating_sub(self.grace)).await;
        }
        stopping
    }

    /// Waits for the program's end. Asks it to stop when that is due, and kills it when its grace is over.
    async fn supervise(
        &self,
        child: &mut Child,
        group: &Group,
        context: &Context,
        heard: &channel::Heard,
    ) -> std::io::Result<End> {
        let mut draining = self.draining.clone();
        let (grace, drains) = tokio::select! {
            biased;
            status = child.wait() => return status.map(End::Exited),
            stopping = self.stopped(context, heard) => (self.grace.min(stopping.grace), false),
            Ok(_) = draining.wait_for(|draining| *draining) => (self.grace, true),
        };
        group.ask_to_stop();
        let status = match tokio::time::timeout(grace, child.wait()).await {
            Ok(status) => status?,
            Err(_) => {
                child.kill().await?;
                child.wait().await?
            }
        };
        // What ended well just in time still counts.
        Ok(if drains && !status.success() { End::Drained } else { End::Exited(status) })
    }
}

impl Log {
    /// One line.
    pub(super) fn line(&self, line: &str) {
        self.context.log(line);
        if !self.is_quiet {
            eprintln!("{} {line}", self.context.execution_id());
        }
    }
}

/// Writes the input. A program may end without reading it.
async fn feed(stdin: Option<ChildStdin>, input: std::borrow::Cow<'_, [u8]>) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(&input).await;
    }
}

/// Reads standard output: all of it, but keeps no more than can be an output, and one byte to tell.
async fn collect(source: Option<impl AsyncRead + Unpin>, kept: &Mutex<Vec<u8>>) {
    let Some(mut source) = source else { return };
    let mut chunk = vec![0; 64 * 1_024];
    while let Ok(read) = source.read(&mut chunk).await {
        if read == 0 {
            return;
        }
        let mut kept = locked(kept);
        let room = (PAYLOAD_BYTES + 1).saturating_sub(kept.len());
        kept.extend_from_slice(chunk.get(..read.min(room)).unwrap_or_default());
    }
}

/// Reads standard error: each line is logged, the last one may be why it failed.
async fn listen(source: Option<impl AsyncRead + Unpin>, log: &Log, last_words: &Mutex<String>) {
    let Some(source) = source else { return };
    let mut lines = Lines::new(source, ERROR_LINE_BYTES);
    while let Ok(Some(line)) = lines.next().await {
        log.line(&line.text);
        if !line.text.trim().is_empty() {
            *locked(last_words) = line.text;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
