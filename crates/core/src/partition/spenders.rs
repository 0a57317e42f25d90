//! Executions here that hold or ask for permits, by the path they name and by the partition of its tree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ids::{ExecutionId, PartitionId};
use crate::key;
use crate::model::{Execution, is_under, tree};

/// Where a path's tree lives.
pub(crate) fn home(namespace: &str, path: &str) -> PartitionId {
    PartitionId::of(&key::name_hash(namespace, tree(path)))
}

#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Spenders {
    /// By namespace and path.
    paths: BTreeMap<Arc<str>, BTreeSet<ExecutionId>>,
}

impl Spenders {
    pub(super) fn insert(&mut self, execution: &Execution) {
        for path in paths(execution) {
            self.paths.entry(path.as_str().into()).or_default().insert(execution.id);
        }
    }

    pub(super) fn remove(&mut self, execution: &Execution) {
        for path in paths(execution) {
            if let Some(ids) = self.paths.get_mut(path.as_str()) {
                ids.remove(&execution.id);
                if ids.is_empty() {
                    self.paths.remove(path.as_str());
                }
            }
        }
    }

    /// Those that name a path at or below a level.
    pub(super) fn under(&self, namespace: &str, level: &str) -> Vec<ExecutionId> {
        let first = format!("{namespace}\0{level}");
        let all = self
            .paths
            .range::<str, _>((std::ops::Bound::Included(first.as_str()), std::ops::Bound::Unbounded));
        let paths = all.take_while(|(name, _)| name.starts_with(&first));
        let under =
            paths.filter(|(name, _)| name.split_once('\0').is_some_and(|(_, path)| is_under(path, level)));
        under.flat_map(|(_, ids)| ids.iter().copied()).collect()
    }

    /// Those that name a path whose tree lives there.
    pub(super) fn of(&self, partition: PartitionId) -> BTreeSet<ExecutionId> {
        let at_home = |name: &str| name.split_once('\0').is_some_and(|(n, path)| home(n, path) == partition);
        self.paths.iter().filter(|(name, _)| at_home(name)).flat_map(|(_, ids)| ids.iter().copied()).collect()
    }
}

/// The paths of which it has or wants a permit at present.
fn paths(execution: &Execution) -> impl Iterator<Item = String> {
    let spending = execution.spending.as_deref();
    let asked = spending.is_some_and(|spending| spending.is_pending());
    let uses = execution.policy.budgets.iter().filter(move |_| asked);
    uses.map(|used| format!("{}\0{}", execution.group.namespace, used.path))
}
