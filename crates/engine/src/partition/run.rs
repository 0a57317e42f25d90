//! A command runs on the projection at once, or waits until the cold records it needs are read.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use stint_core::command::{Outcome, undo_panicked};
use stint_core::{Command, ExecutionId, Inputs, Key, Refusal, execute};
use stint_store::{PartitionId, Room, StoreError, Values};
use tokio::time::Instant;

use super::Actor;
use super::batch::table;
use super::cold::Known;
use super::job::{Job, Ran, To, subject};
use crate::CallError;

/// Odd, so that different sequences stay different numbers.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Keys read at once.
const READ_KEYS_MAX: usize = 2_000;

/// A read for the first jobs that wait.
pub(super) struct Read {
    keys: Vec<Key>,
    /// Jobs at the front of the queue that it is for.
    jobs: usize,
    /// The committed version when it was sent.
    version: u64,
    /// What was committed since, by key, with the version.
    overlay: BTreeMap<Key, (u64, Option<Bytes>)>,
    pub(super) since: Instant,
    values: BoxFuture<'static, Result<Values, StoreError>>,
}

/// Waits for a read.
pub(super) async fn done(reading: &mut Option<Read>) -> Result<Values, StoreError> {
    match reading {
        Some(read) => (&mut read.values).await,
        None => std::future::pending().await,
    }
}

impl Read {
    /// Notes a committed write, in case the read was done before it.
    pub(super) fn overlay(&mut self, key: &Key, value: &Option<Bytes>, version: u64) {
        self.overlay.insert(key.clone(), (version, value.clone()));
    }
}

impl Actor {
    /// Runs a job, or lets it wait for what it needs, behind what waits already about the same execution.
    pub(super) fn accept(&mut self, job: Job) {
        let Job::Run { command, keys, .. } = &job else { return self.look(job) };
        if command.adds_work() && self.shared.store.room() == Room::Low {
            return self.refuse(job, CallError::DiskFull);
        }
        let behind = !self.waiting.is_empty()
            && subject(command).is_some_and(|about| self.waiting_about.contains_key(&about));
        if behind || !self.knows(command, keys) {
            return self.wait(job);
        }
        self.run_now(job);
    }

    fn knows(&self, command: &Command, keys: &[Key]) -> bool {
        let needed = command.cold_keys(&self.projection);
        needed.iter().chain(keys).all(|key| self.is_known(key))
    }

    fn is_known(&self, key: &Key) -> bool {
        self.open.txn.cold(key).is_some() || self.known().find(key).is_some()
    }

    fn known(&self) -> Known<'_> {
        Known {
            in_flight: self.in_flight.as_ref().map(|f| &f.open.txn),
            fetched: &self.fetched,
            recent: &self.recent,
        }
    }

    fn look(&mut self, mut job: Job) {
        if let Job::Look(look) = &mut job {
            look.look(&self.projection);
        }
        let ran = Ran { job, answer: None };
        let news = self.open.writes_any() || !self.shared.store.exclusive();
        match &mut self.in_flight {
            // All that it saw is in the batch under way, so it need not wait for the next one as well. Where others may
            // write, that batch says nothing of what they did since it was sent.
            Some(flight) if !news => flight.open.ran.push(ran),
            _ => self.open.ran.push(ran),
        }
    }

    /// Runs a command into the open batch.
    pub(super) fn run_now(&mut self, mut job: Job) {
        let Job::Run { command, to, keys } = &mut job else { return self.look(job) };
        let version = self.head.version + 1 + u64::from(self.in_flight.as_ref().is_some_and(|f| f.commit));
        self.sequence = (self.sequence + 1).max(version << 20);
        let before = self.open.txn.savepoint();
        let puts = self.open.txn.puts();
        let cold = Known {
            in_flight: self.in_flight.as_ref().map(|f| &f.open.txn),
            fetched: &self.fetched,
            recent: &self.recent,
        };
        let (lanes, here) = (&self.shared.lanes, self.id);
        let elsewhere = |namespace: &str, lane: &str| lanes.elsewhere(here, namespace, lane);
        let timers = &self.timers;
        let inputs = Inputs {
            now: self.now,
            sequence: self.sequence,
            fresh: self.salt.wrapping_add(self.sequence).wrapping_mul(SPREAD),
            cold: &cold,
            lane_length_elsewhere: &elsewhere,
            quarantined: &|id| timers.is_quarantined(id),
        };
        let (projection, txn) = (&mut self.projection, &mut self.open.txn);
        // The rules are undone by the savepoint, so nothing is seen half done.
        let ran = catch_unwind(AssertUnwindSafe(|| execute(projection, txn, command, &inputs)));
        let answer = match ran {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(Refusal::Cold(more))) => {
                keys.extend(more);
                keys.sort();
                keys.dedup();
                return self.wait(job);
            }
            Ok(Err(refusal)) => Err(CallError::Refused(refusal)),
            Err(_) => {
                undo_panicked(&mut self.projection, &mut self.open.txn, before);
                tracing::error!(
                    partition = self.id.0,
                    command = name(command),
                    "a rule panicked and was undone"
                );
                Err(CallError::Internal)
            }
        };
        if let Command::Submit(submit) = &**command {
            self.note_preferences(submit);
        }
        match to {
            To::Claim(claim, slots) => {
                let filled = match &answer {
                    Ok(Outcome::Leased(grants, _)) => grants.len(),
                    _ => 0,
                };
                let asked = match &answer {
                    Ok(Outcome::Leased(_, asked)) => asked.clone(),
                    _ => Vec::new(),
                };
                let unfilled = slots.saturating_sub(filled + asked.len());
                if unfilled > 0 {
                    self.unfilled.push((*claim, unfilled));
                }
                *slots = filled;
                let claim = *claim;
                self.note_asking(claim, &asked);
            }
            To::Timer(id) => {
                // One that finds nothing to do is done, unless it would be back at once.
                let execution = self.projection.execution(*id);
                let due = execution.and_then(|e| e.next_due(self.projection.able_since()));
                let done = self.open.txn.puts() > puts || due.is_none_or(|due| due > self.now);
                if self.timers.fired(self.id, *id, done && answer.is_ok(), self.now) {
                    self.shared.tally.quarantined();
                }
            }
            To::Budgets => {
                let due = self.projection.budgets_next_due();
                let done = self.open.txn.puts() > puts || due.is_none_or(|due| due > self.now);
                if self.timers.elapsed(self.id, done && answer.is_ok(), self.now) {
                    self.shared.tally.quarantined();
                }
            }
            To::Caller(_) | To::Peer(_) | To::Nobody | To::Gone => {}
        }
        self.open.ran.push(Ran { job, answer: Some(answer) });
    }

    /// Refuses a job that has not run.
    pub(super) fn refuse(&mut self, job: Job, error: CallError) {
        self.shared.answered(self.id, job.weight());
        match &job {
            Job::Run { to: To::Claim(claim, slots), .. } => self.unfilled.push((*claim, *slots)),
            Job::Run { to: To::Peer(peer), .. } => self.acknowledged(*peer),
            _ => {}
        }
        job.refuse(error);
    }

    pub(super) fn wait(&mut self, job: Job) {
        if let Some(about) = about(&job) {
            *self.waiting_about.entry(about).or_default() += 1;
        }
        self.waiting.push_back(job);
    }

    fn wait_first(&mut self, job: Job) {
        if let Some(about) = about(&job) {
            *self.waiting_about.entry(about).or_default() += 1;
        }
        self.waiting.push_front(job);
    }

    fn next_waiting(&mut self) -> Option<Job> {
        let job = self.waiting.pop_front()?;
        self.waits_no_more(&job);
        Some(job)
    }

    fn last_waiting(&mut self) -> Option<Job> {
        let job = self.waiting.pop_back()?;
        self.waits_no_more(&job);
        Some(job)
    }

    fn waits_no_more(&mut self, job: &Job) {
        if let Some(about) = about(job)
            && let Some(count) = self.waiting_about.get_mut(&about)
        {
            *count -= 1;
            if *count == 0 {
                self.waiting_about.remove(&about);
            }
        }
    }

    /// Sends one read for all jobs that wait.
    pub(super) fn read_cold(&mut self) {
        while self.reading.is_none() && !self.waiting.is_empty() && self.open.has_room() {
            let mut needed = BTreeSet::new();
            let mut jobs = 0;
            for job in &self.waiting {
                if let Job::Run { command, keys, .. } = job {
                    let certain = command.cold_keys(&self.projection);
                    needed.extend(
                        certain.into_iter().chain(keys.iter().cloned()).filter(|key| !self.is_known(key)),
                    );
                }
                jobs += 1;
                if needed.len() >= READ_KEYS_MAX {
                    break;
                }
            }
            if needed.is_empty() {
                self.run_waiting(jobs);
                continue;
            }
            let keys: Vec<Key> = needed.into_iter().collect();
            let asked: Vec<_> = keys.iter().map(|key| (table(key.table), key.bytes.clone())).collect();
            let (store, id) = (self.shared.store.clone(), PartitionId(self.id.0));
            let values = Box::pin(async move {
                let mut pauses = crate::backoff::pauses();
                loop {
                    match store.get(id, asked.clone()).await {
                        Ok(values) => return Ok(values),
                        Err(error @ StoreError::Fatal(_)) => return Err(error),
                        Err(_) => pauses.wait().await,
                    }
                }
            });
            let version = self.head.version;
            let since = Instant::now();
            self.reading = Some(Read { keys, jobs, version, overlay: BTreeMap::new(), since, values });
        }
    }

    /// Runs the jobs that a read was for.
    pub(super) fn read_done(&mut self, read: Result<Values, StoreError>) {
        let Some(Read { keys, jobs, version, mut overlay, .. }) = self.reading.take() else { return };
        let values = match read {
            Ok(values) => values,
            Err(error) => return self.fail(&error.to_string()),
        };
        if values.head.version < version {
            // Older than what is known to be committed: the store lost writes. The head decides before anything else.
            self.suspect = true;
            return;
        }
        self.now = self.floor.now(&self.shared.clock);
        for (key, value) in keys.into_iter().zip(values.values) {
            let value = match overlay.remove(&key) {
                Some((committed, newer)) if committed > values.head.version => newer,
                _ => value,
            };
            self.fetched.insert(key, value);
        }
        self.run_waiting(jobs);
        self.fetched.clear();
    }

    /// Runs the first jobs that wait. Those that must wait on, or find no room, go back to the front, and with them all that is
    /// about the same execution: an execution's commands keep their order.
    fn run_waiting(&mut self, jobs: usize) {
        let mut again = Vec::new();
        let mut blocked = BTreeSet::new();
        for _ in 0..jobs {
            let Some(job) = self.next_waiting() else { break };
            let subject = about(&job);
            let knows = match &job {
                Job::Run { command, keys, .. } => self.knows(command, keys),
                Job::Look(_) => true,
            };
            let behind = subject.is_some_and(|about| blocked.contains(&about));
            let stays = behind || !knows || !self.open.has_room();
            if stays {
                blocked.extend(subject);
                again.push(job);
                continue;
            }
            let waiting = self.waiting.len();
            self.run_now(job);
            if self.waiting.len() > waiting
                && let Some(job) = self.last_waiting()
            {
                blocked.extend(subject);
                again.push(job);
            }
        }
        for job in again.into_iter().rev() {
            self.wait_first(job);
        }
    }
}

fn about(job: &Job) -> Option<ExecutionId> {
    match job {
        Job::Run { command, .. } => subject(command),
        Job::Look(_) => None,
    }
}

/// A command's name for the log; its content may be secret.
fn name(command: &Command) -> &'static str {
    match command {
        Command::Submit(_) => "submit",
        Command::Claim(_) => "claim",
        Command::UnlistedLeases(_) => "unlisted_leases",
        Command::Unserved(_) => "unserved",
        Command::Heartbeat(_) => "heartbeat",
        Command::Complete(_) => "complete",
        Command::Fail(_) => "fail",
        Command::Release(_) => "release",
        Command::BeginStep(_) => "begin_step",
        Command::RecordStep(_) => "record_step",
        Command::Log(_) => "log",
        Command::Cancel(_) => "cancel",
        Command::Replay(_) => "replay",
        Command::Act(_) => "act",
        Command::Tag(_) => "tag",
        Command::Bulk(_) => "bulk",
        Command::Fire(_) => "fire",
        Command::SetLane(_) => "set_lane",
        Command::Deliver(_) => "deliver",
        Command::Acknowledge(_) => "acknowledge",
        Command::Trim(_) => "trim",
        Command::TrimKey(_) => "trim_key",
        Command::Suspend(_) => "suspend",
        Command::ChargeLease(_) => "charge_lease",
        Command::LeaseBudgets(_) => "lease_budgets",
        Command::Recharge(_) => "recharge",
        Command::SetBudget(_) => "set_budget",
        Command::DeleteBudget(_) => "delete_budget",
        Command::ChargeBudget(_) => "charge_budget",
        Command::ChargeHold(_) => "charge_hold",
        Command::BookCharge(_) => "book_charge",
        Command::Refund(_) => "refund",
        Command::Adjust(_) => "adjust",
        Command::HoldBudget(_) => "hold_budget",
        Command::ExtendHold(_) => "extend_hold",
        Command::SettleHold(_) => "settle_hold",
        Command::ReleaseHold(_) => "release_hold",
        Command::Elapse(_) => "elapse",
        Command::ShowBudget(_) => "show_budget",
        Command::ListBudgets(_) => "list_budgets",
        Command::CheckUses(_) => "check_uses",
        Command::ShowPlace(_) => "show_place",
        Command::Unverified(_) => "unverified",
        Command::Verify(_) => "verify",
        Command::Reconcile(_) => "reconcile",
        Command::RollUpLedger(_) => "roll_up_ledger",
        Command::FoldLedger(_) => "fold_ledger",
        Command::SweepLedger(_) => "sweep_ledger",
        Command::TrimLedger(_) => "trim_ledger",
        Command::SetPrices(_) => "set_prices",
        Command::SetNamespace(_) => "set_namespace",
        Command::Show(_) => "show",
        Command::Peek(_) => "peek",
        Command::Why(_) => "why",
    }
}
