//! How the hub reaches the partitions, without keeping them alive: they hold the hub.

use stint_core::command::Release;
use stint_core::{Command, LeaseRef, PartitionId};

use crate::WeakNode;
use crate::hub::{Reservation, Serve};

pub(super) struct Bridge(pub(super) WeakNode);

impl Serve for Bridge {
    fn serve(&self, partition: PartitionId, reservation: Reservation) {
        self.0.serve(partition, reservation);
    }

    fn release(&self, leases: Vec<LeaseRef>) {
        for lease in leases {
            self.0.post(lease.execution.partition(), Command::Release(Release { lease, unfinished: false }));
        }
    }
}
