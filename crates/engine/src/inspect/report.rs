//! Heads, members and counts of a store. While a node serves it each partition is seen at about one moment, and
//! different ones at different moments: these are figures for people.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use stint_api::{ExecutionState, Instant, PartitionReport, RecordCount, StoreMember, StoreReport};
use stint_core::model::Record;
use stint_store::{
    FORMAT, Head, KEY_BYTES_MAX, META, PARTITIONS, PartitionId, Range, Store, StoreError, Table,
};

use super::kind::{kind_name, meta_kind_name, table_name};
use crate::edge::view;
use crate::{backup, meta};

/// Rows of a page of ordered records.
const RANGE_ROWS: usize = 4_096;

/// What to look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// One partition; `None` is all of them.
    pub partition: Option<u8>,
    /// Also count all records, which reads all of them.
    pub records: bool,
}

/// Looks at a store. `seen` hears of the number of partitions done.
pub async fn inspect(
    store: &Arc<dyn Store>,
    wanted: Wanted,
    mut seen: impl FnMut(u8) + Send,
) -> Result<StoreReport, StoreError> {
    let mut found = Found::default();
    let mut partitions = Vec::new();
    for number in 0..=META.0 {
        if wanted.partition.is_none_or(|partition| partition == number) {
            partitions.push(found.partition(store, PartitionId(number), wanted.records).await?);
        }
        seen(number + 1);
    }
    let (members, restoring) = members(store).await?;
    let counts = found.records.into_iter().map(|((table, kind), (count, bytes))| {
        let (table, kind) = (table_name(table).to_owned(), kind.to_owned());
        RecordCount { table, kind, count, bytes }
    });
    Ok(StoreReport {
        format: FORMAT,
        partition_count: PARTITIONS.into(),
        identity: store.identity().await?,
        restoring,
        members,
        partitions,
        open: found.open,
        oldest_ready_at: found.oldest_ready.map(Instant::from_millis),
        records: wanted.records.then(|| counts.collect()),
        unreadable: wanted.records.then_some(found.unreadable),
    })
}

#[derive(Default)]
struct Found {
    records: BTreeMap<(Table, &'static str), (u64, u64)>,
    open: BTreeMap<String, u64>,
    oldest_ready: Option<i64>,
    unreadable: u64,
}

impl Found {
    async fn partition(
        &mut self,
        store: &Arc<dyn Store>,
        partition: PartitionId,
        records: bool,
    ) -> Result<PartitionReport, StoreError> {
        let head = store.get(partition, Vec::new()).await?.head;
        let mut report = PartitionReport {
            partition: partition.0,
            timeline: head.timeline,
            version: head.version,
            level: head.level,
            last_commit_at: (head != Head::default()).then(|| Instant::from_millis(head.now_ms)),
            open: 0,
            messages: 0,
        };
        // A store that grows while it is read may give a key twice: executions are counted once.
        let mut counted = HashSet::new();
        let mut cursor = None;
        loop {
            let page = store.load(partition, cursor).await?;
            for (key, value) in &page.rows {
                let first = store.exclusive() || counted.insert(key.clone());
                if first && partition != META {
                    self.live(&mut report, key, value);
                }
            }
            self.count(partition, Table::Live, &page.rows);
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if records {
            self.cold_and_ordered(store, partition).await?;
        }
        Ok(report)
    }

    async fn cold_and_ordered(
        &mut self,
        store: &Arc<dyn Store>,
        partition: PartitionId,
    ) -> Result<(), StoreError> {
        let mut cursor = None;
        loop {
            let page = store.scan(partition, cursor).await?;
            self.count(partition, Table::Cold, &page.rows);
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let to = Bytes::from_static(&[0xFF; KEY_BYTES_MAX + 1]);
        let mut range = Range { from: Bytes::new(), to, reverse: false, limit: RANGE_ROWS };
        loop {
            let page = store.range(partition, range.clone()).await?;
            self.count(partition, Table::Ordered, &page.rows);
            match page.cursor {
                Some(next) => range.from = next,
                None => return Ok(()),
            }
            tokio::task::yield_now().await;
        }
    }

    fn live(&mut self, report: &mut PartitionReport, key: &[u8], value: &[u8]) {
        match Record::decode(key, value) {
            Ok(Record::Execution(execution)) => {
                let state = view::state(execution.state());
                report.open += 1;
                *self.open.entry(state.as_str().to_owned()).or_default() += 1;
                if state == ExecutionState::Ready {
                    let at = execution.submitted_at;
                    self.oldest_ready = Some(self.oldest_ready.map_or(at, |oldest| oldest.min(at)));
                }
            }
            Ok(Record::Link(_)) => report.messages += 1,
            Ok(_) => {}
            Err(_) => self.unreadable += 1,
        }
    }

    fn count(&mut self, partition: PartitionId, table: Table, rows: &[(Bytes, Bytes)]) {
        for (key, value) in rows {
            let kind = if partition == META { meta_kind_name(table, key) } else { kind_name(table, key) };
            let (count, bytes) = self.records.entry((table, kind.unwrap_or("unknown"))).or_default();
            *count += 1;
            *bytes += (key.len() + value.len()) as u64;
        }
    }
}

/// Nodes by their heartbeats, and whether a restore is under way.
async fn members(store: &Arc<dyn Store>) -> Result<(Vec<StoreMember>, bool), StoreError> {
    let (_, restoring) = backup::marker::under_way(store).await?;
    let members = meta::members(&**store).await?.into_iter().map(|member| StoreMember {
        node: member.name,
        heartbeat_at: Instant::from_millis(member.at),
        level: member.level,
    });
    Ok((members.collect(), restoring.is_some()))
}
