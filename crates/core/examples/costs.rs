//! What the rules cost: nanoseconds per command, and bytes of memory per queued execution.
//!
//! `cargo run --release -p stint-core --example costs [EXECUTIONS]`

#![allow(clippy::disallowed_types, clippy::disallowed_methods, clippy::float_arithmetic)]

use std::sync::Arc;
use std::time::Instant;

use stint_core::command::*;
use stint_core::model::*;
use stint_core::*;

/// Commands that share a batch.
const BATCH: usize = 100;

/// Everything is absent: fresh work reads nothing.
struct Nothing;

impl ColdReads for Nothing {
    fn read(&self, _: &Key) -> ColdRead {
        ColdRead::Absent
    }
}

struct Run {
    partition: Partition,
    now: Millis,
    count: u64,
    namespace: Arc<str>,
    kind: Arc<str>,
}

impl Run {
    fn new() -> Self {
        let names = |name: &str| Arc::from(name);
        Self {
            partition: Partition::new(PartitionId(7)),
            now: 1_795_000_000_000,
            count: 0,
            namespace: names("default"),
            kind: names("count"),
        }
    }

    fn submit(&mut self) -> Command {
        self.count += 1;
        let random = u128::from(self.count).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        let item = Submission {
            id: ExecutionId::fresh(self.now, PartitionId(7), random),
            derived: true,
            namespace: self.namespace.clone(),
            lane: self.namespace.clone(),
            kind: self.kind.clone(),
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
            input: Payload { bytes: vec![b'x'; 100].into(), content_type: None },
            traceparent: None,
            known_only: false,
        };
        Command::Submit(Submit { items: vec![item] })
    }

    fn claim(&mut self, max: usize) -> Command {
        self.count += 1;
        Command::Claim(Claim {
            token: LeaseToken(u128::from(self.count).to_be_bytes()),
            worker: Worker { name: "worker-1".into(), session: 5 },
            filter: ClaimFilter {
                namespace: self.namespace.clone(),
                lanes: vec![self.namespace.clone()],
                kinds: vec![self.kind.clone()],
                capabilities: Capabilities::default(),
            },
            max,
            until: Millis::MAX,
        })
    }

    /// Runs commands in batches; gives back the leases granted.
    fn measure(&mut self, what: &str, commands: Vec<Command>, units: usize) -> Vec<LeaseRef> {
        let mut leases = Vec::new();
        let (mut running, mut encoding) = (0, 0);
        let mut outcomes = Vec::with_capacity(BATCH);
        let cpu = cpu_ns();
        for batch in commands.chunks(BATCH) {
            self.now += 1;
            let mut txn = Txn::default();
            let start = Instant::now();
            for command in batch {
                self.count += 1;
                let inputs = Inputs {
                    now: self.now,
                    sequence: self.count,
                    fresh: self.count,
                    cold: &Nothing,
                    lane_length_elsewhere: &|_, _| 0,
                    quarantined: &|_| false,
                };
                outcomes.push(execute(&mut self.partition, &mut txn, command, &inputs));
            }
            running += start.elapsed().as_nanos();
            let start = Instant::now();
            let writes = txn.writes(&self.partition);
            let log = event::encode_log(txn.events());
            encoding += start.elapsed().as_nanos();
            std::hint::black_box((writes, log));
            for outcome in outcomes.drain(..) {
                match outcome {
                    Ok(Outcome::Leased(grants, _)) => leases.extend(grants.iter().map(|grant| grant.lease)),
                    Ok(_) => {}
                    Err(refusal) => println!("{what}: {refusal}"),
                }
            }
        }
        // Others share the machine: the split is by the wall clock, the sum is what the CPU worked.
        let cpu = (cpu_ns() - cpu) / units as u128;
        let share = cpu * running / (running + encoding);
        println!("{what:>24} {share:>6} ns, encoding {:>5} ns", cpu - share);
        leases
    }
}

/// What this thread has worked so far.
fn cpu_ns() -> u128 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4_096
}

fn main() {
    let count = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let mut run = Run::new();
    let before = resident_bytes();
    for _ in 0..count / BATCH {
        run.now += 1;
        let mut txn = Txn::default();
        for _ in 0..BATCH {
            let command = run.submit();
            let inputs = Inputs {
                now: run.now,
                sequence: 0,
                fresh: 1,
                cold: &Nothing,
                lane_length_elsewhere: &|_, _| 0,
                quarantined: &|_| false,
            };
            let _ = execute(&mut run.partition, &mut txn, &command, &inputs);
        }
    }
    let each = (resident_bytes() - before) / run.partition.len().max(1);
    println!("{count} queued: {each} bytes of memory each, {} in the record itself", size_of::<Execution>());

    let start = cpu_ns();
    let records: Vec<_> = run.partition.records().collect();
    println!("{:>24} {:>6} ns", "encode a queued record", (cpu_ns() - start) / count as u128);
    let mut loaded = Partition::new(PartitionId(7));
    let start = cpu_ns();
    for (key, value) in &records {
        let _ = loaded.apply(&key.bytes, Some(value));
    }
    println!("{:>24} {:>6} ns", "load a queued record", (cpu_ns() - start) / count as u128);
    drop((records, loaded));

    let units = (count / 4).clamp(BATCH, 50_000);
    for _ in 0..2 {
        let submits = (0..units).map(|_| run.submit()).collect();
        run.measure("submit", submits, units);
        let claims = (0..units).map(|_| run.claim(1)).collect();
        let leases = run.measure("claim one", claims, units);
        let beats =
            leases.iter().map(|lease| Command::Heartbeat(Heartbeat { lease: *lease, progress: None }));
        run.measure("heartbeat, unwritten", beats.collect(), units);
        run.now += 10_000;
        let beats =
            leases.iter().map(|lease| Command::Heartbeat(Heartbeat { lease: *lease, progress: None }));
        run.measure("heartbeat, written", beats.collect(), units);
        let output = Payload { bytes: "{\"lines\":12}".into(), content_type: None };
        let complete =
            |lease: &LeaseRef| Command::Complete(Complete { lease: *lease, output: output.clone() });
        run.measure("complete", leases.iter().map(complete).collect(), units);
        let claims = (0..units / 50).map(|_| run.claim(50)).collect();
        let leases = run.measure("claim fifty, each", claims, units);
        run.measure("complete", leases.iter().map(complete).collect(), units);
    }
    charges(&mut run, units);
}

/// Charges by path against a three-level tree with two windows each; every batch has one charge of each of 8 paths.
fn charges(run: &mut Run, units: usize) {
    let limits = || [("usd_micros".to_owned(), Limit { hard: Some(u64::MAX >> 1), soft: None })].into();
    let window = |name: &str, kind| Window { name: name.into(), kind, limits: limits() };
    let windows =
        || vec![window("day", WindowKind::Day { zone: "UTC".into() }), window("total", WindowKind::Total)];
    let namespace = run.namespace.to_string();
    let mut paths = Vec::new();
    for tree in 0..8 {
        for path in [format!("t{tree}"), format!("t{tree}/team"), format!("t{tree}/team/agent")] {
            let change = BudgetChange::Put(Box::new(Budget { windows: windows(), ..Budget::default() }));
            let set = SetBudget { namespace: namespace.clone(), path: path.clone(), change };
            run.measure("set budget", vec![Command::SetBudget(set)], 1);
            paths.push(path);
        }
    }
    let charge = |n: usize| {
        let spent = Spent::Amounts(Amounts::of([("calls", 1), ("usd_micros", n as u64 % 500)]));
        let path = paths[n % 8 * 3 + 2].clone();
        Command::ChargeBudget(ChargeBudget {
            namespace: namespace.clone(),
            path,
            id: format!("resp-{n}"),
            spent,
        })
    };
    run.measure("charge", (0..units).map(charge).collect(), units);
}
