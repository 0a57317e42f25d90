//! Batches: what ran since the last commit, and what is on its way to the store.

use std::sync::Arc;

use bytes::Bytes;
use stint_core::command::Grant;
use stint_core::event::{Event, EventKind, encode_log};
use stint_core::model::{Link, Record};
use stint_core::{Key, LeaseRef, Millis, Partition, PartitionId, Table, Txn, key};
use stint_store as store;
use tokio::time::Instant;

use super::job::Ran;
use crate::hub::{ClaimId, GrantedLease};

/// Events at which a batch closes: its log record is one value, and an event takes well below 100 bytes.
const EVENTS_MAX: usize = 4_000;

/// What ran since the last batch was closed.
#[derive(Default)]
pub(super) struct Open {
    pub(super) txn: Txn,
    pub(super) ran: Vec<Ran>,
    /// Records of the engine's own that go.
    pub(super) forget: Vec<Key>,
    /// Acknowledged writes were found lost: this batch begins a new timeline.
    pub(super) new_timeline: bool,
}

impl Open {
    /// Whether nothing ran and nothing is to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.ran.is_empty() && !self.writes_any()
    }

    /// Whether there is anything to write.
    pub(super) fn writes_any(&self) -> bool {
        !self.txn.is_empty() || !self.forget.is_empty() || self.new_timeline
    }

    /// Whether another command may still join it.
    pub(super) fn has_room(&self) -> bool {
        self.txn.puts() + self.forget.len() < store::BATCH_PUTS_MAX
            && self.txn.bytes() < store::BATCH_BYTES_MAX
            && self.txn.events().len() < EVENTS_MAX
    }

    /// The store's form of it, and what else leaves when it is committed.
    pub(super) fn encode(&self, partition: &Partition, version: u64, now: Millis) -> Encoded {
        let mut links = Vec::new();
        let mut trim_at = Millis::MAX;
        let mut writes = Vec::with_capacity(self.txn.puts() + 1);
        for write in self.txn.writes(partition) {
            if write.key.table == Table::Live && write.key.bytes.first() == Some(&b'o') {
                links.extend(changed_link(&write.key, write.value.as_ref()));
            }
            if write.value.is_some() {
                trim_at = trim_at.min(crate::scanner::trim_time(&write.key));
            }
            writes.push(store::Write {
                table: table(write.key.table),
                key: write.key.bytes,
                value: write.value,
            });
        }
        for key in &self.forget {
            writes.push(store::Write { table: table(key.table), key: key.bytes.clone(), value: None });
        }
        let mut log_bytes = 0;
        let lost = Event::own(now, EventKind::WritesLost);
        let events: Vec<Event> =
            self.new_timeline.then_some(lost).into_iter().chain(self.txn.events().iter().cloned()).collect();
        if !events.is_empty() {
            let log = key::log(version);
            let value = Bytes::from(encode_log(&events));
            log_bytes = value.len() as u64;
            writes.push(store::Write { table: store::Table::Ordered, key: log.bytes, value: Some(value) });
        }
        let absent = self.txn.absent().iter().map(|key| (table(key.table), key.bytes.clone())).collect();
        Encoded { writes, absent, events, links, trim_at, log_bytes }
    }
}

/// See [`Open::encode`].
pub(super) struct Encoded {
    pub(super) writes: Vec<store::Write>,
    pub(super) absent: Vec<(store::Table, Bytes)>,
    pub(super) events: Vec<Event>,
    /// Messages put into the outbox, or dropped from it.
    pub(super) links: Vec<ChangedLink>,
    /// The earliest instant at which something written here is to be trimmed.
    pub(super) trim_at: Millis,
    pub(super) log_bytes: u64,
}

/// A place in the outbox and what stands there now.
pub(super) type ChangedLink = ((PartitionId, u64), Option<Link>);

fn changed_link(key: &Key, value: Option<&Bytes>) -> Option<ChangedLink> {
    let peer = PartitionId(*key.bytes.get(1)?);
    let sequence = u64::from_be_bytes(key.bytes.get(2..10)?.try_into().ok()?);
    let link = match value.map(|value| Record::decode(&key.bytes, value)) {
        Some(Ok(Record::Link(link))) => Some(*link),
        _ => None,
    };
    Some(((peer, sequence), link))
}

/// A batch on its way to the store, or the check that stands for one that writes nothing.
pub(super) struct InFlight {
    /// Counts the batches of this actor.
    pub(super) number: u64,
    pub(super) open: Open,
    pub(super) events: Vec<Event>,
    pub(super) links: Vec<ChangedLink>,
    pub(super) trim_at: Millis,
    pub(super) log_bytes: u64,
    /// Whether it is a commit.
    pub(super) commit: bool,
    /// What is sent, if it is one.
    pub(super) batch: Option<Arc<store::Batch>>,
    pub(super) writes: usize,
    pub(super) since: Instant,
    /// Leases that are complete and wait for the commit alone.
    pub(super) carried: Vec<(ClaimId, Vec<GrantedLease>)>,
    /// Leases that find no room in their claim's answer.
    pub(super) beyond: Vec<(ClaimId, LeaseRef)>,
    /// Whether other leases of it are still being read for.
    pub(super) carrying: bool,
    /// Leases whose journal is read once it is committed.
    pub(super) journaled: Vec<(ClaimId, Vec<Grant>)>,
}

/// How a commit or a check ended.
pub(super) struct Settled {
    pub(super) how: How,
    /// Whether it failed on the way: then no heartbeat could be taken meanwhile.
    pub(super) troubled: bool,
}

/// See [`Settled`].
pub(super) enum How {
    /// Applied; the partition stands here now.
    Committed(store::Head),
    /// Another head stands there.
    Conflict,
    /// These keys exist that must not.
    Present(Vec<Key>),
    /// Nothing happened: no room.
    Full,
    /// The store must not be used any more.
    Fatal(String),
}

/// Sends a batch until it is settled: nothing else may be sent for the partition before.
pub(super) async fn commit(
    store: Arc<dyn store::Store>,
    partition: PartitionId,
    expected: store::Head,
    batch: Arc<store::Batch>,
) -> Settled {
    let mut pauses = crate::backoff::pauses();
    let mut troubled = false;
    let mut unknown = false;
    loop {
        let how = match store.commit(store::PartitionId(partition.0), expected, batch.clone()).await {
            Ok(store::Committed::Yes(head)) => How::Committed(head),
            Ok(store::Committed::Conflict(_)) => How::Conflict,
            Ok(store::Committed::Present(keys)) => How::Present(keys.into_iter().map(own_key).collect()),
            Err(store::StoreError::Fatal(reason)) => How::Fatal(reason),
            // An earlier send may still arrive, so "full" settles nothing then.
            Err(store::StoreError::Full(_)) if !unknown => How::Full,
            Err(error) => {
                unknown |= matches!(error, store::StoreError::Unknown(_));
                if !troubled {
                    tracing::warn!(partition = partition.0, %error, "a commit is not settled; sending it again");
                }
                troubled = true;
                pauses.wait().await;
                continue;
            }
        };
        return Settled { how, troubled };
    }
}

/// Confirms that nobody else has written: what a batch without writes needs before its answers leave.
pub(super) async fn check(
    store: Arc<dyn store::Store>,
    partition: PartitionId,
    expected: store::Head,
    absent: Vec<(store::Table, Bytes)>,
) -> Settled {
    let mut pauses = crate::backoff::pauses();
    let mut troubled = false;
    loop {
        let how = match store.get(store::PartitionId(partition.0), absent.clone()).await {
            Ok(values) if values.head != expected => How::Conflict,
            Ok(values) => {
                let found = absent.iter().zip(&values.values).filter(|(_, value)| value.is_some());
                let present: Vec<Key> = found.map(|(key, _)| own_key(key.clone())).collect();
                if present.is_empty() { How::Committed(expected) } else { How::Present(present) }
            }
            Err(store::StoreError::Fatal(reason)) => How::Fatal(reason),
            Err(_) => {
                troubled = true;
                pauses.wait().await;
                continue;
            }
        };
        return Settled { how, troubled };
    }
}

/// The store's name of a table.
pub(crate) fn table(table: Table) -> store::Table {
    match table {
        Table::Live => store::Table::Live,
        Table::Cold => store::Table::Cold,
        Table::Ordered => store::Table::Ordered,
    }
}

fn own_key((table, bytes): (store::Table, Bytes)) -> Key {
    let table = match table {
        store::Table::Live => Table::Live,
        store::Table::Cold => Table::Cold,
        store::Table::Ordered => Table::Ordered,
    };
    Key { table, bytes }
}
