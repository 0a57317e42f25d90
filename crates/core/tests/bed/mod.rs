//! A partition on a store of its own, a clock that tests turn by hand, and one-line forms of the commands.
//!
//! Every command reads cold records as an engine does: only those it named, then those it asks for. After every command
//! the kept projection is compared with one that is rebuilt from the store.

// Each test binary uses another part of it.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use stint_core::command::*;
use stint_core::model::*;
use stint_core::*;

/// 2026-11-23, so that records are as long as real ones.
pub const START: Millis = 1_795_000_000_000;

pub struct Bed {
    pub partition: Partition,
    pub store: BTreeMap<Key, Bytes>,
    /// Every key ever written.
    pub written: BTreeSet<Key>,
    pub events: Vec<Event>,
    pub now: Millis,
    pub puts: usize,
    pub bytes: usize,
    pub lane_length_elsewhere: u64,
    pub quarantined: Option<ExecutionId>,
    /// Keys that the engine has read beforehand, besides those a command names.
    pub read_first: BTreeSet<Key>,
    count: u64,
}

/// What has been read for a command so far.
struct Read<'a> {
    store: &'a BTreeMap<Key, Bytes>,
    keys: BTreeSet<Key>,
}

impl ColdReads for Read<'_> {
    fn read(&self, key: &Key) -> ColdRead {
        match self.keys.contains(key).then(|| self.store.get(key)) {
            None => ColdRead::Unread,
            Some(None) => ColdRead::Absent,
            Some(Some(value)) => ColdRead::Present(value.clone()),
        }
    }
}

impl Bed {
    pub fn new() -> Self {
        Self::at(PartitionId(7))
    }

    pub fn at(id: PartitionId) -> Self {
        Self {
            partition: Partition::new(id),
            store: BTreeMap::new(),
            written: BTreeSet::new(),
            events: Vec::new(),
            now: START,
            puts: 0,
            bytes: 0,
            lane_length_elsewhere: 0,
            quarantined: None,
            read_first: BTreeSet::new(),
            count: 0,
        }
    }

    /// Runs a command and commits it.
    pub fn run(&mut self, command: Command) -> Result<Outcome, Refusal> {
        let mut txn = Txn::default();
        let outcome = self.run_in(&mut txn, &command);
        if outcome.is_err() {
            assert!(txn.is_empty(), "{command:?} was refused and left something behind");
        }
        self.commit(txn);
        self.check();
        outcome
    }

    /// Runs a command in an open Txn.
    pub fn run_in(&mut self, txn: &mut Txn, command: &Command) -> Result<Outcome, Refusal> {
        self.count += 1;
        let mut keys = self.read_first.clone();
        keys.extend(command.cold_keys(&self.partition));
        let mut read = Read { store: &self.store, keys };
        let (elsewhere, quarantined) = (self.lane_length_elsewhere, self.quarantined);
        for _ in 0..5 {
            let inputs = Inputs {
                now: self.now,
                sequence: self.count,
                fresh: self.count.wrapping_mul(0x9E37_79B9_7F4A_7C15),
                cold: &read,
                lane_length_elsewhere: &|_, _| elsewhere,
                quarantined: &|id| quarantined == Some(id),
            };
            match execute(&mut self.partition, txn, command, &inputs) {
                Err(Refusal::Cold(keys)) => read.keys.extend(keys),
                outcome => return outcome,
            }
        }
        panic!("{command:?} asks for cold records again and again");
    }

    /// Puts a Txn's writes into the store; gives back its absent keys that were there, if any: nothing was put then.
    pub fn commit(&mut self, txn: Txn) -> Vec<Key> {
        let present: Vec<Key> =
            txn.absent().iter().filter(|key| self.store.contains_key(key)).cloned().collect();
        assert!(present.is_empty(), "asserted absent, and there: {present:?}");
        if !txn.events().is_empty() {
            self.bytes += event::encode_log(txn.events()).len();
        }
        for Write { key, value } in txn.writes(&self.partition) {
            self.puts += 1;
            self.bytes += key.bytes.len() + value.as_ref().map_or(0, Bytes::len);
            match value {
                Some(value) => {
                    self.written.insert(key.clone());
                    self.store.insert(key, value);
                }
                None => _ = self.store.remove(&key),
            }
        }
        self.events.extend_from_slice(txn.events());
        present
    }

    /// The projection as another node would load it.
    pub fn rebuilt(&self) -> Partition {
        let mut rebuilt = Partition::new(self.partition.id());
        rebuilt.set_able_since(self.partition.able_since());
        for (key, value) in self.store.iter().filter(|(key, _)| key.table == Table::Live) {
            rebuilt.apply(&key.bytes, Some(value)).unwrap();
        }
        rebuilt
    }

    pub fn check(&self) {
        let mut rebuilt = self.rebuilt();
        // Shelves are not always there: only if lists are answered is there anything to compare.
        if self.partition.list(&find::Filter::all("any"), None, 1).is_some() {
            while !rebuilt.shelve(3) {}
        }
        assert!(rebuilt == self.partition, "the kept projection differs from the records");
    }

    /// Numbers that follow are none that were given out before a loss of writes.
    pub fn skip_ids(&mut self, count: u64) {
        self.count += count;
    }

    pub fn fresh_id(&mut self) -> ExecutionId {
        self.count += 1;
        ExecutionId::fresh(self.now, self.partition.id(), u128::from(self.count))
    }

    pub fn token(&mut self) -> LeaseToken {
        self.count += 1;
        LeaseToken(
            u128::from(self.count).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835).to_be_bytes(),
        )
    }

    pub fn submission(&mut self) -> Submission {
        Submission {
            id: self.fresh_id(),
            derived: false,
            namespace: "default".into(),
            lane: "default".into(),
            kind: "count".into(),
            requires: Vec::new(),
            prefer: Vec::new(),
            policy: DEFAULT_POLICY,
            priority: 0,
            due_at: None,
            delay_ms: None,
            fairness_key: None,
            tags: Vec::new(),
            key: None,
            key_text: None,
            input: json("{}"),
            traceparent: None,
            known_only: false,
        }
    }

    /// Submits one that `change` has made different from the plainest.
    pub fn try_submit(&mut self, change: impl FnOnce(&mut Submission)) -> Result<Submitted, Refusal> {
        let mut item = self.submission();
        change(&mut item);
        match self.run(Command::Submit(Submit { items: vec![item] })) {
            Ok(Outcome::Submitted(mut results)) => results.remove(0),
            other => panic!("{other:?}"),
        }
    }

    pub fn submit(&mut self, change: impl FnOnce(&mut Submission)) -> ExecutionId {
        self.try_submit(change).unwrap().id
    }

    pub fn claim_as(&mut self, change: impl FnOnce(&mut Claim)) -> Vec<Grant> {
        let mut claim = Claim {
            token: self.token(),
            worker: Worker { name: "worker-1".into(), session: 0x5E55_1095_E551_0905 },
            filter: ClaimFilter {
                namespace: "default".into(),
                lanes: vec!["default".into()],
                kinds: Vec::new(),
                capabilities: Capabilities::default(),
            },
            max: 1,
            until: Millis::MAX,
        };
        change(&mut claim);
        match self.run(Command::Claim(claim)) {
            Ok(Outcome::Leased(grants, _)) => grants,
            other => panic!("{other:?}"),
        }
    }

    pub fn claim(&mut self, max: usize) -> Vec<Grant> {
        self.claim_as(|claim| claim.max = max)
    }

    /// Leases the best.
    pub fn lease(&mut self) -> LeaseRef {
        self.claim(1).first().expect("nothing is ready").lease
    }

    /// What a claim of everything leases, in order.
    pub fn order(&mut self) -> Vec<ExecutionId> {
        self.claim(1_000).iter().map(|grant| grant.lease.execution).collect()
    }

    pub fn complete(&mut self, lease: LeaseRef, output: &str) -> Result<Outcome, Refusal> {
        self.run(Command::Complete(Complete { lease, output: json(output) }))
    }

    pub fn fail(&mut self, lease: LeaseRef, error_type: &str) -> Result<Outcome, Refusal> {
        self.fail_as(lease, error_type, None, None)
    }

    pub fn fail_as(
        &mut self,
        lease: LeaseRef,
        error_type: &str,
        retry: Option<bool>,
        retry_after_ms: Option<Millis>,
    ) -> Result<Outcome, Refusal> {
        let error = ErrorInfo { error_type: error_type.into(), message: "it broke".into(), details: None };
        self.run(Command::Fail(Fail { lease, error, retry, retry_after_ms, unfinished: false }))
    }

    pub fn release(&mut self, lease: LeaseRef) -> Result<Outcome, Refusal> {
        self.run(Command::Release(Release { lease, unfinished: false }))
    }

    pub fn heartbeat(&mut self, lease: LeaseRef) -> Result<Renewal, Refusal> {
        match self.run(Command::Heartbeat(Heartbeat { lease, progress: None }))? {
            Outcome::Renewed(renewal) => Ok(renewal),
            other => panic!("{other:?}"),
        }
    }

    pub fn begin(&mut self, lease: LeaseRef, key: &str) -> Result<StepOutcome, Refusal> {
        match self.run(Command::BeginStep(BeginStep { lease, key: key.into() }))? {
            Outcome::Step(outcome) => Ok(outcome),
            other => panic!("{other:?}"),
        }
    }

    pub fn record(&mut self, lease: LeaseRef, key: &str, output: &str) -> Result<Outcome, Refusal> {
        self.run(Command::RecordStep(RecordStep { lease, key: key.into(), output: json(output) }))
    }

    pub fn log(
        &mut self,
        lease: LeaseRef,
        lines: Vec<String>,
        request: Option<RequestId>,
    ) -> Result<Outcome, Refusal> {
        self.run(Command::Log(Log { lease, lines, request }))
    }

    /// The execution's log as it is in the store.
    pub fn logs(&self, id: ExecutionId) -> Vec<LogRecord> {
        let prefix = key::log_lines(id, 0);
        let own = |key: &Key| key.table == prefix.table && key.bytes.starts_with(&prefix.bytes[..17]);
        let records = self.store.iter().filter(|(key, _)| own(key));
        records.map(|(_, value)| minicbor::decode(value).unwrap()).collect()
    }

    pub fn cancel(&mut self, id: ExecutionId, grace_ms: Millis) -> Result<State, Refusal> {
        let (reason, grace_ms) = (Some("not needed".into()), Some(grace_ms));
        let cancel = Cancel { namespace: "default".into(), id, reason, grace_ms };
        acted(self.run(Command::Cancel(cancel)))
    }

    pub fn act(&mut self, id: ExecutionId, action: Action) -> Result<State, Refusal> {
        acted(self.run(Command::Act(Act { namespace: "default".into(), id, action })))
    }

    pub fn replay(&mut self, id: ExecutionId, from_step: Option<&str>) -> Result<State, Refusal> {
        self.replay_as(id, from_step, None)
    }

    pub fn replay_as(
        &mut self,
        id: ExecutionId,
        from_step: Option<&str>,
        request: Option<RequestId>,
    ) -> Result<State, Refusal> {
        let steps = self.steps(id).into_iter().map(|(key, step)| (key, step.1)).collect();
        let from_step = from_step.map(str::to_owned);
        let replay = Replay { namespace: "default".into(), id, from_step, steps, request };
        acted(self.run(Command::Replay(replay)))
    }

    /// Journaled steps as they are in the store, by key.
    pub fn steps(&self, id: ExecutionId) -> BTreeMap<String, (Key, StepRecord)> {
        let prefix = key::steps(id);
        self.store
            .iter()
            .filter(|(key, _)| key.table == prefix.table && key.bytes.starts_with(&prefix.bytes))
            .map(|(key, value)| {
                let name = String::from_utf8(key.bytes[prefix.bytes.len()..].to_vec()).unwrap();
                (name, (key.clone(), minicbor::decode(value).unwrap()))
            })
            .collect()
    }

    pub fn set_lane(&mut self, lane: &str, change: LaneChange) -> LaneSettings {
        let id = self.now as u64 * 1_000 + self.count;
        let set = SetLane { namespace: "default".into(), lane: lane.into(), change, id };
        match self.run(Command::SetLane(set)) {
            Ok(Outcome::Lane(settings)) => *settings,
            other => panic!("{other:?}"),
        }
    }

    /// Gives this partition its copy of a lane's settings.
    pub fn own_lane(&mut self, lane: &str, change: impl FnOnce(&mut LaneSettings)) {
        let mut settings = self.partition.lane("default", lane).clone();
        change(&mut settings);
        settings.generation += 1;
        let key = key::lane("default", lane);
        let record = Record::Lane(Box::new(settings));
        self.store.insert(key.clone(), record.encode().into());
        self.partition.put(&key, Some(record));
    }

    pub fn trim(&mut self, id: ExecutionId) {
        let prefix = key::lease_charges(id);
        let is_charge = |key: &&Key| key.table == prefix.table && key.bytes.starts_with(&prefix.bytes);
        let charges: Vec<Key> = self.store.keys().filter(is_charge).cloned().collect();
        let steps = self.steps(id).into_values().map(|(key, _)| key).chain(charges).collect();
        let trim = Trim { id, steps, more: false, charges: true };
        assert_eq!(self.run(Command::Trim(trim)), Ok(Outcome::Done));
    }

    pub fn show(&mut self, id: ExecutionId) -> Shown {
        match self.run(Command::Show(Show { namespace: None, id, output: true })) {
            Ok(Outcome::Shown(shown)) => *shown,
            other => panic!("{other:?}"),
        }
    }

    pub fn state(&mut self, id: ExecutionId) -> State {
        self.show(id).execution.state()
    }

    pub fn why(&mut self, id: ExecutionId) -> WhyAnswer {
        match self.run(Command::Why(Why { namespace: "default".into(), id })) {
            Ok(Outcome::Why(answer)) => *answer,
            other => panic!("{other:?}"),
        }
    }

    /// Lets time pass; what is due on the way is done at its very instant.
    pub fn pass(&mut self, ms: Millis) {
        let until = self.now + ms;
        let next = |bed: &Self| {
            let due = [bed.partition.next_due(), bed.partition.budgets_next_due()];
            due.into_iter().flatten().min().filter(|due| *due <= until)
        };
        while let Some(due) = next(self) {
            self.now = self.now.max(due);
            if self.partition.budgets_next_due().is_some_and(|due| due <= self.now) {
                assert_eq!(self.run(Command::Elapse(Elapse)), Ok(Outcome::Done));
            }
            for id in self.partition.due(self.now, 100) {
                assert_eq!(self.run(Command::Fire(Fire { id })), Ok(Outcome::Done));
            }
        }
        self.now = until;
    }

    pub fn kinds(&self, id: ExecutionId) -> Vec<EventKind> {
        self.events.iter().filter(|event| event.execution == Some(id)).map(|event| event.kind).collect()
    }
}

pub fn acted(outcome: Result<Outcome, Refusal>) -> Result<State, Refusal> {
    match outcome? {
        Outcome::Acted(_, state) => Ok(state),
        other => panic!("{other:?}"),
    }
}

pub fn json(text: &str) -> Payload {
    Payload { bytes: Bytes::copy_from_slice(text.as_bytes()), content_type: None }
}

pub fn requires(texts: &[&str]) -> Vec<Requirement> {
    texts.iter().map(|text| Requirement::parse(text).unwrap()).collect()
}

/// A policy without jitter.
pub fn policy(change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = DEFAULT_POLICY;
    policy.retry.backoff.jitter = 0;
    change(&mut policy);
    policy
}

pub fn names(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}
