//! What a submission says besides its kind and input, as flags.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::value::RawValue;
use stint::Amounts;
use stint::api::{BudgetUse, Instant, Payload, Retry, SubmitRequest};

use super::amounts::{amount, budget, distinct};
use crate::clock;
use crate::exit::Failed;

/// A submission's fields. In a submission from a file they stand in for what a line leaves out.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Submission")]
pub(crate) struct Fields {
    /// The queue it stands in.
    #[arg(long)]
    lane: Option<String>,
    /// -100 to 100, higher first.
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Not before this many milliseconds.
    #[arg(long, value_name = "MS", conflicts_with = "run_at")]
    delay_ms: Option<u64>,
    /// Not before this instant: 2026-11-23T10:00:00Z.
    #[arg(long, value_name = "INSTANT", value_parser = clock::ahead)]
    run_at: Option<Instant>,
    /// Gives up if no attempt has started by then, from submission.
    #[arg(long, value_name = "MS")]
    queue_ttl_ms: Option<u64>,
    /// How long one attempt may take.
    #[arg(long, value_name = "MS")]
    attempt_timeout_ms: Option<u64>,
    /// How long the whole execution may take, from submission.
    #[arg(long, value_name = "MS")]
    deadline_ms: Option<u64>,
    /// How long a worker may be silent.
    #[arg(long, value_name = "MS")]
    lease_ttl_ms: Option<u64>,
    /// Attempts in all, the first included.
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// How many attempts may end without their worker's word.
    #[arg(long, value_name = "N")]
    max_crashes: Option<u32>,
    /// Something a worker must be able to do: `gpu`, `mem_gb >= 16`. May be repeated.
    #[arg(long, value_name = "PREDICATE")]
    requires: Vec<String>,
    /// Something a worker should rather be able to do. May be repeated.
    #[arg(long, value_name = "PREDICATE")]
    prefer: Vec<String>,
    /// Whose turn it takes when a lane is shared.
    #[arg(long, value_name = "KEY")]
    fairness_key: Option<String>,
    /// A budget that it may spend from, with what each attempt holds: acme/search, acme/search:usd=0.02,calls=3. May be
    /// repeated.
    #[arg(long = "budget", value_name = "PATH[:HOLD]", value_parser = budget)]
    budgets: Vec<(String, Option<Amounts>)>,
    /// The most that it may spend of each budget over all its attempts: usd=1.50, or wall_clock_ms=600000. May be repeated.
    #[arg(long, value_name = "DIMENSION=AMOUNT", value_parser = amount, requires = "budgets")]
    cap: Vec<(String, u64)>,
    /// The most that one attempt may spend of each. May be repeated.
    #[arg(long, value_name = "DIMENSION=AMOUNT", value_parser = amount, requires = "budgets")]
    attempt_cap: Vec<(String, u64)>,
    /// A tag to find it by. May be repeated.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = pair)]
    tags: Vec<(String, String)>,
    /// How long it is kept after its end.
    #[arg(long, value_name = "MS")]
    retention_ms: Option<u64>,
    /// W3C trace context, handed to the worker.
    #[arg(long)]
    traceparent: Option<String>,
}

/// An input that was given on the command line.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Input {
    /// The input, as JSON; null unless given.
    #[arg(value_parser = json)]
    input: Option<Box<RawValue>>,
    /// Reads the input from this file instead: JSON, or bytes if there is a content type.
    #[arg(long, value_name = "FILE", conflicts_with = "input")]
    input_file: Option<PathBuf>,
    /// What the bytes of the input file are, such as image/png.
    #[arg(long, value_name = "TYPE", requires = "input_file")]
    content_type: Option<String>,
}

impl Fields {
    /// What reading each by itself does not tell.
    pub(crate) fn check(&self) -> Result<(), Failed> {
        distinct(self.cap.iter().cloned())?;
        distinct(self.attempt_cap.iter().cloned()).map(drop)
    }

    /// Fills in what the request leaves out.
    pub(crate) fn complete(&self, request: &mut SubmitRequest) {
        fn fill<T: Clone>(field: &mut Option<T>, given: &Option<T>) {
            if field.is_none() {
                field.clone_from(given);
            }
        }
        fill(&mut request.lane, &self.lane);
        fill(&mut request.priority, &self.priority);
        if request.run_at.is_none() && request.delay_ms.is_none() {
            (request.run_at, request.delay_ms) = (self.run_at, self.delay_ms);
        }
        fill(&mut request.queue_ttl_ms, &self.queue_ttl_ms);
        fill(&mut request.attempt_timeout_ms, &self.attempt_timeout_ms);
        fill(&mut request.deadline_ms, &self.deadline_ms);
        fill(&mut request.lease_ttl_ms, &self.lease_ttl_ms);
        fill(&mut request.max_crashes, &self.max_crashes);
        fill(&mut request.fairness_key, &self.fairness_key);
        fill(&mut request.retention_ms, &self.retention_ms);
        fill(&mut request.traceparent, &self.traceparent);
        if self.max_attempts.is_some() {
            let retry = request.retry.get_or_insert_with(Retry::default);
            fill(&mut retry.max_attempts, &self.max_attempts);
        }
        if request.requires.is_empty() {
            request.requires.clone_from(&self.requires);
        }
        if request.prefer.is_empty() {
            request.prefer.clone_from(&self.prefer);
        }
        if request.budgets.is_empty() {
            let named = self.budgets.iter();
            let most = |of: &[(String, u64)]| (!of.is_empty()).then(|| Amounts::of(of.to_vec()));
            let named = named.map(|(path, hold)| BudgetUse {
                cap: most(&self.cap),
                attempt_cap: most(&self.attempt_cap),
                ..BudgetUse::new(path, hold.clone())
            });
            request.budgets = named.collect();
        }
        for (key, value) in &self.tags {
            request.tags.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}

impl Input {
    /// The input as it is sent.
    pub(crate) fn payload(self) -> Result<Payload> {
        let Some(path) = self.input_file else {
            return Ok(self.input.map_or_else(Payload::null, Payload::Json));
        };
        let name = path.display();
        let bytes = std::fs::read(&path).map_err(|error| Failed::Usage(format!("{name}: {error}")))?;
        match self.content_type {
            Some(content_type) => Ok(Payload::bytes(bytes, content_type)),
            None => serde_json::from_slice(&bytes).map_err(|error| {
                let what = format!("{name} is not JSON: {error}; say what it is with --content-type");
                Failed::Usage(what).into()
            }),
        }
    }
}

fn json(text: &str) -> Result<Box<RawValue>, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("not JSON: {error} (a text needs quotes of its own: '\"like this\"')"))
}

/// `KEY=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not KEY=VALUE")),
    }
}
