//! Load in a closed loop: so many tasks are under way, and each that ends is followed by another.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use stint::{Client, Context, Failure, Submission, Worker};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::check::Ids;
use super::forest::{DIMENSION, Forest, add_books, amount};
use super::meter::{Latencies, Usage, Used, round};
use super::target::Target;

/// The handlers' kind.
pub(super) const KIND: &str = "bench";

/// What a task that spends holds.
const HELD: u64 = 100;

/// What it charges.
const PRICE: u64 = 60;

/// How much and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Tasks under way at the same time.
    pub(super) in_flight: usize,
    /// Tasks submitted in one request; 1 submits singly.
    pub(super) batch: usize,
    /// Bytes of a task's input.
    pub(super) input_bytes: usize,
    /// Journaled steps of a task.
    pub(super) steps: usize,
    /// Worker sessions.
    pub(super) workers: usize,
    /// Handlers at the same time in each worker.
    pub(super) slots: usize,
    /// Whether each task holds money and charges some of it.
    pub(super) spends: bool,
    /// How long new tasks are submitted.
    pub(super) lasting: Duration,
}

/// What came of it.
pub(super) struct Loaded {
    pub(super) ids: Ids,
    pub(super) tasks: u64,
    pub(super) used: Used,
    runs: u64,
    steps: u64,
    twice: u64,
    submit: Latencies,
    end_to_end: Latencies,
    to_start: Latencies,
    charge: Latencies,
    forest: Option<Forest>,
}

/// A task's input.
#[derive(Serialize, Deserialize)]
struct Input {
    /// Who submitted it.
    s: usize,
    /// In which round.
    n: u64,
    /// Its number in the round.
    i: usize,
    /// Fills it up.
    p: String,
}

/// What submitters and handlers share.
struct Board {
    rounds: Vec<Round>,
    runs: AtomicU64,
    steps: AtomicU64,
    twice: AtomicU64,
    end_to_end: Latencies,
    to_start: Latencies,
    charge: Latencies,
    forest: Option<Forest>,
}

/// Where a submitter waits for the tasks of its round.
#[derive(Default)]
struct Round {
    state: Mutex<RoundState>,
    done: Notify,
}

#[derive(Default)]
struct RoundState {
    n: u64,
    since: Option<Instant>,
    open: BTreeMap<usize, ()>,
}

/// Runs the load, waits until all its tasks have run, and lets the workers report and end.
pub(super) async fn run(target: &Target, shape: Shape) -> Result<Loaded> {
    let client = target.client()?;
    let forest = match shape.spends {
        true => Some(Forest::plant(&client).await?),
        false => None,
    };
    let submitters = (shape.in_flight / shape.batch).max(1);
    let board = Arc::new(Board {
        rounds: (0..submitters).map(|_| Round::default()).collect(),
        runs: AtomicU64::new(0),
        steps: AtomicU64::new(0),
        twice: AtomicU64::new(0),
        end_to_end: Latencies::new()?,
        to_start: Latencies::new()?,
        charge: Latencies::new()?,
        forest,
    });
    let (stop, _) = watch::channel(false);
    let mut workers = JoinSet::new();
    for _ in 0..shape.workers {
        let worker = worker(&target.client()?, shape, &board)?;
        let mut stopped = stop.subscribe();
        workers.spawn(worker.run(async move {
            // Also ready if the sender is gone.
            let _ = stopped.wait_for(|stop| *stop).await;
        }));
    }
    let ids = Arc::new(Ids::new()?);
    let submit = Arc::new(Latencies::new()?);
    let usage = Usage::start(target.server_pid())?;
    let until = Instant::now() + shape.lasting;
    let mut loops = JoinSet::new();
    for submitter in 0..submitters {
        let (client, board, ids, submit) = (client.clone(), board.clone(), ids.clone(), submit.clone());
        loops.spawn(
            async move { keep_submitting(&client, shape, submitter, until, &board, &ids, &submit).await },
        );
    }
    while let Some(ended) = loops.join_next().await {
        ended??;
    }
    let used = usage.stop()?;
    let _ = stop.send(true);
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    let board = Arc::into_inner(board).context("a handler is still running")?;
    let ids = Arc::into_inner(ids).context("a submitter is still running")?;
    let submit = Arc::into_inner(submit).context("a submitter is still running")?;
    Ok(Loaded {
        tasks: ids.len(),
        ids,
        used,
        runs: board.runs.into_inner(),
        steps: board.steps.into_inner(),
        twice: board.twice.into_inner(),
        submit,
        end_to_end: board.end_to_end,
        to_start: board.to_start,
        charge: board.charge,
        forest: board.forest,
    })
}

impl Loaded {
    /// What every row with this load prints, the checks included.
    pub(super) async fn figures(
        &self,
        client: &Client,
        shape: Shape,
        verify: Option<usize>,
    ) -> Result<Map<String, Value>> {
        let mut checks = self.ids.verify(client, verify, Some(self.runs)).await?;
        let steps_fit = self.steps == self.tasks * shape.steps as u64;
        if let Some(checks) = checks.as_object_mut() {
            let is_ok = checks.get("ok") == Some(&Value::Bool(true)) && self.twice == 0 && steps_fit;
            checks.insert("ok".to_owned(), is_ok.into());
            checks.insert("run_twice".to_owned(), self.twice.into());
            checks.insert("step_runs".to_owned(), self.steps.into());
        }
        if let Some(forest) = &self.forest {
            add_books(&mut checks, forest.verify(client).await?);
        }
        let figures = json!({
            "in_flight": shape.in_flight,
            "batch": shape.batch,
            "workers": shape.workers,
            "slots": shape.slots,
            "input_bytes": shape.input_bytes,
            "steps": shape.steps,
            "tasks": self.tasks,
            "tasks_per_s": self.used.per_second(self.tasks),
            "submit": self.submit.figures(),
            "submit_to_handler_start": self.to_start.figures(),
            "charge": self.charge.figures(),
            "submit_to_handler_end": self.end_to_end.figures(),
            "usage": self.used.figures(self.tasks),
            "checks": checks,
        });
        Ok(match figures {
            Value::Object(figures) => figures,
            _ => Map::new(),
        })
    }

    /// Tasks a second divided by `other`.
    pub(super) fn share_of(&self, other: f64) -> f64 {
        round(self.used.per_second(self.tasks) / other.max(f64::MIN_POSITIVE))
    }
}

/// A task of exactly this many bytes of input, if that is enough to hold its numbers.
pub(super) fn padded(submission: Submission, bytes: usize) -> Submission {
    submission.input(&Input { s: 0, n: 0, i: 0, p: "x".repeat(bytes.saturating_sub(27)) })
}

fn worker(client: &Client, shape: Shape, board: &Arc<Board>) -> Result<Worker> {
    let board = Arc::clone(board);
    let worker = Worker::builder(client)
        .slots(shape.slots)
        .handler(KIND, move |ctx: Context, input: Input| {
            let board = Arc::clone(&board);
            async move {
                board.started(&input);
                for step in 0..shape.steps {
                    let key = format!("step-{step}");
                    let run = async || {
                        board.steps.fetch_add(1, Ordering::Relaxed);
                        Ok(step)
                    };
                    ctx.step(&key, run).await?;
                }
                board.spend(&ctx, &input).await?;
                board.ran(&input)
            }
        })
        .build()?;
    Ok(worker)
}

impl Board {
    async fn spend(&self, ctx: &Context, input: &Input) -> Result<(), Failure> {
        let Some(forest) = &self.forest else { return Ok(()) };
        let since = Instant::now();
        ctx.charge(amount(PRICE)).await?;
        self.charge.record(since.elapsed());
        forest.note(input.s, PRICE);
        Ok(())
    }

    fn started(&self, input: &Input) {
        let Some(round) = self.rounds.get(input.s) else { return };
        let state = round.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(since) = state.since.filter(|_| state.n == input.n) {
            self.to_start.record(since.elapsed());
        }
    }

    fn ran(&self, input: &Input) -> Result<(), Failure> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let Some(round) = self.rounds.get(input.s) else {
            return Err(Failure::new("unknown_task", "nobody submitted this").no_retry());
        };
        let mut state = round.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.n != input.n || state.open.remove(&input.i).is_none() {
            self.twice.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        if let Some(since) = state.since {
            self.end_to_end.record(since.elapsed());
        }
        if state.open.is_empty() {
            round.done.notify_one();
        }
        Ok(())
    }
}

async fn keep_submitting(
    client: &Client,
    shape: Shape,
    submitter: usize,
    until: Instant,
    board: &Board,
    ids: &Ids,
    submit: &Latencies,
) -> Result<()> {
    let Some(round) = board.rounds.get(submitter) else { return Ok(()) };
    let mut n = 0;
    while Instant::now() < until {
        n += 1;
        let since = Instant::now();
        {
            let mut state = round.state.lock().unwrap_or_else(PoisonError::into_inner);
            *state = RoundState { n, since: Some(since), open: (0..shape.batch).map(|i| (i, ())).collect() };
        }
        let task = |i| {
            let bare = Input { s: submitter, n, i, p: String::new() };
            let bytes = serde_json::to_vec(&bare).map_or(0, |json| json.len());
            let p = "x".repeat(shape.input_bytes.saturating_sub(bytes));
            let task = Submission::new(KIND).input(&Input { p, ..bare });
            match &board.forest {
                Some(forest) => task.budget(forest.leaf(submitter), |budget| budget.hold(DIMENSION, HELD)),
                None => task,
            }
        };
        if shape.batch == 1 {
            ids.add(&client.submit(task(0)).await?.id)?;
        } else {
            for submitted in client.submit_batch((0..shape.batch).map(task)).await? {
                ids.add(&submitted?.id)?;
            }
        }
        submit.record(since.elapsed());
        round.done.notified().await;
    }
    Ok(())
}
