//! The store as a whole: copies of it, and what is in it.

use stint_api::{Code, Problem, StoreReport};
use stint_store::META;

use super::Engine;
use crate::backup::Backup;
use crate::edge::problem::draining;
use crate::inspect::{self, Wanted};

impl Engine {
    /// Begins a backup of everything, while all goes on. One at a time.
    pub fn backup(&self) -> Result<Backup, Problem> {
        if self.0.is_draining() {
            return Err(draining());
        }
        self.ready()?;
        let turn = self.0.backups.clone().try_acquire_owned().map_err(|_| {
            Problem::new(Code::Overloaded, "a backup is under way; one is made at a time")
                .remedy("Wait until it has ended.")
        })?;
        Ok(Backup::of_node(self.0.node.clone(), turn))
    }

    /// What is in the store: heads, members, open work, and all records counted if that is asked for, which reads
    /// everything.
    pub async fn store(&self, wanted: Wanted) -> Result<StoreReport, Problem> {
        if wanted.partition.is_some_and(|partition| partition > META.0) {
            return Err(Problem::invalid("partition", format!("expected a number of 0 to {}", META.0)));
        }
        let store = &self.0.node.shared().store;
        let report = inspect::inspect(store, wanted, |_| {}).await;
        report.map_err(|error| Problem::new(Code::StoreUnavailable, error.to_string()))
    }
}
