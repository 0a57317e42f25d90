//! What happened, in order: hashed always, printed if asked, and its end kept for whoever has to read a failure.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// Lines kept for a report.
const TAIL: usize = 400;

/// The trace of one run. Two runs of one seed have the same hash.
#[derive(Debug)]
pub(crate) struct Trace {
    started: Instant,
    prints: bool,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    hash: u64,
    lines: u64,
    tail: VecDeque<String>,
    tally: BTreeMap<&'static str, u64>,
}

impl Trace {
    pub(crate) fn new(prints: bool) -> Self {
        Self { started: Instant::now(), prints, kept: Mutex::default() }
    }

    pub(crate) fn say(&self, what: fmt::Arguments<'_>) {
        let line = format!("{:>10} {what}", self.elapsed_ms());
        if self.prints {
            println!("{line}");
        }
        let mut kept = self.lock();
        kept.hash = xxhash_rust::xxh3::xxh3_64_with_seed(line.as_bytes(), kept.hash);
        kept.lines += 1;
        if kept.tail.len() == TAIL {
            kept.tail.pop_front();
        }
        kept.tail.push_back(line);
    }

    /// Counts something that happened, to show what a run has been through.
    pub(crate) fn count(&self, what: &'static str) {
        *self.lock().tally.entry(what).or_default() += 1;
    }

    pub(crate) fn tally(&self) -> BTreeMap<&'static str, u64> {
        self.lock().tally.clone()
    }

    /// Virtual milliseconds since the run began.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    pub(crate) fn hash(&self) -> u64 {
        self.lock().hash
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lock().lines
    }

    pub(crate) fn tail(&self) -> Vec<String> {
        self.lock().tail.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
