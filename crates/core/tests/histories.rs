//! Random histories: whatever happens in whatever order, core agrees with a plain model, its projection with its
//! records, its timers with a look at everything; undoing restores; and all work comes to one end.

#![allow(clippy::unwrap_used)]

mod bed;
mod model;

use std::collections::BTreeMap;

use bed::{Bed, json, names, requires};
use model::{Answer, Model, Word};
use proptest::prelude::*;
use stint_core::command::*;
use stint_core::model::*;
use stint_core::*;

#[derive(Clone, Debug)]
enum Op {
    Submit {
        lane: u8,
        kind: u8,
        gpu: bool,
        priority: i8,
        fair: Option<u8>,
        delay: i64,
        policy: u8,
        keyed: Option<u8>,
    },
    Claim {
        max: usize,
        lanes: u8,
        kind: Option<u8>,
        gpu: bool,
    },
    Heartbeat {
        lease: usize,
    },
    Complete {
        lease: usize,
        output: u8,
    },
    Fail {
        lease: usize,
        fatal: bool,
        retry: Option<bool>,
        after: Option<i64>,
    },
    Release {
        lease: usize,
    },
    Begin {
        lease: usize,
        step: u8,
    },
    Record {
        lease: usize,
        step: u8,
        output: u8,
    },
    Log {
        lease: usize,
        lines: u8,
    },
    Cancel {
        id: usize,
        grace: i64,
    },
    Act {
        id: usize,
        action: Action,
    },
    Replay {
        id: usize,
    },
    Lane {
        lane: u8,
        mode: LaneMode,
        weight: u32,
        age_step: i64,
        max_length: Option<u64>,
    },
    Namespace {
        retention: Option<i64>,
    },
    Pass {
        ms: i64,
    },
    Outage {
        ms: i64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let ms = prop_oneof![Just(0), 1..20i64, Just(1_000), 1..70_000i64];
    let lease = 0..1_000usize;
    let submit = (
        0..2u8,
        0..2u8,
        any::<bool>(),
        -2..=2i8,
        proptest::option::of(0..3u8),
        prop_oneof![Just(0i64), 1..5_000i64],
        0..4u8,
        proptest::option::weighted(0.2, 0..4u8),
    )
        .prop_map(|(lane, kind, gpu, priority, fair, delay, policy, keyed)| Op::Submit {
            lane,
            kind,
            gpu,
            priority,
            fair,
            delay,
            policy,
            keyed,
        });
    let action = prop_oneof![
        Just(Action::Pause),
        Just(Action::Resume),
        Just(Action::Revoke),
        (-3..=3i8).prop_map(Action::Priority),
    ];
    let mode =
        prop_oneof![4 => Just(LaneMode::Open), 1 => Just(LaneMode::Paused), 1 => Just(LaneMode::Draining)];
    prop_oneof![
        8 => submit,
        6 => (1..4usize, 1..4u8, proptest::option::weighted(0.3, 0..2u8), any::<bool>())
            .prop_map(|(max, lanes, kind, gpu)| Op::Claim { max, lanes, kind, gpu }),
        2 => lease.clone().prop_map(|lease| Op::Heartbeat { lease }),
        3 => (lease.clone(), 0..2u8).prop_map(|(lease, output)| Op::Complete { lease, output }),
        4 => (lease.clone(), proptest::bool::weighted(0.1), proptest::option::weighted(0.2, any::<bool>()), proptest::option::weighted(0.3, 0..3_000i64))
            .prop_map(|(lease, fatal, retry, after)| Op::Fail { lease, fatal, retry, after }),
        2 => lease.clone().prop_map(|lease| Op::Release { lease }),
        2 => (lease.clone(), 0..2u8).prop_map(|(lease, step)| Op::Begin { lease, step }),
        2 => (lease.clone(), 0..2u8, 0..2u8).prop_map(|(lease, step, output)| Op::Record { lease, step, output }),
        1 => (lease.clone(), 1..4u8).prop_map(|(lease, lines)| Op::Log { lease, lines }),
        2 => (lease.clone(), 0..5_000i64).prop_map(|(id, grace)| Op::Cancel { id, grace }),
        3 => (lease.clone(), action).prop_map(|(id, action)| Op::Act { id, action }),
        2 => lease.prop_map(|id| Op::Replay { id }),
        1 => (0..2u8, mode, 1..4u32, prop_oneof![Just(600_000i64), 0..50i64], proptest::option::weighted(0.2, 1..6u64))
            .prop_map(|(lane, mode, weight, age_step, max_length)| Op::Lane { lane, mode, weight, age_step, max_length }),
        1 => proptest::option::of(1_000..9_000i64).prop_map(|retention| Op::Namespace { retention }),
        4 => ms.clone().prop_map(|ms| Op::Pass { ms }),
        1 => ms.prop_map(|ms| Op::Outage { ms }),
    ]
}

/// Refusals by the names the model gives them.
fn named<T>(result: Result<T, Refusal>) -> Answer<T> {
    result.map_err(|refusal| match refusal {
        Refusal::NotFound(_) => "not_found",
        Refusal::LeaseLost => "lease_lost",
        Refusal::AlreadyCompleted => "already_completed",
        Refusal::Finished(_) => "finished",
        Refusal::NotFinished(_) => "not_finished",
        Refusal::NotRunning(_) => "not_running",
        Refusal::LaneFull { .. } => "lane_full",
        Refusal::LaneDraining { .. } => "lane_draining",
        other => panic!("{other:?}"),
    })
}

/// Core and the model, side by side.
struct Pair {
    bed: Bed,
    model: Model,
    ids: Vec<ExecutionId>,
    leases: Vec<LeaseRef>,
    /// Results that were acknowledged, by execution and step.
    steps: BTreeMap<(ExecutionId, u8), u8>,
    /// Lines whose taking was acknowledged.
    lines: BTreeMap<ExecutionId, u32>,
    /// How long the namespace says that what ended is kept, and what held when each execution was submitted.
    retention: Option<Millis>,
    retentions: BTreeMap<ExecutionId, Option<Millis>>,
}

impl Pair {
    fn new() -> Self {
        Self {
            bed: Bed::new(),
            model: Model::default(),
            ids: vec![],
            leases: vec![],
            steps: BTreeMap::new(),
            lines: BTreeMap::new(),
            retention: None,
            retentions: BTreeMap::new(),
        }
    }

    fn id(&self, n: usize) -> Option<ExecutionId> {
        self.ids.get(n.checked_rem(self.ids.len())?).copied()
    }

    /// Mostly one of the latest.
    fn lease(&self, n: usize) -> Option<LeaseRef> {
        let back = n.checked_rem(self.leases.len().min(if n.is_multiple_of(4) { usize::MAX } else { 4 }))?;
        self.leases.iter().rev().nth(back).copied()
    }

    fn submission(&mut self, op: &Op) -> Submission {
        let Op::Submit { lane, kind, gpu, priority, fair, delay, policy, keyed } = op else { unreachable!() };
        let mut s = self.bed.submission();
        s.lane = lane_name(*lane).into();
        s.kind = kind.to_string().into();
        s.derived = *kind == 1;
        s.requires = if *gpu { requires(&["gpu"]) } else { vec![] };
        (s.priority, s.delay_ms) = (*priority, Some(*delay));
        s.fairness_key = fair.map(|key| key.to_string().into());
        s.key = keyed.map(|key| ([key; 16], [9; 16]));
        s.policy.retry.non_retryable = vec!["Fatal".into()];
        s.policy.max_crashes = 2;
        match policy {
            1 => s.policy.queue_ttl_ms = Some(3_000),
            2 => (s.policy.attempt_timeout_ms, s.policy.deadline_ms) = (Some(10_000), Some(50_000)),
            3 => {
                (s.policy.lease_ttl_ms, s.policy.retry.backoff.delay_ms) = (1_000, 0);
                s.policy.retention_ms = Some(500);
            }
            _ => {}
        }
        s
    }

    fn apply(&mut self, op: &Op) {
        let now = self.bed.now;
        match op {
            Op::Submit { .. } => {
                let s = self.submission(op);
                let first = s.key.and_then(|(hash, _)| self.bed.store.get(&key::idempotency(hash)).cloned());
                let core = self.bed.try_submit(|item| *item = s.clone());
                if first.is_some() {
                    let existing = core.unwrap();
                    assert!(existing.existed && self.ids.contains(&existing.id));
                    return;
                }
                let core = named(core);
                assert_eq!(core.as_ref().map(|s| s.state), self.model.submit(&s, now).as_ref().copied());
                if let Ok(submitted) = core {
                    self.ids.push(submitted.id);
                    self.retentions.insert(submitted.id, s.policy.retention_ms.or(self.retention));
                }
            }
            Op::Claim { max, lanes, kind, gpu } => {
                let mut claim = None;
                let grants = self.bed.claim_as(|c| {
                    c.max = *max;
                    c.filter.lanes =
                        (0..2).filter(|n| lanes & (n + 1) > 0).map(|n| lane_name(n).into()).collect();
                    c.filter.kinds = kind.map(|kind| names(&[&kind.to_string()])).unwrap_or_default();
                    c.filter.capabilities = Capabilities::parse(gpu.then_some("gpu"));
                    claim = Some(c.clone());
                });
                let leases: Vec<LeaseRef> = grants.iter().map(|grant| grant.lease).collect();
                assert_eq!(leases, self.model.claim(&claim.unwrap(), now));
                self.leases.extend(leases);
            }
            Op::Heartbeat { lease } => {
                let Some(lease) = self.lease(*lease) else { return };
                let core = named(self.bed.heartbeat(lease).map(|_| ()));
                assert_eq!(core, self.model.heartbeat(&lease, now));
            }
            Op::Complete { lease, output } => {
                let output = output.to_string();
                self.say(*lease, &Word::Complete(&output));
            }
            Op::Fail { lease, fatal, retry, after } => {
                let error_type = if *fatal { "Fatal" } else { "Broken" };
                self.say(*lease, &Word::Fail { error_type, retry: *retry, retry_after_ms: *after });
            }
            Op::Release { lease } => self.say(*lease, &Word::Release),
            Op::Begin { lease, step } => {
                let Some(lease) = self.lease(*lease) else { return };
                if let (Ok(outcome), Some(known)) =
                    (self.bed.begin(lease, &step.to_string()), self.steps.get(&(lease.execution, *step)))
                {
                    let stored = Stored::whole(&json(&known.to_string()));
                    assert_eq!(outcome, StepOutcome::Result(stored), "an acknowledged step ran again");
                }
            }
            Op::Record { lease, step, output } => {
                let Some(lease) = self.lease(*lease) else { return };
                if self.bed.record(lease, &step.to_string(), &output.to_string()).is_ok() {
                    let known = *self.steps.entry((lease.execution, *step)).or_insert(*output);
                    assert_eq!(known, *output, "an acknowledged result was replaced");
                }
            }
            Op::Log { lease, lines } => {
                let Some(lease) = self.lease(*lease) else { return };
                if self.bed.log(lease, some_lines(*lines), None).is_ok() {
                    *self.lines.entry(lease.execution).or_default() += u32::from(*lines);
                }
            }
            Op::Cancel { id, grace } => {
                let Some(id) = self.id(*id) else { return };
                assert_eq!(named(self.bed.cancel(id, *grace)), self.model.cancel(id, *grace, now));
            }
            Op::Act { id, action } => {
                let Some(id) = self.id(*id) else { return };
                assert_eq!(named(self.bed.act(id, *action)), self.model.act(id, *action));
            }
            Op::Replay { id } => {
                let Some(id) = self.id(*id) else { return };
                assert_eq!(named(self.bed.replay(id, None)), self.model.replay(id, now));
            }
            Op::Lane { lane, mode, weight, age_step, max_length } => {
                self.bed.own_lane(lane_name(*lane), |settings| {
                    settings.mode = *mode;
                    settings.weights = [("0".to_owned(), *weight)].into();
                    (settings.age_step_ms, settings.max_length) = (Some(*age_step), *max_length);
                });
                let settings = self.bed.partition.lane("default", lane_name(*lane)).clone();
                self.model.lanes.insert(lane_name(*lane).to_owned(), settings);
            }
            Op::Namespace { retention } => {
                self.bed.run(set_namespace(*retention)).unwrap();
                self.retention = *retention;
            }
            Op::Pass { ms } => self.pass(*ms),
            Op::Outage { ms } => {
                self.bed.now += ms;
                self.bed.partition.set_able_since(self.bed.now);
                self.model.able_since = self.bed.now;
                self.pass(0);
            }
        }
        self.agree();
    }

    fn say(&mut self, lease: usize, word: &Word<'_>) {
        let Some(lease) = self.lease(lease) else { return };
        let core = match word {
            Word::Complete(output) => self.bed.complete(lease, output),
            Word::Fail { error_type, retry, retry_after_ms } => {
                self.bed.fail_as(lease, error_type, *retry, *retry_after_ms)
            }
            Word::Release => self.bed.release(lease),
        };
        let core = named(core).map(|outcome| match outcome {
            Outcome::Ended(state) => state,
            Outcome::RetryAt(_) => State::Scheduled,
            other => panic!("{other:?}"),
        });
        let forgotten = self.model.is_old(&lease) && core == Err("lease_lost");
        let expected = self.model.say(&lease, word, self.bed.now);
        assert!(core == expected || forgotten, "{core:?} for {expected:?}");
    }

    fn pass(&mut self, ms: i64) {
        let until = self.bed.now + ms;
        while let Some((due, id)) = self.model.next_due().filter(|(due, _)| *due <= until) {
            self.bed.now = self.bed.now.max(due);
            assert_eq!(self.bed.partition.due(self.bed.now, 1), [id]);
            self.bed.run(Command::Fire(Fire { id })).unwrap();
            self.model.fire(id, self.bed.now);
            assert_eq!(self.bed.partition.next_due(), self.model.next_due().map(|(at, _)| at));
        }
        self.bed.now = until;
    }

    fn agree(&self) {
        for task in &self.model.tasks {
            let archived = self.bed.store.get(&key::archive(task.id));
            let archived = archived.map(|bytes| ArchiveRecord::decode(task.id, bytes).unwrap());
            let open = self.bed.partition.execution(task.id).cloned();
            assert!(archived.is_some() != open.is_some(), "it is open, or it has ended");
            let e = open.or(archived).unwrap();
            assert_eq!(e.state(), task.state);
            let counts = (e.attempt, e.failures, e.crashes, e.epoch, e.paused, e.order);
            let expected = (task.attempt, task.failures, task.crashes, task.epoch, task.paused, task.order);
            assert_eq!(counts, expected, "{:?}", task.state);
            assert_eq!(
                e.policy.retention_ms, self.retentions[&task.id],
                "as it was submitted, or its namespace"
            );
            let valid = self.leases.iter().filter(|l| l.execution == task.id && e.leased_as(l).is_some());
            assert_eq!(valid.count(), usize::from(task.state == State::Running), "one lease, one owner");
            let logged = e.log.as_deref().map_or(0, |log| log.lines);
            assert_eq!(logged, self.lines.get(&task.id).copied().unwrap_or(0), "lines are kept, each once");
            let told = self.bed.events.iter().filter(|event| event.execution == Some(task.id));
            let (last, told) = (e.happened().last().copied(), told.collect::<Vec<_>>());
            let last = last.map(|last| (last.number, last.kind, last.attempt));
            let expected = told.last().map(|event| (told.len() as u64, event.kind, event.attempt));
            assert_eq!(last, expected, "what happened is numbered without gaps");
        }
        assert_eq!(self.bed.partition.next_due(), self.model.next_due().map(|(at, _)| at));
        let waits = |t: &&model::Task| t.lane == "a" && matches!(t.state, State::Ready | State::Scheduled);
        let waiting = self.model.tasks.iter().filter(waits).count() as u64;
        assert_eq!(self.bed.partition.lane_length("default", "a"), waiting);
    }

    /// Opens everything, and runs what is there until nothing is.
    fn quiesce(&mut self) {
        for lane in 0..2 {
            let (weight, age_step, max_length) = (1, 600_000, None);
            self.apply(&Op::Lane { lane, mode: LaneMode::Open, weight, age_step, max_length });
        }
        for id in 0..self.ids.len() {
            self.apply(&Op::Act { id, action: Action::Resume });
        }
        for _ in 0..10 {
            self.apply(&Op::Claim { max: 1_000, lanes: 3, kind: None, gpu: true });
            let from = self.leases.len().saturating_sub(1_000);
            for lease in self.leases.split_off(from) {
                self.leases.push(lease);
                self.say(4 * self.leases.len(), &Word::Complete("done"));
            }
            self.pass(100_000);
        }
        assert!(self.bed.partition.is_empty());
        for id in &self.ids {
            let kinds = self.bed.kinds(*id);
            let ends = kinds.iter().filter(|kind| kind.is_end()).count();
            let replays = kinds.iter().filter(|kind| **kind == EventKind::Replayed).count();
            assert_eq!(ends, replays + 1, "{kinds:?}");
            assert!(kinds.last().unwrap().is_end());
        }
    }
}

fn some_lines(count: u8) -> Vec<String> {
    (0..count).map(|line| format!("line {line}")).collect()
}

fn set_namespace(retention_ms: Option<Millis>) -> Command {
    let change = NamespaceChange::Settings { retention_ms, ledger_retention_ms: None };
    Command::SetNamespace(SetNamespace { namespace: "default".into(), change })
}

fn lane_name(lane: u8) -> &'static str {
    if lane == 0 { "a" } else { "b" }
}

/// The command that an operation comes to, for histories that are undone: time stands still in them.
fn command(pair: &mut Pair, op: &Op) -> Option<Command> {
    let lease = |n: &usize| pair.lease(*n);
    let id = |n: &usize| pair.id(*n);
    let namespace = "default".to_owned();
    Some(match op {
        Op::Submit { .. } => Command::Submit(Submit { items: vec![pair.submission(op)] }),
        Op::Claim { max, gpu, .. } => {
            let filter = ClaimFilter {
                namespace: "default".into(),
                lanes: names(&["a", "b"]),
                kinds: vec![],
                capabilities: Capabilities::parse(gpu.then_some("gpu")),
            };
            let worker = Worker { name: "w".into(), session: *max as u64 };
            Command::Claim(Claim { token: pair.bed.token(), worker, filter, max: *max, until: i64::MAX })
        }
        Op::Heartbeat { lease: n } => Command::Heartbeat(Heartbeat {
            lease: lease(n)?,
            progress: Some(Progress { percent: Some(5), message: None }),
        }),
        Op::Complete { lease: n, output } => {
            Command::Complete(Complete { lease: lease(n)?, output: json(&output.to_string()) })
        }
        Op::Fail { lease: n, retry, after, .. } => Command::Fail(Fail {
            lease: lease(n)?,
            error: ErrorInfo { error_type: "Broken".into(), message: String::new(), details: None },
            retry: *retry,
            retry_after_ms: *after,
            unfinished: false,
        }),
        Op::Release { lease: n } => Command::Release(Release { lease: lease(n)?, unfinished: false }),
        Op::Begin { lease: n, step } => {
            Command::BeginStep(BeginStep { lease: lease(n)?, key: step.to_string() })
        }
        Op::Record { lease: n, step, output } => {
            let output = json(&output.to_string());
            Command::RecordStep(RecordStep { lease: lease(n)?, key: step.to_string(), output })
        }
        Op::Log { lease: n, lines } => {
            Command::Log(Log { lease: lease(n)?, lines: some_lines(*lines), request: None })
        }
        Op::Cancel { id: n, grace } => {
            Command::Cancel(Cancel { namespace, id: id(n)?, reason: None, grace_ms: Some(*grace) })
        }
        Op::Act { id: n, action } => Command::Act(Act { namespace, id: id(n)?, action: *action }),
        Op::Replay { id: n } => {
            let request = None;
            Command::Replay(Replay { namespace, id: id(n)?, from_step: None, steps: vec![], request })
        }
        Op::Lane { lane, mode, .. } => {
            let (lane, change) = (lane_name(*lane).to_owned(), LaneChange::Mode(*mode));
            Command::SetLane(SetLane { namespace, lane, change, id: 5 })
        }
        Op::Namespace { retention } => set_namespace(*retention),
        Op::Pass { .. } | Op::Outage { .. } => {
            let next = pair.bed.partition.next_due()?;
            pair.bed.now = pair.bed.now.max(next);
            Command::Fire(Fire { id: *pair.bed.partition.due(pair.bed.now, 1).first()? })
        }
    })
}

proptest! {
    #[test]
    fn core_agrees_with_the_model_and_all_work_ends_once(ops in proptest::collection::vec(op(), 1..120)) {
        let mut pair = Pair::new();
        for op in &ops {
            pair.apply(op);
        }
        pair.quiesce();
    }

    #[test]
    fn undoing_restores_what_was(
        before in proptest::collection::vec(op(), 1..60),
        in_flight in proptest::collection::vec(op(), 0..20),
        open in proptest::collection::vec(op(), 0..20),
        committed in any::<bool>(),
    ) {
        let mut pair = Pair::new();
        for op in &before {
            pair.apply(op);
        }
        let store = pair.bed.store.clone();
        let mut first = Txn::default();
        for op in &in_flight {
            if let Some(command) = command(&mut pair, op) {
                let _ = pair.bed.run_in(&mut first, &command);
            }
        }
        // What is in flight counts as written for those that come after it.
        for Write { key, value } in first.writes(&pair.bed.partition) {
            match value {
                Some(value) => _ = pair.bed.store.insert(key, value),
                None => _ = pair.bed.store.remove(&key),
            }
        }
        pair.bed.check();
        let mut second = Txn::default();
        for op in &open {
            if let Some(command) = command(&mut pair, op) {
                let _ = pair.bed.run_in(&mut second, &command);
            }
        }
        let touched = second.take_ready();
        second.undo(&mut pair.bed.partition);
        prop_assert!(second.is_empty() && second.absent().is_empty() && second.bytes() == 0);
        pair.bed.check();
        for group in touched {
            let rebuilt = pair.bed.rebuilt();
            prop_assert_eq!(pair.bed.partition.ready_in(&group), rebuilt.ready_in(&group));
        }
        if !committed {
            first.undo(&mut pair.bed.partition);
            pair.bed.store = store;
            pair.bed.check();
        }
    }
}
