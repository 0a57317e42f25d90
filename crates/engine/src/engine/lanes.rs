//! Lanes: shown, and changed for all partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use stint_api::{Lane, LaneReply, LaneSettings, LanesReply, Problem, check_namespace};
use stint_core::command::{LaneChange, Outcome, SetLane};
use stint_core::model::{self, LaneMode};
use stint_core::{Command, LaneCounts, PartitionId};
use tokio::time::{Instant, timeout_at};

use super::{Engine, Inner};
use crate::edge::lease::ms;
use crate::edge::page;
use crate::edge::problem::unexpected;
use crate::edge::submission::millis;

/// How long counting waits for partitions that don't answer: their work is then not counted.
pub(super) const COUNTS: Duration = Duration::from_secs(2);

impl Engine {
    /// Shows a lane. One that was never used or set is open and empty.
    pub async fn lane(&self, namespace: &str, name: &str) -> Result<Lane, Problem> {
        let settings = self.0.set(namespace, name, LaneChange::Read).await?;
        Ok(self.0.show_lane(namespace, name, &settings).await)
    }

    /// A namespace's lanes that have settings or open executions, by name, from behind a cursor on.
    pub async fn lanes(
        &self,
        namespace: &str,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<LanesReply, Problem> {
        check_namespace(namespace)?;
        let limit = page::limit(limit)?;
        if let Some(cursor) = cursor {
            check_namespace(cursor).map_err(|_| page::bad_cursor())?;
        }
        let (of, after) = (namespace.to_owned(), cursor.map(str::to_owned));
        // One more than asked for tells whether there is another page.
        let look =
            move |partition: &stint_core::Partition| partition.lanes_of(&of, after.as_deref(), limit + 1);
        let all = PartitionId::all().collect();
        let mut lanes: BTreeMap<Arc<str>, (model::LaneSettings, Vec<LaneCounts>)> = BTreeMap::new();
        for (_, part) in self.0.look_at(&all, look, Instant::now() + COUNTS).await {
            for standing in part {
                let (settings, counts) = lanes.entry(standing.name).or_default();
                counts.push(standing.counts);
                // Copies may be of different age for a moment.
                let newer = standing.settings.filter(|copy| copy.generation >= settings.generation);
                *settings = newer.unwrap_or_else(|| std::mem::take(settings));
            }
        }
        let more = lanes.len() > limit;
        let shown = lanes.iter().take(limit);
        let lanes: Vec<Lane> =
            shown.map(|(name, (settings, counts))| view(namespace, name, settings, counts)).collect();
        let next_cursor = lanes.last().filter(|_| more).map(|lane| lane.name.clone());
        Ok(LanesReply { lanes, next_cursor })
    }

    /// Replaces a lane's settings.
    pub async fn set_lane(
        &self,
        namespace: &str,
        name: &str,
        settings: LaneSettings,
    ) -> Result<LaneReply, Problem> {
        settings.validate()?;
        let change = LaneChange::Settings {
            weights: settings.weights,
            age_step_ms: settings.age_step_ms.map(millis),
            max_length: settings.max_length,
        };
        self.change_lane(namespace, name, change).await
    }

    /// Starts nothing of a lane any more.
    pub async fn pause_lane(&self, namespace: &str, name: &str) -> Result<LaneReply, Problem> {
        self.change_lane(namespace, name, LaneChange::Mode(LaneMode::Paused)).await
    }

    /// Takes and starts a lane's work again.
    pub async fn resume_lane(&self, namespace: &str, name: &str) -> Result<LaneReply, Problem> {
        self.change_lane(namespace, name, LaneChange::Mode(LaneMode::Open)).await
    }

    /// Takes nothing new into a lane, and goes on starting what is there.
    pub async fn drain_lane(&self, namespace: &str, name: &str) -> Result<LaneReply, Problem> {
        self.change_lane(namespace, name, LaneChange::Mode(LaneMode::Draining)).await
    }

    /// The answer waits until every partition goes by the change, or names those that don't yet.
    async fn change_lane(
        &self,
        namespace: &str,
        name: &str,
        change: LaneChange,
    ) -> Result<LaneReply, Problem> {
        let changes = self.0.waiters.copied();
        let settings = self.0.set(namespace, name, change).await?;
        let (of, named, generation) = (namespace.to_owned(), name.to_owned(), settings.generation);
        let is_new =
            move |partition: &stint_core::Partition| partition.lane(&of, &named).generation >= generation;
        let missing_partitions = self.0.until_copied(changes, is_new).await;
        let lane = self.0.show_lane(namespace, name, &settings).await;
        Ok(LaneReply { lane, missing_partitions })
    }
}

impl Inner {
    /// Changes or reads a lane's settings at their home.
    async fn set(
        &self,
        namespace: &str,
        name: &str,
        change: LaneChange,
    ) -> Result<model::LaneSettings, Problem> {
        check_namespace(namespace)?;
        check_namespace(name).map_err(|problem| problem.at("lane"))?;
        let command = Command::SetLane(SetLane {
            namespace: namespace.to_owned(),
            lane: name.to_owned(),
            change,
            id: (self.node.random() >> 64) as u64,
        });
        match self.call(SetLane::home(namespace, name), command).await? {
            Outcome::Lane(settings) => Ok(*settings),
            _ => Err(unexpected()),
        }
    }

    async fn show_lane(&self, namespace: &str, name: &str, settings: &model::LaneSettings) -> Lane {
        let all = PartitionId::all().collect();
        let counts = {
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            let look = move |partition: &stint_core::Partition| partition.lane_counts(&namespace, &name);
            self.look_at(&all, look, Instant::now() + COUNTS).await
        };
        let counts: Vec<LaneCounts> = counts.into_iter().map(|(_, counts)| counts).collect();
        view(namespace, name, settings, &counts)
    }

    /// Looks at several partitions at once; those that don't answer in time are left out.
    pub(super) async fn look_at<T: Send + 'static>(
        &self,
        partitions: &BTreeSet<PartitionId>,
        look: impl Fn(&stint_core::Partition) -> T + Clone + Send + 'static,
        until: Instant,
    ) -> Vec<(PartitionId, T)> {
        let looks = partitions.iter().map(|partition| {
            let look = look.clone();
            async move { (*partition, self.node.look(*partition, look).await) }
        });
        let mut looks: FuturesUnordered<_> = looks.collect();
        let mut seen = Vec::new();
        while let Ok(Some((partition, answer))) = timeout_at(until, looks.next()).await {
            seen.extend(answer.ok().map(|answer| (partition, answer)));
        }
        seen
    }
}

/// A lane as its settings and its parts in all partitions make it.
fn view(namespace: &str, name: &str, settings: &model::LaneSettings, counts: &[LaneCounts]) -> Lane {
    let sum = |of: fn(&LaneCounts) -> u64| counts.iter().map(of).sum::<u64>();
    let paused = settings.mode == LaneMode::Paused;
    // What a pause holds back is not ready.
    let held = if paused { sum(|counts| counts.ready) } else { 0 };
    Lane {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        paused,
        draining: settings.mode == LaneMode::Draining,
        weights: settings.weights.clone(),
        age_step_ms: ms(settings.age_step()),
        max_length: settings.max_length,
        ready: if paused { 0 } else { sum(|counts| counts.ready) },
        running: sum(|counts| counts.running),
        waiting: sum(|counts| counts.waiting) + held,
    }
}
