//! A job: what a simulated execution is asked to do. It travels as the execution's input, so that whoever reads
//! the store knows what was wanted without asking the engine.

use serde::{Deserialize, Serialize};
use stint_api::Payload;
use stint_core::model::{Spec, Stored};

use crate::check::history::Limits;
use crate::dice::Dice;

/// The input of every execution here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Its number, one for each submission that is meant to be another.
    pub(crate) job: u64,
    /// Journaled steps.
    pub(crate) steps: u32,
    /// Virtual ms of work before, between and after them.
    pub(crate) work_ms: u64,
    /// What each attempt comes to; beyond the last one it completes.
    pub(crate) attempts: Vec<Deed>,
    /// As submitted.
    pub(crate) max_attempts: u32,
    /// As submitted.
    pub(crate) max_crashes: u32,
    /// What each attempt spends in all, and holds at its start; 0 names no budget.
    #[serde(default)]
    pub(crate) cost: u64,
    /// How it treats the money.
    #[serde(default)]
    pub(crate) manners: Manners,
}

/// How a job treats the money that it spends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) enum Manners {
    /// It holds from its start what it spends in all.
    #[default]
    Provident,
    /// It holds next to nothing, and makes sure of the money before it spends.
    Asking,
    /// It holds next to nothing, and spends all the same.
    Careless,
}

/// What becomes of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Deed {
    /// It completes.
    Complete,
    /// It fails, to be retried.
    Fail,
    /// It fails and asks for another soon.
    FailSoon,
    /// It fails for good.
    FailForGood,
    /// Its code panics.
    Panic,
    /// It never comes back, and its heartbeats go on.
    Hang,
}

impl Job {
    /// A job like those of real life: most complete, some do not.
    pub(crate) fn draw(number: u64, dice: &Dice) -> Self {
        let attempts = (0..dice.below(4))
            .map(|_| match dice.below(20) {
                0..=9 => Deed::Complete,
                10..=13 => Deed::Fail,
                14 | 15 => Deed::FailSoon,
                16 => Deed::FailForGood,
                17 | 18 => Deed::Panic,
                _ => Deed::Hang,
            })
            .collect();
        Self {
            job: number,
            steps: if dice.chance(400) { dice.between(1, 4) as u32 } else { 0 },
            work_ms: if dice.chance(700) { dice.below(500) } else { dice.below(15_000) },
            attempts,
            max_attempts: dice.between(1, 4) as u32,
            max_crashes: if dice.chance(800) { 5 } else { dice.below(2) as u32 },
            // Not drawn: what was drawn before means the same as ever.
            cost: if number.is_multiple_of(3) { number * 7_919 % 60 + 4 } else { 0 },
            manners: match number % 12 {
                3 => Manners::Asking,
                9 => Manners::Careless,
                _ => Manners::Provident,
            },
        }
    }

    /// What an attempt, counted from 1, comes to.
    pub(crate) fn deed(&self, attempt: u32) -> Deed {
        self.attempts.get(attempt.saturating_sub(1) as usize).copied().unwrap_or(Deed::Complete)
    }

    /// What each of its parts costs: its steps, and the rest of it.
    pub(crate) fn part(&self) -> u64 {
        self.cost / (u64::from(self.steps) + 1)
    }

    /// The budgets that it names.
    pub(crate) fn paths(&self) -> Vec<&'static str> {
        let tree = if self.job.is_multiple_of(2) { "acme/a" } else { "acme" };
        match self.manners {
            _ if self.cost == 0 => Vec::new(),
            Manners::Careless => vec!["loose"],
            _ if self.job.is_multiple_of(5) => vec![tree, "team"],
            _ => vec![tree],
        }
    }

    /// Whether some attempt never comes back on its own.
    pub(crate) fn hangs(&self) -> bool {
        self.attempts.contains(&Deed::Hang)
    }

    /// What it may cost.
    pub(crate) fn limits(&self) -> Limits {
        Limits { max_attempts: self.max_attempts, max_crashes: self.max_crashes }
    }

    /// The job that was submitted with this payload.
    pub(crate) fn of_payload(input: &Payload) -> Option<Self> {
        input.parse().ok()
    }

    /// The job of an execution, from its spec.
    pub(crate) fn of_spec(spec: &[u8]) -> Option<Self> {
        let spec: Spec = minicbor::decode(spec).ok()?;
        serde_json::from_str(&text(&spec.input)?).ok()
    }
}

/// A payload as text, if it stands in its record.
pub(crate) fn text(stored: &Stored) -> Option<String> {
    String::from_utf8(stored.inline.as_ref()?.to_vec()).ok()
}

/// A payload as text.
pub(crate) fn payload_text(payload: &Payload) -> String {
    match payload {
        Payload::Json(json) => json.get().to_owned(),
        Payload::Bytes { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
    }
}
