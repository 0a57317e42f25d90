//! The store as a whole: copies of it.

use stint_api::{Code, Problem};

use super::Engine;
use crate::backup::Backup;
use crate::edge::problem::draining;

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
}
