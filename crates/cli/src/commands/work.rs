//! `stint work`: a program for each execution.

mod channel;
mod ended;
mod group;
mod guard;
mod lines;
mod money;
mod program;

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use stint::Worker;
use tokio::sync::watch;

use super::connection::{Connection, block_on};
use crate::exit::Failed;
use crate::signals::Interrupts;
use guard::Guard;
use program::Program;

pub(crate) use guard::run_guard;

/// What to run, and for which executions.
#[derive(clap::Args)]
#[command(
    after_help = "The program gets the input on standard input, and says its output on standard output. Exit code 0 \
                        completes the execution, anything else fails the attempt. Descriptor 3 is for progress, logs and \
                        steps. docs/CLI.md says all of it."
)]
pub(crate) struct Args {
    /// The kinds of executions it takes.
    #[arg(required = true, value_name = "KIND")]
    kinds: Vec<String>,
    /// The program and its arguments, after --.
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
    /// A lane it serves [default: default]. May be repeated.
    #[arg(long = "lane", value_name = "LANE")]
    lanes: Vec<String>,
    /// Programs that run at the same time [default: one per CPU].
    #[arg(long, value_name = "N")]
    concurrency: Option<usize>,
    /// The worker's name, which attempts are shown under; a random one unless given.
    #[arg(long)]
    name: Option<String>,
    /// What it runs, to tell deployments apart.
    #[arg(long, value_name = "VERSION")]
    worker_version: Option<String>,
    /// Something it can do: gpu, region=eu, mem_gb=64. May be repeated.
    #[arg(long = "capability", value_name = "CAPABILITY")]
    capabilities: Vec<String>,
    /// How standard output is read.
    #[arg(long, value_enum, default_value_t = OutputForm::Auto)]
    output: OutputForm,
    /// What the bytes are, where the output is bytes.
    #[arg(long, value_name = "TYPE", default_value = "application/octet-stream")]
    content_type: String,
    /// Hands an input that is a JSON string to the program as its text.
    #[arg(long)]
    text_input: bool,
    /// Exit codes that end the execution, whatever its retry policy says.
    #[arg(long, value_name = "CODE,...", value_delimiter = ',')]
    non_retryable: Vec<i32>,
    /// How long a program that is asked to stop (SIGTERM) may take before it is killed.
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    grace_ms: u64,
    /// How long programs may go on after Ctrl-C or SIGTERM, before they are asked to stop and their executions given
    /// back. A second Ctrl-C ends everything at once.
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    drain_ms: u64,
    /// Does not repeat the programs' standard error here.
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    connection: Connection,
}

/// How standard output becomes an output.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OutputForm {
    /// JSON if it is JSON, null if there is nothing, else text if it is UTF-8, else bytes.
    Auto,
    /// JSON, or the attempt fails.
    Json,
    /// A JSON string of it, without the last line's end.
    Text,
    /// Bytes, with --content-type.
    Bytes,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let settings = args.connection.settings()?;
    let mut words = args.program.into_iter();
    let Some(file) = words.next() else { return Err(Failed::Usage("which program?".to_owned()).into()) };
    check_exists(&file)?;
    let concurrency = match args.concurrency {
        Some(concurrency) => concurrency,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let (drain, draining) = watch::channel(false);
    let program = Arc::new(Program {
        file,
        args: words.collect(),
        servers: settings.servers.join(","),
        output: args.output,
        content_type: args.content_type,
        text_input: args.text_input,
        non_retryable: args.non_retryable,
        grace: Duration::from_millis(args.grace_ms),
        is_quiet: args.quiet,
        guard: Arc::new(Guard::start()?),
        draining,
    });
    let client = settings.client()?;
    let mut builder = Worker::builder(&client).slots(concurrency);
    for kind in args.kinds {
        let program = Arc::clone(&program);
        builder = builder.raw_handler(kind, move |context, input| Arc::clone(&program).run(context, input));
    }
    let patience = Duration::from_millis(args.drain_ms);
    // Behind the patience programs are asked to stop, and need their grace.
    builder = builder
        .lanes(args.lanes)
        .capabilities(args.capabilities)
        .drain_timeout(patience + program.grace + Duration::from_millis(500));
    if let Some(name) = args.name {
        builder = builder.name(name);
    }
    if let Some(version) = args.worker_version {
        builder = builder.version(version);
    }
    let worker = builder.build()?;
    eprintln!("stint: {} works for {}, {concurrency} at a time", worker.name(), settings.servers.join(", "));
    block_on(async {
        let ended = work(worker, patience, drain).await;
        match ended {
            Ok(()) => Ok(()),
            Err(error) => Err(settings.explain(error, &client).await),
        }
    })
}

/// Works until a signal comes or the server drains the worker.
async fn work(worker: Worker, patience: Duration, drain: watch::Sender<bool>) -> Result<()> {
    let mut interrupts = Interrupts::listen()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let working = worker.run(async {
        // Dropped or sent, it means the same.
        let _ = stopped.await;
    });
    tokio::pin!(working);
    tokio::select! {
        biased;
        ended = &mut working => return Ok(ended?),
        () = interrupts.heard() => {}
    }
    drop(stop);
    eprintln!("stint: letting programs finish (again to stop at once)");
    let running_out = tokio::time::sleep(patience);
    tokio::pin!(running_out);
    loop {
        tokio::select! {
            biased;
            ended = &mut working => return Ok(ended?),
            () = interrupts.heard() => return Err(Failed::Interrupted.into()),
            () = &mut running_out, if !*drain.borrow() => {
                drain.send_replace(true);
            }
        }
    }
}

/// A program that is not there would fail every execution there is, so it is looked for first.
fn check_exists(file: &OsString) -> Result<()> {
    let is_program = |path: &Path| {
        path.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    let path = PathBuf::from(file);
    let found = if path.components().count() > 1 || path.is_absolute() {
        is_program(&path)
    } else {
        let dirs = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&dirs).any(|dir| is_program(&dir.join(&path)))
    };
    if found {
        return Ok(());
    }
    let what = format!("{} is no program that can be run; is it executable (chmod +x)?", path.display());
    Err(Failed::Usage(what).into())
}
