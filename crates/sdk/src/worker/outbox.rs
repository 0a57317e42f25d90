//! What the next exchange will carry: charges, asks for more, results, steps and lines of logs, in the order they
//! happened.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use stint_api::{
    ExchangeCharge, ExchangeHold, ExchangeLog, ExchangeResult, ExchangeStep, LOG_BYTES, LOG_LINES, Outcome,
};
use tokio::time::Instant;

/// Bytes of payload at which an exchange closes: a body holds 4 MiB, and base64 and escapes need room.
const EXCHANGE_BYTES: usize = 2 << 20;

/// Results and steps at which an exchange closes.
const EXCHANGE_ITEMS: usize = 5_000;

/// Charges at which an exchange closes, and asks for more: each may be as long as a kilobyte or two.
const EXCHANGE_CHARGES: usize = 500;

/// How long a step's result waits for company: usually the next step or the attempt's end follows at once, and
/// goes in the same exchange.
pub(super) const LINGER: Duration = Duration::from_millis(1);

/// How long lines of logs wait for an exchange that goes anyway.
pub(super) const LOG_WAIT: Duration = Duration::from_secs(1);

/// What is still to be said.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    results: VecDeque<ExchangeResult>,
    steps: VecDeque<ExchangeStep>,
    logs: VecDeque<ExchangeLog>,
    charges: VecDeque<ExchangeCharge>,
    holds: VecDeque<ExchangeHold>,
    /// When the oldest line came in.
    logs_since: Option<Instant>,
    /// When the oldest content that may linger came in.
    lingering_since: Option<Instant>,
    /// Whether something is there that should go at once.
    urgent: bool,
}

/// What one exchange carries.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) results: Vec<ExchangeResult>,
    pub(super) steps: Vec<ExchangeStep>,
    pub(super) logs: Vec<ExchangeLog>,
    pub(super) charges: Vec<ExchangeCharge>,
    pub(super) holds: Vec<ExchangeHold>,
}

impl Outbox {
    pub(super) fn push_result(&mut self, lease: &str, outcome: Outcome) {
        self.results.push_back(ExchangeResult { lease: lease.to_owned(), outcome });
        self.urgent = true;
    }

    pub(super) fn push_step(&mut self, step: ExchangeStep, now: Instant) {
        if step.output.is_none() {
            self.urgent = true;
        } else {
            self.lingering_since.get_or_insert(now);
        }
        self.steps.push_back(step);
    }

    pub(super) fn push_charge(&mut self, charge: ExchangeCharge) {
        self.charges.push_back(charge);
        self.urgent = true;
    }

    pub(super) fn push_hold(&mut self, hold: ExchangeHold) {
        self.holds.push_back(hold);
        self.urgent = true;
    }

    /// Adds lines to an attempt's log. More than the server would ever keep are dropped here.
    pub(super) fn push_log(&mut self, lease: &str, mut lines: Vec<String>, now: Instant) {
        self.logs_since.get_or_insert(now);
        let log = match self.logs.iter_mut().rposition(|log| log.lease == lease) {
            Some(at) => self.logs.get_mut(at),
            None => {
                self.logs.push_back(ExchangeLog { lease: lease.to_owned(), lines: Vec::new() });
                self.logs.back_mut()
            }
        };
        let Some(log) = log else { return };
        let mut bytes: usize = log.lines.iter().map(String::len).sum();
        lines.truncate(LOG_LINES.saturating_sub(log.lines.len()));
        log.lines.extend(lines.into_iter().take_while(|line| {
            let has_room = bytes < LOG_BYTES;
            bytes += line.len();
            has_room
        }));
    }

    /// Takes back what was refused for now, in front of what came later.
    pub(super) fn put_back(&mut self, content: Content) {
        for result in content.results.into_iter().rev() {
            self.results.push_front(result);
        }
        for step in content.steps.into_iter().rev() {
            self.steps.push_front(step);
        }
        for log in content.logs.into_iter().rev() {
            self.logs.push_front(log);
        }
        for charge in content.charges.into_iter().rev() {
            self.charges.push_front(charge);
        }
        for hold in content.holds.into_iter().rev() {
            self.holds.push_front(hold);
        }
        self.urgent |= !self.is_empty();
    }

    /// Drops what is still to be said about a lease that no longer counts; what was spent under it still does.
    pub(super) fn forget(&mut self, lease: &str) {
        self.results.retain(|result| result.lease != lease);
        self.steps.retain(|step| step.lease != lease);
        self.logs.retain(|log| log.lease != lease);
        self.holds.retain(|hold| hold.lease != lease);
    }

    /// Charges that nobody has heard of.
    pub(super) fn charges(&self) -> usize {
        self.charges.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.results.is_empty()
            && self.steps.is_empty()
            && self.logs.is_empty()
            && self.charges.is_empty()
            && self.holds.is_empty()
    }

    /// Whether there is something that should be said now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.urgent || self.due_at().is_some_and(|at| at <= now)
    }

    /// When what lingers has lingered long enough.
    pub(super) fn due_at(&self) -> Option<Instant> {
        let lines = self.logs_since.map(|since| since + LOG_WAIT);
        self.lingering_since.map(|since| since + LINGER).into_iter().chain(lines).min()
    }

    /// The next exchange's share. A lease's result never overtakes its steps and lines, and none of them a charge: what is
    /// in the journal is not spent again.
    pub(super) fn take(&mut self) -> Content {
        let mut content = Content::default();
        content.charges.extend(self.charges.drain(..self.charges.len().min(EXCHANGE_CHARGES)));
        content.holds.extend(self.holds.drain(..self.holds.len().min(EXCHANGE_CHARGES)));
        if !self.charges.is_empty() {
            self.urgent = true;
            return content;
        }
        let mut bytes = 0;
        while let Some(step) = self.steps.pop_front() {
            let size = step.output.as_ref().map_or(0, stint_api::Payload::size);
            if !content.steps.is_empty()
                && (bytes + size > EXCHANGE_BYTES || content.steps.len() >= EXCHANGE_ITEMS)
            {
                self.steps.push_front(step);
                break;
            }
            bytes += size;
            content.steps.push(step);
        }
        while let Some(log) = self.logs.pop_front() {
            let size: usize = log.lines.iter().map(String::len).sum();
            if !content.is_empty() && (bytes + size > EXCHANGE_BYTES || content.logs.len() >= EXCHANGE_ITEMS)
            {
                self.logs.push_front(log);
                break;
            }
            bytes += size;
            content.logs.push(log);
        }
        let steps = self.steps.iter().map(|step| step.lease.as_str());
        let waiting: BTreeSet<&str> = steps.chain(self.logs.iter().map(|log| log.lease.as_str())).collect();
        let mut later = VecDeque::new();
        while let Some(result) = self.results.pop_front() {
            let size = size_of(&result.outcome);
            let is_first = content.is_empty();
            let is_full = bytes + size > EXCHANGE_BYTES || content.results.len() >= EXCHANGE_ITEMS;
            if waiting.contains(result.lease.as_str()) || (is_full && !is_first) {
                later.push_back(result);
                continue;
            }
            bytes += size;
            content.results.push(result);
        }
        self.results = later;
        self.urgent = !self.is_empty();
        self.lingering_since = None;
        self.logs_since = None;
        content
    }
}

impl Content {
    pub(super) fn is_empty(&self) -> bool {
        self.results.is_empty()
            && self.steps.is_empty()
            && self.logs.is_empty()
            && self.charges.is_empty()
            && self.holds.is_empty()
    }
}

fn size_of(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Complete(complete) => complete.output.size(),
        Outcome::Fail(fail) => {
            fail.error.message.len() + fail.error.details.as_ref().map_or(0, |details| details.get().len())
        }
        Outcome::Release(_) | Outcome::Suspended(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use stint_api::{CompleteRequest, Payload};

    use super::*;

    fn complete(output: Payload) -> Outcome {
        Outcome::Complete(CompleteRequest::new(output))
    }

    fn step(lease: &str, output: Option<Payload>) -> ExchangeStep {
        ExchangeStep { lease: lease.to_owned(), key: "k".to_owned(), output }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_result_lingers_until_something_else_is_said() {
        let mut outbox = Outbox::default();
        outbox.push_step(step("a", Some(Payload::null())), Instant::now());
        assert!(!outbox.is_due(Instant::now()));
        outbox.push_step(step("a", None), Instant::now());
        assert!(outbox.is_due(Instant::now()));
        assert_eq!(outbox.take().steps.len(), 2);

        outbox.push_step(step("a", Some(Payload::null())), Instant::now());
        tokio::time::advance(LINGER).await;
        assert!(outbox.is_due(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn lines_wait_for_company_and_go_before_their_attempts_end() {
        let mut outbox = Outbox::default();
        for line in ["one", "two"] {
            outbox.push_log("a", vec![line.to_owned()], Instant::now());
        }
        assert!(!outbox.is_due(Instant::now()));
        tokio::time::advance(LOG_WAIT).await;
        assert!(outbox.is_due(Instant::now()));
        outbox.push_result("a", complete(Payload::null()));
        let content = outbox.take();
        assert_eq!((content.logs.len(), content.results.len()), (1, 1));
        assert_eq!(content.logs[0].lines, ["one", "two"]);

        // What the server would never keep is not held here either.
        let line = "x".repeat(64 << 10);
        for _ in 0..100 {
            outbox.push_log("b", vec![line.clone()], Instant::now());
        }
        let kept: usize = outbox.take().logs[0].lines.iter().map(String::len).sum();
        assert!(kept <= LOG_BYTES + line.len(), "{kept}");
        // One that says too much at once keeps the beginning.
        outbox.push_log("c", vec!["x".to_owned(); LOG_LINES + 5], Instant::now());
        assert_eq!(outbox.take().logs[0].lines.len(), LOG_LINES);
    }

    #[tokio::test(start_paused = true)]
    async fn an_exchange_is_bounded_and_results_stay_behind_their_steps() {
        let large = || Payload::bytes(vec![0; 900 << 10], "application/octet-stream");
        let mut outbox = Outbox::default();
        for lease in ["a", "b", "c"] {
            outbox.push_step(step(lease, Some(large())), Instant::now());
        }
        outbox.push_result("a", complete(Payload::null()));
        outbox.push_result("c", complete(Payload::null()));
        let first = outbox.take();
        assert_eq!(first.steps.len(), 2);
        assert_eq!(first.results.iter().map(|r| r.lease.as_str()).collect::<Vec<_>>(), ["a"]);
        assert!(outbox.is_due(Instant::now()));
        let second = outbox.take();
        assert_eq!((second.steps.len(), second.results.len()), (1, 1));
        assert!(outbox.is_empty() && !outbox.is_due(Instant::now()));
    }
}
