//! What there is to see of a running engine, gathered when somebody looks: nothing of it is kept for them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use stint_core::model::BudgetState;
use stint_core::{LaneCounts, Millis, PartitionId};
use tokio::time::{Instant, timeout_at};

use crate::{Distribution, Engine, NodeStats};

/// How long an observation waits for partitions that don't answer: their lanes are then not counted.
const PATIENCE: Duration = Duration::from_secs(2);

/// All there is to see.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The node's counters.
    pub stats: NodeStats,
    /// What happened to executions since the start, by the event's name.
    pub events: Vec<(&'static str, u64)>,
    /// Time from sending a batch until it was settled, in microseconds.
    pub commit_us: Distribution,
    /// Commands in a batch.
    pub batch_commands: Distribution,
    /// Commits that were not settled at the first answer: an unknown outcome, or a store that failed for a while.
    pub unsettled: u64,
    /// Background passes.
    pub scanners: Vec<ScannerStats>,
    /// Exchanges that were taken.
    pub exchanges: u64,
    /// Claims that wait for work.
    pub claims_parked: u64,
    /// Lanes with open executions.
    pub lanes: Vec<LaneObservation>,
    /// How many budgets are in each state.
    pub budgets: [(BudgetState, u64); 4],
    /// Partitions that did not say what their lanes hold, and of what state their budgets are.
    pub silent_partitions: u64,
}

/// A scanner's passes since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScannerStats {
    /// Its name.
    pub name: &'static str,
    /// Passes over all partitions.
    pub passes: u64,
    /// Items dealt with.
    pub processed: u64,
    /// Items that failed.
    pub errors: u64,
}

/// What a lane holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneObservation {
    /// Whose it is.
    pub namespace: String,
    /// Its name.
    pub lane: String,
    /// Its open executions.
    pub counts: LaneCounts,
    /// How long the longest-waiting of those that are next in line has been ready.
    pub waiting_ms: u64,
}

impl Engine {
    /// Looks at everything. Each partition is asked once; it costs them what their lanes and groups are.
    pub async fn observe(&self) -> Observation {
        let shared = self.0.node.shared();
        let (lanes, budgets, silent_partitions) = self.census().await;
        Observation {
            stats: self.stats(),
            events: shared.tally.events(),
            commit_us: shared.tally.commit_us.read(),
            batch_commands: shared.tally.batch_commands.read(),
            unsettled: shared.tally.unsettled(),
            scanners: shared.tally.scanners(),
            exchanges: shared.tally.exchanges(),
            claims_parked: self.0.hub.parked() as u64,
            lanes,
            budgets,
            silent_partitions,
        }
    }

    async fn census(&self) -> (Vec<LaneObservation>, [(BudgetState, u64); 4], u64) {
        let mut looks: FuturesUnordered<_> = PartitionId::all()
            .map(|partition| {
                self.0.node.look(partition, |partition| {
                    let lanes = partition.census();
                    let owned = lanes
                        .map(|(namespace, lane, counts, due)| (namespace.clone(), lane.clone(), counts, due));
                    (owned.collect::<Vec<_>>(), partition.budget_states())
                })
            })
            .collect();
        let now = self.0.node.now();
        let deadline = Instant::now() + PATIENCE;
        let mut lanes: BTreeMap<_, (LaneCounts, Millis)> = BTreeMap::new();
        let mut budgets = [
            (BudgetState::Open, 0),
            (BudgetState::Exhausted, 0),
            (BudgetState::Overcommitted, 0),
            (BudgetState::Breached, 0),
        ];
        let mut silent = u64::try_from(looks.len()).unwrap_or(u64::MAX);
        while let Ok(Some(seen)) = timeout_at(deadline, looks.next()).await {
            let Ok((seen, states)) = seen else { continue };
            silent -= 1;
            for ((_, sum), (_, count)) in budgets.iter_mut().zip(states) {
                *sum += count as u64;
            }
            for (namespace, lane, counts, first_due) in seen {
                let (sum, first) =
                    lanes.entry((namespace, lane)).or_insert((LaneCounts::default(), Millis::MAX));
                sum.ready += counts.ready;
                sum.running += counts.running;
                sum.waiting += counts.waiting;
                *first = (*first).min(first_due.unwrap_or(Millis::MAX));
            }
        }
        let lanes = lanes.into_iter().map(|((namespace, lane), (counts, first))| LaneObservation {
            namespace: namespace.to_string(),
            lane: lane.to_string(),
            counts,
            waiting_ms: u64::try_from(now.saturating_sub(first)).unwrap_or(0),
        });
        (lanes.collect(), budgets, silent)
    }
}
