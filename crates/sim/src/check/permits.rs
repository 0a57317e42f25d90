//! Permits: what an execution takes for granted, its budget's tree must have granted, under the same ask.

use std::sync::Arc;

use stint_core::command::budget_home;
use stint_core::key;
use stint_core::model::{Execution, HoldKey, PermitKey, PermitState};
use stint_store::PartitionId;

use super::Checker;
use crate::invariant::Invariant;

impl Checker {
    /// After a commit that changed an execution: behind each permit that it was granted stands a hold. The tree puts it
    /// before it answers, and only the execution ends it.
    pub(super) fn is_funded(&mut self, execution: &Execution) {
        let Some(spending) = execution.spending.as_deref().filter(|_| !self.rollbacks) else { return };
        let id = execution.id;
        let namespace: Arc<str> = execution.group.namespace.clone();
        for (n, (used, permit)) in execution.policy.budgets.iter().zip(&spending.permits).enumerate() {
            let Some(permit) = permit.as_ref().filter(|permit| permit.state == PermitState::Granted) else {
                continue;
            };
            let tree = PartitionId(budget_home(&namespace, &used.path).0);
            let hold = HoldKey::Permit(PermitKey { execution: id, ask: permit.ask, n: n as u8 });
            if !self.store.dump(tree).live.contains_key(&key::hold(&hold).bytes) {
                let what = format!(
                    "{id} takes ask {} for granted at {}, where nothing is held",
                    permit.ask, used.path
                );
                self.found(Invariant::Funded, what);
            }
        }
    }
}
