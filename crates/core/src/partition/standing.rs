//! How things stand here, for people: lanes by name, leases by worker, what blocks an execution.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{LaneCounts, Partition};
use crate::command::state_of;
use crate::ids::ExecutionId;
use crate::model::LaneSettings;

/// A lane with settings or open executions in this partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneStanding {
    /// Its name.
    pub name: Arc<str>,
    /// This partition's copy of its settings, if it has one.
    pub settings: Option<LaneSettings>,
    /// Its open executions here.
    pub counts: LaneCounts,
}

impl Partition {
    /// A namespace's lanes by name, those behind `after`, at most so many. The cost follows their groups.
    pub fn lanes_of(&self, namespace: &str, after: Option<&str>, most: usize) -> Vec<LaneStanding> {
        let names = self.lanes.names(namespace, after).take(most);
        let standing = |name: &Arc<str>| LaneStanding {
            name: name.clone(),
            settings: self.lanes.settings(namespace, name).cloned(),
            counts: self.lane_counts(namespace, name),
        };
        names.map(standing).collect()
    }

    /// How many leases each worker holds here, by its name and session (0: taken by plain claims). The cost follows what
    /// runs.
    pub fn leases_held(&self, namespace: &str) -> BTreeMap<(Arc<str>, u64), u64> {
        let mut held = BTreeMap::new();
        for id in self.running.all() {
            let Some(execution) = self.execution(id).filter(|e| &*e.group.namespace == namespace) else {
                continue;
            };
            if let Some(lease) = execution.lease.as_deref() {
                *held.entry((lease.worker.name.clone(), lease.worker.session)).or_default() += 1;
            }
        }
        held
    }

    /// What keeps an execution from starting that is ready, if anything does.
    pub fn blocked_by(&self, id: ExecutionId) -> Option<&'static str> {
        let execution = self.execution(id)?;
        let lane_mode = self.lane(&execution.group.namespace, &execution.group.lane).mode;
        state_of(execution, lane_mode).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;
    use crate::model::LaneMode;

    #[test]
    fn lanes_are_listed_by_name_with_what_is_in_them() {
        let mut bed = Bed::new();
        for (lane, count) in [("b", 1), ("d", 2), ("a", 3)] {
            (0..count).for_each(|_| _ = bed.submit(|s| s.lane = lane.into()));
        }
        bed.submit(|s| (s.namespace, s.lane) = ("other".into(), "c".into()));
        bed.own_lane("c", |settings| settings.mode = LaneMode::Paused);
        let names = |after: Option<&str>, most| {
            let lanes = bed.partition.lanes_of("default", after, most);
            lanes.iter().map(|lane| lane.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(None, 10), ["a", "b", "c", "d"]);
        assert_eq!(names(Some("a"), 2), ["b", "c"]);
        assert_eq!(names(Some("bb"), 10), ["c", "d"]);
        assert!(names(Some("d"), 10).is_empty());
        let lanes = bed.partition.lanes_of("default", None, 10);
        assert_eq!(lanes[0].counts.ready, 3);
        assert_eq!((lanes[0].settings.is_some(), lanes[2].settings.is_some()), (false, true));
        assert_eq!(lanes[2].counts, LaneCounts::default());
        assert!(bed.partition.lanes_of("nobody", None, 10).is_empty());
    }

    #[test]
    fn leases_are_counted_by_who_holds_them() {
        let mut bed = Bed::new();
        for _ in 0..6 {
            bed.submit(|_| ());
        }
        bed.claim_as(|c| (c.worker.name, c.worker.session, c.max) = ("a".into(), 7, 2));
        bed.claim_as(|c| (c.worker.name, c.worker.session, c.max) = ("a".into(), 0, 1));
        let leases = bed.claim_as(|c| (c.worker.name, c.worker.session, c.max) = ("b".into(), 9, 2));
        bed.complete(leases[0].lease, "1").unwrap();
        let held = bed.partition.leases_held("default");
        let held: Vec<_> = held.iter().map(|((name, session), count)| (&**name, *session, *count)).collect();
        assert_eq!(held, [("a", 0, 1), ("a", 7, 2), ("b", 9, 1)]);
        assert!(bed.partition.leases_held("other").is_empty());
    }

    #[test]
    fn what_blocks_is_named_once_it_is_ready() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        assert_eq!(bed.partition.blocked_by(id), None);
        bed.own_lane("default", |settings| settings.mode = LaneMode::Paused);
        assert_eq!(bed.partition.blocked_by(id), Some("lane_paused"));
        let submitted = bed.try_submit(|_| ()).unwrap();
        assert_eq!(submitted.blocked_by, Some("lane_paused"));
        let later = bed.try_submit(|s| s.delay_ms = Some(5)).unwrap();
        assert_eq!(later.blocked_by, None, "it is scheduled");
        bed.act(id, crate::command::Action::Pause).unwrap();
        assert_eq!(bed.partition.blocked_by(id), Some("paused"));
    }
}
