//! The demo's course: start, submit, kill, start again, wait, compare.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use stint::api::{AttemptView, ExecutionState};
use stint::{Client, Submission};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::report::{FileRun, Killed, Report};
use super::work::{Counted, Input, KIND};
use super::{count, files};
use crate::children::Kid;

/// Worker processes.
const WORKERS: usize = 4;

/// How long a dead worker's files wait for another. Short, because the demo waits for it.
const LEASE_TTL: Duration = Duration::from_secs(3);

/// How long one file may take from submission to its end.
const PATIENCE: Duration = Duration::from_secs(300);

/// Executions submitted in one request.
const BATCH: usize = 1_000;

/// Results asked for at the same time.
const ASKED_AT_ONCE: usize = 64;

/// What a worker process said.
#[derive(Debug)]
enum Said {
    Ready,
    Begin(usize),
    End,
}

/// The server and the workers, as they are now.
struct Cast {
    data: TempDir,
    server: Kid,
    address: String,
    workers: Vec<Option<Watched>>,
    said: mpsc::UnboundedReceiver<Said>,
}

/// A worker whose output is read elsewhere.
struct Watched {
    pid: u32,
    kill: tokio::sync::oneshot::Sender<()>,
    gone: tokio::task::JoinHandle<()>,
}

pub(super) async fn run(folder: &Path) -> Result<Report> {
    let began = Instant::now();
    let names = files::list(folder)?;
    eprintln!("{} files in {}", names.len(), folder.display());
    let mut cast = Cast::start(folder).await?;
    let client = Client::builder().address(&cast.address).deadline(PATIENCE).build()?;
    let direct = tokio::task::spawn_blocking({
        let (folder, names) = (folder.to_path_buf(), names.clone());
        move || names.iter().map(|name| direct(&folder.join(name))).collect::<Vec<_>>()
    });
    let ids = submit(&client, &names).await?;
    let bar = progress(names.len());
    let mut killed = Killed::default();
    let results = {
        let results = collect(&client, &ids, &bar);
        tokio::pin!(results);
        let mut course = Course { begun: 0, ended: 0, total: names.len() };
        loop {
            tokio::select! {
                biased;
                said = cast.said.recv() => match said {
                    Some(said) => cast.follow(said, &mut course, &mut killed, &bar).await?,
                    None => bail!("all workers have ended"),
                },
                results = &mut results => break results?,
            }
        }
    };
    // Folders with next to nothing in them are done before the moment has come.
    if killed.worker.is_none() {
        cast.kill_worker(0, &mut killed, &bar).await?;
    }
    if killed.server.is_none() {
        cast.kill_server(&mut killed, &bar).await?;
    }
    let attempts = attempts(&client, &ids).await?;
    bar.finish_and_clear();
    let direct = direct.await.context("the direct count panicked")?;
    let mut runs = Vec::with_capacity(names.len());
    for (((name, counted), attempts), direct) in names.into_iter().zip(results).zip(attempts).zip(direct) {
        runs.push(FileRun { name, counted, direct, attempts });
    }
    cast.end().await?;
    Ok(Report::new(runs, killed, began.elapsed()))
}

fn direct(file: &Path) -> Counted {
    let read = count::read(file);
    let counts = count::all(&read.text);
    Counted { class: read.class, counts, stamps: vec![read.stamp], from_journal: 0 }
}

/// How far the work has come, by what the workers say.
struct Course {
    begun: usize,
    ended: usize,
    total: usize,
}

impl Cast {
    async fn start(folder: &Path) -> Result<Self> {
        let data = tempfile::Builder::new().prefix("stint-demo-").tempdir().context("no temporary folder")?;
        eprintln!("data in {} (removed at success)", data.path().display());
        let (server, address) = Kid::serve(&serve_args(&data, "127.0.0.1:0")).await?;
        eprintln!("server: process {} at {address}", server.pid());
        let (sender, said) = mpsc::unbounded_channel();
        let mut workers = Vec::with_capacity(WORKERS);
        for index in 0..WORKERS {
            let name = format!("worker-{}", index + 1);
            let folder = folder.to_str().context("the folder's name is not UTF-8")?;
            let kid = Kid::start(["demo-worker", "--server", &address, "--folder", folder, "--name", &name])?;
            workers.push(Some(Watched::watch(kid, index, sender.clone())));
        }
        Ok(Self { data, server, address, workers, said })
    }

    /// Kills a worker when a third of the files has begun, the moment it says that it begins another; and the
    /// server when two thirds have ended.
    async fn follow(
        &mut self,
        said: Said,
        course: &mut Course,
        killed: &mut Killed,
        bar: &ProgressBar,
    ) -> Result<()> {
        match said {
            Said::Ready => {}
            Said::Begin(worker) => {
                course.begun += 1;
                if killed.worker.is_none() && course.begun >= (course.total / 3).max(1) {
                    self.kill_worker(worker, killed, bar).await?;
                }
            }
            Said::End => course.ended += 1,
        }
        if killed.worker.is_some() && killed.server.is_none() && course.ended >= course.total * 2 / 3 {
            self.kill_server(killed, bar).await?;
        }
        Ok(())
    }

    async fn kill_worker(&mut self, index: usize, killed: &mut Killed, bar: &ProgressBar) -> Result<()> {
        let Some(worker) = self.workers.get_mut(index).and_then(Option::take) else { return Ok(()) };
        let pid = worker.pid;
        worker.kill().await?;
        killed.worker = Some(pid);
        say(bar, &format!("SIGKILL for worker-{}, process {pid}", index + 1));
        Ok(())
    }

    async fn kill_server(&mut self, killed: &mut Killed, bar: &ProgressBar) -> Result<()> {
        let pid = self.server.pid();
        self.server.kill().await?;
        let since = Instant::now();
        say(bar, &format!("SIGKILL for the server, process {pid}"));
        let listen = self.address.strip_prefix("http://").unwrap_or(&self.address).to_owned();
        (self.server, _) = Kid::serve(&serve_args(&self.data, &listen)).await?;
        killed.server = Some(pid);
        let took = since.elapsed().as_millis();
        say(bar, &format!("server again: process {} after {took} ms", self.server.pid()));
        Ok(())
    }

    /// Ends everything in an orderly way and removes the data.
    async fn end(self) -> Result<()> {
        let Self { data, mut server, workers, .. } = self;
        for worker in workers.into_iter().flatten() {
            worker.kill().await?;
        }
        let status = server.terminate(Duration::from_secs(20)).await?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        data.close().context("the data can't be removed")
    }
}

impl Watched {
    fn watch(mut kid: Kid, index: usize, sender: mpsc::UnboundedSender<Said>) -> Self {
        let (kill, killed) = tokio::sync::oneshot::channel();
        let pid = kid.pid();
        let gone = tokio::spawn(async move {
            let reading = async {
                while let Ok(Some(line)) = kid.next_line().await {
                    let said = match line.as_str() {
                        "begin" => Said::Begin(index),
                        "end" => Said::End,
                        _ => Said::Ready,
                    };
                    if sender.send(said).is_err() {
                        break;
                    }
                }
            };
            tokio::select! {
                biased;
                _ = killed => {}
                () = reading => {}
            }
            if let Err(error) = kid.kill().await {
                eprintln!("{error:#}");
            }
        });
        Self { pid, kill, gone }
    }

    async fn kill(self) -> Result<()> {
        let _ = self.kill.send(());
        self.gone.await.context("a worker could not be ended")
    }
}

fn serve_args(data: &TempDir, listen: &str) -> Vec<String> {
    let store = format!("embedded:{}", data.path().join("store").display());
    ["--store", &store, "--listen", listen].map(str::to_owned).to_vec()
}

async fn submit(client: &Client, names: &[String]) -> Result<Vec<String>> {
    let mut ids = Vec::with_capacity(names.len());
    for batch in names.chunks(BATCH) {
        let submissions = batch.iter().map(|path| {
            Submission::new(KIND).input(&Input { path: path.clone() }).lease_ttl(LEASE_TTL).max_crashes(20)
        });
        for submitted in client.submit_batch(submissions).await? {
            ids.push(submitted?.id);
        }
    }
    Ok(ids)
}

async fn collect(client: &Client, ids: &[String], bar: &ProgressBar) -> Result<Vec<Result<Counted, String>>> {
    stream::iter(ids)
        .map(|id| async move {
            let outcome = client.result::<Counted>(id.as_str()).wait(PATIENCE).await?;
            bar.inc(1);
            if bar.is_hidden() {
                plain_progress(bar);
            }
            Ok(match (outcome.state, outcome.output) {
                (ExecutionState::Completed, Some(counted)) => Ok(counted),
                (state, _) => Err(match outcome.failure {
                    Some(failure) => format!("{state}: {}: {}", failure.kind, failure.message),
                    None => state.to_string(),
                }),
            })
        })
        .buffered(ASKED_AT_ONCE)
        .try_collect()
        .await
}

async fn attempts(client: &Client, ids: &[String]) -> Result<Vec<Vec<AttemptView>>> {
    stream::iter(ids)
        .map(|id| async move { Ok(client.execution(id).await?.attempts) })
        .buffered(ASKED_AT_ONCE)
        .try_collect()
        .await
}

fn progress(total: usize) -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::new(total as u64)
    } else {
        ProgressBar::with_draw_target(Some(total as u64), indicatif::ProgressDrawTarget::hidden())
    };
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} files, {per_sec}, {elapsed}") {
        bar.set_style(style);
    }
    bar
}

/// Ten lines in all where nobody sees a bar.
fn plain_progress(bar: &ProgressBar) {
    let (done, total) = (bar.position(), bar.length().unwrap_or(0));
    if done == total || done.is_multiple_of((total / 10).max(1)) {
        eprintln!("{done} of {total} files");
    }
}

fn say(bar: &ProgressBar, what: &str) {
    if bar.is_hidden() {
        eprintln!("{what}");
    } else {
        bar.println(what);
    }
}
