//! How the hub reaches the partitions.

use std::sync::{Arc, Weak};

use stint_core::command::Release;
use stint_core::{Command, LeaseRef, PartitionId};

use crate::Node;
use crate::hub::{Reservation, Serve};
use crate::node::Shared;
use crate::partition::Message;

/// A way to the partitions that does not keep them alive: they hold the hub.
pub(super) struct Bridge(Weak<Shared>);

impl Bridge {
    pub(super) fn to(node: &Node) -> Self {
        Self(Arc::downgrade(node.shared()))
    }
}

impl Serve for Bridge {
    fn serve(&self, partition: PartitionId, reservation: Reservation) {
        // A partition that has ended takes nothing: its claims end with their time.
        if let Some(shared) = self.0.upgrade() {
            shared.send(partition, Message::Serve(reservation));
        }
    }

    fn release(&self, leases: Vec<LeaseRef>) {
        let Some(shared) = self.0.upgrade() else { return };
        for lease in leases {
            let command = Command::Release(Release { lease });
            shared.send(lease.execution.partition(), Message::Post(command));
        }
    }
}
