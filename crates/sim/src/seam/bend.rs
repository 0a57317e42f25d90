//! Planted bugs that write something else than was said.

use bytes::Bytes;
use stint_core::model::{PermitState, Record};
use stint_store::{Table, Write};

use crate::plant::Plant;

/// A write as the store makes it under a planted bug.
pub(super) fn bent(plant: Plant, write: &Write) -> Write {
    let record = || match &write.value {
        Some(value) if write.table == Table::Live => Record::decode(&write.key, value).ok(),
        _ => None,
    };
    let bent = match (plant, write.key.first()) {
        (Plant::ClearLatch, Some(b'c')) => record().and_then(unlatched),
        (Plant::StaleAnswer, Some(b'x')) => record().and_then(granted),
        (Plant::FreeDoubt, Some(b'k')) => match record() {
            Some(Record::Hold(hold)) if hold.in_doubt() => return Write { value: None, ..write.clone() },
            _ => None,
        },
        _ => None,
    };
    match bent {
        Some(record) => Write { value: Some(Bytes::from(record.encode())), ..write.clone() },
        None => write.clone(),
    }
}

fn unlatched(record: Record) -> Option<Record> {
    let Record::Counters(mut counters) = record else { return None };
    counters.breached.take()?;
    Some(Record::Counters(counters))
}

/// Whoever has asked before has been answered before.
fn granted(record: Record) -> Option<Record> {
    let Record::Execution(mut execution) = record else { return None };
    let spending = execution.spending.as_deref_mut().filter(|spending| spending.asks > 1)?;
    let open = spending.permits.iter_mut().flatten().find(|permit| permit.state != PermitState::Granted)?;
    open.state = PermitState::Granted;
    Some(Record::Execution(execution))
}
