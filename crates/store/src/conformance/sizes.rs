//! Cases about bytes: empty, all of them, long, large, many.

use bytes::Bytes;

use super::{Fixture, Outcome, P, bytes, check, load_all, range_all, same, write};
use crate::contract::{Head, KEY_BYTES_MAX, Range, Store, Table, VALUE_BYTES_MAX, Write};

const TABLES: [Table; 3] = [Table::Live, Table::Cold, Table::Ordered];

fn row(table: Table, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Write {
    Write { table, key: key.into(), value: Some(value.into()) }
}

/// Puts the rows, then reads each by get, the live ones by load and the ordered ones by range.
async fn round_trip(store: &dyn Store, expected: Head, rows: Vec<Write>) -> Result<Head, super::Reason> {
    let at = write(store, expected, rows.clone()).await?;
    let seen = store.get(P, rows.iter().map(|w| (w.table, w.key.clone())).collect()).await?;
    for (row, value) in rows.iter().zip(&seen.values) {
        check(*value == row.value, format!("get of a {} byte key in {:?}", row.key.len(), row.table))?;
    }
    let (live, _) = load_all(store, P).await?;
    let whole =
        Range { from: Bytes::new(), to: vec![0xFF; KEY_BYTES_MAX + 1].into(), reverse: false, limit: 10_000 };
    let ordered: std::collections::BTreeMap<_, _> = range_all(store, P, whole).await?.into_iter().collect();
    for row in &rows {
        let seen = match row.table {
            Table::Live => live.get(&row.key),
            Table::Ordered => ordered.get(&row.key),
            Table::Cold => row.value.as_ref(),
        };
        check(
            seen == row.value.as_ref(),
            format!("paged read of a {} byte key in {:?}", row.key.len(), row.table),
        )?;
    }
    Ok(at)
}

pub(super) async fn values_may_be_empty(fixture: &mut dyn Fixture) -> Outcome {
    let rows = TABLES.iter().map(|&t| row(t, bytes("empty"), Bytes::new())).collect();
    round_trip(fixture.store().as_ref(), Head::default(), rows).await.map(|_| ())
}

pub(super) async fn all_bytes_in_keys_and_values(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let all: Vec<u8> = (0..=255).collect();
    let mut rows = Vec::new();
    for table in TABLES {
        for byte in 0..=255_u8 {
            rows.push(row(table, vec![byte], vec![byte]));
            rows.push(row(table, vec![b'x', byte, byte], vec![255 - byte; 3]));
        }
        rows.push(row(table, all.clone(), all.clone()));
        rows.push(row(table, all.iter().rev().copied().collect::<Vec<_>>(), all.repeat(20)));
        rows.push(row(table, &b"line\r\nend\0{tag}:*?"[..], &b"$-1\r\n*2\r\n"[..]));
    }
    let at = round_trip(store.as_ref(), Head::default(), rows.clone()).await?;
    let deletes = rows.iter().map(|w| Write { value: None, ..w.clone() }).collect();
    write(store.as_ref(), at, deletes).await?;
    let seen = store.get(P, rows.iter().map(|w| (w.table, w.key.clone())).collect()).await?;
    check(seen.values.iter().all(Option::is_none), "all keys are deleted")
}

pub(super) async fn longest_keys(fixture: &mut dyn Fixture) -> Outcome {
    let mut rows = Vec::new();
    for table in TABLES {
        rows.push(row(table, vec![0xFF; KEY_BYTES_MAX], bytes("ff")));
        rows.push(row(table, vec![0x00; KEY_BYTES_MAX], bytes("00")));
        let mut key = vec![b'k'; KEY_BYTES_MAX];
        for last in [b'a', b'b'] {
            key[KEY_BYTES_MAX - 1] = last;
            rows.push(row(table, key.clone(), vec![last]));
        }
    }
    round_trip(fixture.store().as_ref(), Head::default(), rows).await.map(|_| ())
}

pub(super) async fn largest_values(fixture: &mut dyn Fixture) -> Outcome {
    let rows = TABLES
        .iter()
        .map(|&t| {
            row(t, bytes("large"), (0..VALUE_BYTES_MAX).map(|n| (n * 31 % 251) as u8).collect::<Vec<_>>())
        })
        .collect();
    round_trip(fixture.store().as_ref(), Head::default(), rows).await.map(|_| ())
}

pub(super) async fn large_batches(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let rows: Vec<Write> = (0..3_000)
        .map(|n| row(TABLES[n % 3], bytes(&format!("key {n}")), bytes(&format!("value {}", n * n))))
        .collect();
    let at = round_trip(store.as_ref(), Head::default(), rows.clone()).await?;
    let deletes: Vec<Write> = rows.iter().map(|w| Write { value: None, ..w.clone() }).collect();
    let at = write(store.as_ref(), at, deletes).await?;
    let (live, head) = load_all(store.as_ref(), P).await?;
    same(&(live.len(), head), &(0, at), "after all are deleted")
}

pub(super) async fn many_large_values_in_one_page(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let mut at = Head::default();
    for n in 0..4 {
        let rows = [Table::Live, Table::Ordered]
            .iter()
            .flat_map(|&t| (0..5).map(move |m| row(t, bytes(&format!("{n}{m}")), vec![n * 10 + m; 300_000])))
            .collect();
        at = round_trip(store.as_ref(), at, rows).await?;
    }
    let (live, _) = load_all(store.as_ref(), P).await?;
    same(&live.len(), &20, "live records")?;
    for reverse in [false, true] {
        let range = Range { from: bytes("0"), to: bytes("9"), reverse, limit: 100 };
        same(&range_all(store.as_ref(), P, range).await?.len(), &20, "ordered records")?;
    }
    Ok(())
}
