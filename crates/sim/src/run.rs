//! One run: a storm of faults over a working system, then calm, then everything must come to rest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stint::Client;
use stint_api::{LEDGER_RETENTION_MIN_MS, NamespaceSettings};
use stint_core::{Partition, PartitionId};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::invariant::{Finding, Invariant};
use crate::plan::Plan;
use crate::work::{LANES, client_of, run_bank, run_client, run_liar, run_operator, run_shop, run_worker};
use crate::world::World;
use crate::{chaos, node, panics};

/// Everything must have ended this long after the calm: leases, retries, delays and a message that is as late as
/// can be, several times over.
const REST: Duration = Duration::from_secs(900);

/// The oldest commit that is still under way arrives within this time.
const OLDEST: Duration = Duration::from_secs(600);

/// Looks at ledgers that grow old, at most.
const GROWN_OLD_MAX: usize = 12;

/// How a run went.
#[derive(Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What was broken.
    pub findings: Vec<Finding>,
    /// Hash of everything that happened: the same seed has the same.
    pub hash: u64,
    /// Things that happened.
    pub lines: u64,
    /// The last of them.
    pub tail: Vec<String>,
    /// What it has been through: events, answers of the store, faults.
    pub tally: BTreeMap<&'static str, u64>,
    /// Executions asked for.
    pub jobs: u64,
    /// Virtual time it took.
    pub virtual_ms: u64,
}

impl Report {
    /// Whether an invariant was broken.
    pub fn found(&self, invariant: Invariant) -> bool {
        self.findings.iter().any(|finding| finding.invariant == invariant)
    }
}

/// Runs a plan on this thread, in virtual time.
pub fn simulate(plan: Plan, prints: bool) -> Report {
    panics::watch();
    let seed = plan.seed;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return Report::of_failure(seed, format!("there is no runtime: {error}")),
    };
    let report = runtime.block_on(run(plan, prints));
    // What still waits is dropped here, and may not panic either.
    drop(runtime);
    let mut report = report;
    let at_ms = report.virtual_ms;
    let panics =
        panics::take().into_iter().map(|what| Finding { invariant: Invariant::NoPanic, at_ms, what });
    report.findings.extend(panics);
    report
}

async fn run(plan: Plan, prints: bool) -> Report {
    let world = World::new(plan, prints);
    let mut background = JoinSet::new();
    for node in 0..World::NODES {
        background.spawn(node::keep_running(Arc::clone(&world), node));
    }
    for number in 0..world.workers.len() {
        background.spawn(run_worker(Arc::clone(&world), number));
    }
    let mut scripts = JoinSet::new();
    for number in 0..world.plan.clients {
        scripts.spawn(run_client(Arc::clone(&world), number));
    }
    for number in 0..world.plan.liars {
        scripts.spawn(run_liar(Arc::clone(&world), number));
    }
    scripts.spawn(run_operator(Arc::clone(&world)));
    scripts.spawn(run_bank(Arc::clone(&world)));
    scripts.spawn(run_shop(Arc::clone(&world)));

    let over = world.check().over();
    let story = async {
        chaos::rage(Arc::clone(&world)).await;
        world.calm();
        come_to_rest(&world, scripts).await;
    };
    tokio::select! {
        biased;
        () = over.notified() => {}
        () = story => {}
    }
    // An engine holds its store, which holds the world.
    (0..World::NODES).for_each(|node| world.stopped(node));
    Report {
        seed: world.plan.seed,
        findings: world.check().findings().to_vec(),
        hash: world.trace().hash(),
        lines: world.trace().lines(),
        tail: world.trace().tail(),
        tally: world.trace().tally(),
        jobs: world.jobs(),
        virtual_ms: world.trace().elapsed_ms(),
    }
}

async fn come_to_rest(world: &Arc<World>, mut scripts: JoinSet<()>) {
    let until = Instant::now() + REST;
    let scripted =
        tokio::time::timeout_at(until, async { while scripts.join_next().await.is_some() {} }).await;
    if scripted.is_err() {
        return world.check().found(Invariant::Ends, "a client's call has no answer");
    }
    let Ok(client) = client_of(world, "end", Duration::from_secs(60)) else { return };
    for lane in LANES {
        world.check().lane_resumes("default", lane);
        if let Err(error) = client.lane(lane).resume().await {
            world.check().found(Invariant::Ends, format!("lane {lane} can't be resumed in calm: {error}"));
        }
    }
    if let Err(left) = all_end(world, &client, until).await {
        world.check().found(Invariant::Ends, left);
        return;
    }
    // All nodes have said by now what they know.
    tokio::time::sleep(Duration::from_secs(10)).await;
    if world.plan.long_rest {
        world.trace().count("rested until the oldest commit had come");
        tokio::time::sleep(OLDEST).await;
    }
    touch_everything(world, &client).await;
    read_everything(world, &client).await;
    // What is on its way arrives; then nothing happens any more.
    tokio::time::sleep(Duration::from_secs(90)).await;
    hold_still(world).await;
    world.check().at_rest();
    look_at_nodes(world);
    if world.plan.long_rest {
        grow_old(world, &client).await;
    }
    audit(world).await;
    drain(world).await;
}

/// Nothing is committed while nothing happens; what has outlived its retention may go, and hours that end be rolled up.
async fn hold_still(world: &World) {
    let (heads, before) = (world.heads(), world.check().tidied());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let after = world.check().tidied();
    let moved: Vec<u8> = world
        .heads()
        .iter()
        .zip(&heads)
        .filter(|(is, was)| is != was && after.get(&is.0) == before.get(&is.0))
        .map(|(is, _)| is.0)
        .collect();
    if !moved.is_empty() {
        let what = format!("committed to while nothing happened: {moved:?}");
        world.check().found(Invariant::IdleIsStill, what);
    }
}

/// Days go by in which nothing happens: ledgers are rolled up and trimmed, and every sum stays.
async fn grow_old(world: &Arc<World>, client: &Client) {
    let settings = NamespaceSettings {
        ledger_retention_ms: Some(LEDGER_RETENTION_MIN_MS),
        ..NamespaceSettings::default()
    };
    if let Err(error) = client.settings_of("default").set(settings).await {
        return world.check().found(Invariant::Ends, format!("a namespace can't be set in calm: {error}"));
    }
    world.store.jump_clock(3 * LEDGER_RETENTION_MIN_MS as i64);
    // Such a leap is believed after a minute, and scanners look every ten.
    for _ in 0..GROWN_OLD_MAX {
        tokio::time::sleep(Duration::from_secs(300)).await;
        if world.check().roll_ups_agree() == 0 {
            return world.trace().count("ledgers trimmed");
        }
    }
    world.check().found(Invariant::Ends, "entries of ledgers outlive their retention");
}

/// Nodes are seen to live, and every partition is at the level that all of them know.
fn look_at_nodes(world: &World) {
    let running = (0..World::NODES).filter(|node| world.running(*node).is_some());
    for node in running {
        world.check().is_heard(node);
    }
    let level = (0..World::NODES).map(|node| node::level(world, node)).min().unwrap_or_default();
    world.check().is_at_level(level);
}

/// Waits until every execution has ended; paused ones are let go.
async fn all_end(world: &World, client: &Client, until: Instant) -> Result<(), String> {
    loop {
        let paused = world.check().paused();
        for id in paused {
            let _again_next_time = client.resume(&id.to_string()).await;
        }
        let open = world.check().open();
        if open.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            let first = open.iter().take(5).map(ToString::to_string).collect::<Vec<_>>();
            let mut why = Vec::new();
            for id in &first {
                why.push(format!("{id}: {:?}", client.why(id).await));
            }
            return Err(format!("{} executions have not ended: {}", open.len(), why.join("; ")));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Makes each node commit to each partition, so that whoever remembers what the store forgot must notice.
async fn touch_everything(world: &Arc<World>, client: &Client) {
    for _ in 0..World::NODES {
        // A client that is refused goes to the other node; a calm one stays. Each lane change reaches all partitions.
        for change in ["pause", "resume"] {
            let lane = client.lane("probe");
            let changed = if change == "pause" { lane.pause().await } else { lane.resume().await };
            match changed {
                Ok(reply) if reply.missing_partitions.is_empty() => {}
                Ok(reply) => {
                    let what =
                        format!("partitions miss a lane's {change} in calm: {:?}", reply.missing_partitions);
                    world.check().found(Invariant::Ends, what);
                }
                Err(error) => {
                    world.check().found(Invariant::Ends, format!("a lane's {change} in calm: {error}"))
                }
            }
        }
    }
}

/// Every acknowledged execution can be read, and is what the store says.
async fn read_everything(world: &Arc<World>, client: &Client) {
    let ids = world.check().acknowledged();
    for id in ids {
        if let Err(error) = client.result::<serde_json::Value>(id.to_string()).wait_raw(Duration::ZERO).await
        {
            world.check().unreadable(id, &error.to_string());
        }
    }
}

/// Every projection must be what the store holds: the same records, and the same indexes as one made from them.
async fn audit(world: &Arc<World>) {
    for node in 0..World::NODES {
        let Some(running) = world.running(node) else {
            world.check().found(Invariant::Ends, format!("n{node} does not open in calm"));
            continue;
        };
        for partition in PartitionId::all() {
            let store = world.store.clone();
            let compare = move |kept: &Partition| {
                differs(kept, &store.dump(stint_store::PartitionId(partition.0)).live)
            };
            let what = match running.engine.node().look(partition, compare).await {
                Ok(None) => continue,
                Ok(Some(what)) => what,
                Err(error) => format!("can't be looked at: {error}"),
            };
            let what = format!("n{node}, partition {}: {what}", partition.0);
            world.check().found(Invariant::Projection, what);
        }
    }
}

/// Nodes can be shut down in good order.
async fn drain(world: &Arc<World>) {
    for node in 0..World::NODES {
        let Some(running) = world.running(node) else { continue };
        if tokio::time::timeout(Duration::from_secs(60), running.engine.drain()).await.is_err() {
            world.check().found(Invariant::Ends, format!("n{node} does not drain in calm"));
        }
    }
    world.check().look();
}

/// How a projection differs from one rebuilt from these records.
fn differs(kept: &Partition, live: &BTreeMap<Bytes, Bytes>) -> Option<String> {
    let mut rebuilt = Partition::new(kept.id());
    for (key, value) in live {
        if let Err(corrupt) = rebuilt.apply(key, Some(value)) {
            return Some(corrupt.to_string());
        }
    }
    rebuilt.set_able_since(kept.able_since());
    if rebuilt == *kept {
        return None;
    }
    let records: BTreeMap<Bytes, Vec<u8>> = kept.records().map(|(key, value)| (key.bytes, value)).collect();
    let other = live.iter().find(|(key, value)| records.get(*key).is_none_or(|kept| **value != **kept));
    let more = records.keys().find(|key| !live.contains_key(*key));
    let named = |key: &Bytes| key.escape_ascii().to_string();
    Some(match (other, more) {
        (Some((key, _)), _) => format!("record {} is another", named(key)),
        (None, Some(key)) => format!("record {} is not in the store", named(key)),
        (None, None) => "the records are the same, an index is not".to_owned(),
    })
}

impl Report {
    fn of_failure(seed: u64, what: String) -> Self {
        let finding = Finding { invariant: Invariant::NoPanic, at_ms: 0, what };
        let (tail, tally) = (Vec::new(), BTreeMap::new());
        Self { seed, findings: vec![finding], hash: 0, lines: 0, tail, tally, jobs: 0, virtual_ms: 0 }
    }
}
