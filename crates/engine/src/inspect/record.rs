//! The records of one execution, decoded for people. A lease's token is never among what is shown.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use stint_api::StoredRecord;
use stint_core::model::{ArchiveRecord, Attempt, IdempotencyRecord, Record, Spec, StepRecord};
use stint_core::{ExecutionId, Key, key};
use stint_store::{PartitionId, Range, Store, StoreError, Table};

use super::kind::{kind_name, table_name};
use crate::partition::table;

/// Steps and log lines shown at most.
const ROWS_MAX: usize = 1_000;

/// Everything stored about an execution that can be found by its id; empty if there is none.
pub async fn records_of(store: &Arc<dyn Store>, id: ExecutionId) -> Result<Vec<StoredRecord>, StoreError> {
    let partition = PartitionId(id.partition().0);
    let mut found = Vec::new();
    let keys = vec![key::execution(id), key::archive(id), key::spec(id), key::input(id), key::output(id)];
    let rows = get(store, partition, keys).await?;
    let execution = rows.iter().find_map(|(key, value)| match key.bytes.first() {
        Some(b'x' | b'a') => ArchiveRecord::decode(id, value).ok(),
        _ => None,
    });
    let spec = rows.iter().find(|(key, _)| *key == key::spec(id));
    let idempotency = spec.and_then(|(_, value)| minicbor::decode::<Spec>(value).ok()?.key);
    found.extend(rows.iter().map(|(key, value)| shown(table(key.table), &key.bytes, value)));
    let attempts = execution.map_or(0, |execution| execution.attempt);
    let mut more: Vec<Key> = (1..=attempts).map(|attempt| key::attempt(id, attempt)).collect();
    more.extend(idempotency.map(key::idempotency));
    let rows = get(store, partition, more).await?;
    found.extend(rows.iter().map(|(key, value)| shown(table(key.table), &key.bytes, value)));
    for first in [b'p', b'l'] {
        let prefix = [&[first][..], &id.0].concat();
        let mut range = Range::prefix(&prefix, ROWS_MAX);
        let mut left = ROWS_MAX;
        while left > 0 {
            let page = store.range(partition, range.clone()).await?;
            found.extend(page.rows.iter().take(left).map(|(key, value)| shown(Table::Ordered, key, value)));
            left = left.saturating_sub(page.rows.len());
            match page.cursor {
                Some(next) => range.from = next,
                None => break,
            }
        }
    }
    Ok(found)
}

async fn get(
    store: &Arc<dyn Store>,
    partition: PartitionId,
    keys: Vec<Key>,
) -> Result<Vec<(Key, Bytes)>, StoreError> {
    let asked = keys.iter().map(|key| (table(key.table), key.bytes.clone())).collect();
    let values = store.get(partition, asked).await?.values;
    Ok(keys.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?))).collect())
}

fn shown(table: Table, key: &[u8], value: &[u8]) -> StoredRecord {
    StoredRecord {
        table: table_name(table).to_owned(),
        kind: kind_name(table, key).unwrap_or("unknown").to_owned(),
        key: key.iter().map(|byte| format!("{byte:02x}")).collect(),
        bytes: value.len() as u64,
        text: text(table, key, value),
    }
}

fn text(table: Table, key: &[u8], value: &[u8]) -> String {
    let id = || key.get(1..17).and_then(|id| id.try_into().ok()).map(ExecutionId);
    match (table, key.first()) {
        (Table::Live, _) => said(Record::decode(key, value)),
        (Table::Cold, Some(b'a')) => match id() {
            Some(id) => said(ArchiveRecord::decode(id, value)),
            None => "its key makes no sense".to_owned(),
        },
        (Table::Cold, Some(b's')) => said(minicbor::decode::<Spec>(value)),
        (Table::Cold, Some(b't')) => said(minicbor::decode::<Attempt>(value)),
        (Table::Cold, Some(b'k')) => said(minicbor::decode::<IdempotencyRecord>(value)),
        (Table::Ordered, Some(b'p')) => said(minicbor::decode::<StepRecord>(value)),
        _ => format!("{} bytes", value.len()),
    }
}

fn said<T: Debug, E: std::fmt::Display>(decoded: Result<T, E>) -> String {
    match decoded {
        Ok(record) => format!("{record:#?}"),
        Err(error) => format!("it can't be read: {error}"),
    }
}
