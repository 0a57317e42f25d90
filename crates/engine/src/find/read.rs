//! Reading what a list shows: from the store by range and by key, and from projections by id.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::future::try_join_all;
use stint_core::find::{Position, Summary};
use stint_core::model::{ArchiveRecord, LaneMode, Spec};
use stint_core::{ExecutionId, Key, PartitionId, key};
use stint_store as store;

use crate::partition::table;
use crate::{CallError, Node};

/// An execution may end or be replayed while it is looked for; one that is nowhere so often is gone.
const LOOKS: usize = 4;

/// Rows of an ordered range. Others are let on first: a read may take a while, and there are many of them.
pub(super) async fn range(
    node: &Node,
    partition: PartitionId,
    range: store::Range,
) -> Result<store::Page, CallError> {
    tokio::task::yield_now().await;
    let page = node.shared().store.range(store::PartitionId(partition.0), range).await;
    page.map_err(|error| CallError::Store(error.to_string()))
}

/// Tags of executions, as far as their submissions are kept.
pub(crate) async fn tags_of(
    node: &Node,
    ids: &BTreeSet<ExecutionId>,
) -> Result<BTreeMap<ExecutionId, Vec<(String, String)>>, CallError> {
    let keys = ids.iter().map(|id| (id.partition(), key::spec(*id))).collect();
    let values = get(node, keys).await?;
    ids.iter().zip(values).map(|(id, value)| Ok((*id, tags(value)?))).collect()
}

/// Puts their tags into summaries.
pub(super) async fn add_tags(node: &Node, rows: &mut [Summary]) -> Result<(), CallError> {
    let keys: Vec<(PartitionId, Key)> =
        rows.iter().map(|row| (row.id.partition(), key::spec(row.id))).collect();
    for (row, value) in rows.iter_mut().zip(get(node, keys).await?) {
        row.tags = tags(value)?;
    }
    Ok(())
}

/// Ended executions with their tags; `None` for those that have no such record any more.
pub(super) async fn ended(node: &Node, places: &[Position]) -> Result<Vec<Option<Summary>>, CallError> {
    let keys = places.iter().flat_map(|(_, id)| {
        let partition = id.partition();
        [(partition, key::archive(*id)), (partition, key::spec(*id))]
    });
    let mut values = get(node, keys.collect()).await?.into_iter();
    let mut found = Vec::with_capacity(places.len());
    for (_, id) in places {
        let (archive, spec) = (values.next().flatten(), values.next().flatten());
        found.push(archive.map(|archive| archived(*id, &archive, spec)).transpose()?);
    }
    Ok(found)
}

/// Executions of one partition with their tags, open or ended; `None` for those that are gone.
pub(super) async fn any(
    node: &Node,
    partition: PartitionId,
    ids: Vec<ExecutionId>,
) -> Result<Vec<Option<Summary>>, CallError> {
    let mut found: BTreeMap<ExecutionId, Summary> = BTreeMap::new();
    let mut missing = ids.clone();
    for _ in 0..LOOKS {
        if missing.is_empty() {
            break;
        }
        let asked = missing.clone();
        let look = move |projection: &stint_core::Partition| {
            asked.iter().map(|id| projection.summary(*id)).collect::<Vec<_>>()
        };
        let mut open: Vec<Summary> = node.look(partition, look).await?.into_iter().flatten().collect();
        add_tags(node, &mut open).await?;
        found.extend(open.into_iter().map(|row| (row.id, row)));
        missing.retain(|id| !found.contains_key(id));
        let places: Vec<Position> = missing.iter().map(|id| (0, *id)).collect();
        let ended = ended(node, &places).await?;
        found.extend(ended.into_iter().flatten().map(|row| (row.id, row)));
        missing.retain(|id| !found.contains_key(id));
    }
    Ok(ids.iter().map(|id| found.remove(id)).collect())
}

/// Values in the order of the keys, from one read of each partition.
async fn get(node: &Node, keys: Vec<(PartitionId, Key)>) -> Result<Vec<Option<Bytes>>, CallError> {
    let mut asked: BTreeMap<PartitionId, (Vec<usize>, Vec<_>)> = BTreeMap::new();
    let mut values = vec![None; keys.len()];
    for (at, (partition, key)) in keys.into_iter().enumerate() {
        let (places, keys) = asked.entry(partition).or_default();
        places.push(at);
        keys.push((table(key.table), key.bytes));
    }
    let reads = asked.into_iter().map(async |(partition, (places, keys))| {
        tokio::task::yield_now().await;
        let read = node.shared().store.get(store::PartitionId(partition.0), keys).await;
        Ok::<_, CallError>((places, read.map_err(|error| CallError::Store(error.to_string()))?.values))
    });
    for (places, read) in try_join_all(reads).await? {
        for (at, value) in places.into_iter().zip(read) {
            if let Some(slot) = values.get_mut(at) {
                *slot = value;
            }
        }
    }
    Ok(values)
}

fn archived(id: ExecutionId, archive: &[u8], spec: Option<Bytes>) -> Result<Summary, CallError> {
    let execution = ArchiveRecord::decode(id, archive).map_err(|error| unreadable(id, &error))?;
    let mut summary = Summary::of(&execution, LaneMode::Open);
    summary.tags = tags(spec)?;
    Ok(summary)
}

fn tags(spec: Option<Bytes>) -> Result<Vec<(String, String)>, CallError> {
    let Some(spec) = spec else { return Ok(Vec::new()) };
    let spec = minicbor::decode::<Spec>(&spec).map_err(|error| {
        tracing::error!(%error, "what was submitted can't be read");
        CallError::Internal
    })?;
    Ok(spec.tags.unwrap_or_default())
}

fn unreadable(id: ExecutionId, error: &minicbor::decode::Error) -> CallError {
    tracing::error!(execution = %id, %error, "an ended execution can't be read");
    CallError::Internal
}
