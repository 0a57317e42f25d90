//! Cases about scans of cold records.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::writer::{Progress, write_on};
use super::{Fixture, Outcome, P, Reason, bytes, check, del, put, same, write};
use crate::contract::{Head, Store, Table, Write};

use Table::{Cold, Live, Ordered};

/// All pages of a scan: every value seen of each key, in the order seen, and the heads of the pages.
async fn scan_all(store: &dyn Store) -> Result<(BTreeMap<Bytes, Vec<Bytes>>, Vec<Head>), Reason> {
    let mut seen: BTreeMap<Bytes, Vec<Bytes>> = BTreeMap::new();
    let (mut heads, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.scan(P, cursor).await?;
        heads.push(page.head);
        for (key, value) in page.rows {
            seen.entry(key).or_default().push(value);
        }
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok((seen, heads));
        }
        tokio::task::yield_now().await;
    }
}

pub(super) async fn scan_gives_all_cold_records(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let page = store.scan(P, None).await?;
    same(&(page.rows, page.cursor, page.head), &(vec![], None, Head::default()), "an empty table")?;
    let mut at = Head::default();
    let mut wanted = BTreeMap::new();
    for round in 0..12 {
        let writes = (0..900)
            .map(|n| {
                let (key, value) = (format!("{:05}", n * 13 + round), format!("{round}"));
                wanted.insert(bytes(&key), bytes(&value));
                put(Cold, &key, &value)
            })
            .chain((0..50).map(|n| put(Live, &format!("live {round} {n}"), "")))
            .chain((0..50).map(|n| put(Ordered, &format!("ordered {round} {n}"), "")))
            .collect();
        at = write(store.as_ref(), at, writes).await?;
    }
    let gone: Vec<Write> =
        wanted.keys().step_by(3).map(|k| Write { table: Cold, key: k.clone(), value: None }).collect();
    for chunk in gone.chunks(1_000) {
        at = write(store.as_ref(), at, chunk.to_vec()).await?;
        for write in chunk {
            wanted.remove(&write.key);
        }
    }
    let (seen, heads) = scan_all(store.as_ref()).await?;
    check(heads.iter().all(|head| *head == at), "every page of a store at rest stands at its head")?;
    same(&seen.len(), &wanted.len(), "records scanned")?;
    for (key, values) in seen {
        check(values.iter().all(|value| wanted.get(&key) == Some(value)), format!("{key:?}: {values:?}"))?;
    }
    Ok(())
}

pub(super) async fn scan_under_a_writer_misses_nothing_that_stays(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let peer = fixture.peer().unwrap_or_else(|| store.clone());
    let mut at = Head::default();
    // Values so long that all of them don't fit into a page.
    let value = |version: u64| format!("{version:01500}");
    let stays: Vec<String> = (0..1_000).map(|n| format!("stays {n:04}")).collect();
    for chunk in stays.chunks(500) {
        let writes = chunk.iter().map(|key| put(Cold, key, &value(0))).collect();
        at = write(store.as_ref(), at, writes).await?;
    }
    let first = at.version;
    let progress = Progress::default();
    // Keys that stay get new values, that of their version; others come and go, so that the table grows and shrinks.
    let churn = |n: u64| {
        let version = value(first + n + 1);
        let changed = |step: u64| &*stays[(n * step % 1_000) as usize];
        let (one, other) = (changed(17), changed(29));
        let mut writes = vec![put(Cold, one, &version)];
        if other != one {
            writes.push(put(Cold, other, &version));
        }
        let gone = n.saturating_sub(10);
        writes.extend((0..40).map(|i| put(Cold, &format!("new {n} {i}"), "")));
        if gone < n {
            writes.extend((0..40).map(|i| del(Cold, &format!("new {gone} {i}"))));
        }
        writes
    };
    let writer = write_on(store, at, 40, 2_000, &progress, churn);
    let scanner = async {
        let mut scans = 0;
        while scans < 3 || progress.committed.load(Ordering::Acquire) < 40 {
            let (seen, heads) = scan_all(peer.as_ref()).await?;
            check(
                heads.iter().zip(heads.iter().skip(1)).all(|(a, b)| a.version <= b.version),
                format!("heads go back: {heads:?}"),
            )?;
            let last = heads.last().map_or(0, |head| head.version);
            for key in &stays {
                let values = seen.get(&bytes(key));
                check(values.is_some(), format!("{key} was there throughout and not seen"))?;
                for value in values.into_iter().flatten() {
                    let version: Option<u64> = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
                    check(
                        version.is_some_and(|version| version <= last),
                        format!("{key} has {value:?} in a page at version {last} at most"),
                    )?;
                }
            }
            scans += 1;
        }
        progress.stop.store(true, Ordering::Release);
        Ok(())
    };
    tokio::try_join!(writer, scanner).map(|_| ())
}

pub(super) async fn scan_of_values_large_and_small(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let mut at = Head::default();
    let value = |n: usize| Bytes::from(vec![n as u8; if n.is_multiple_of(10) { 600_000 } else { n % 7 }]);
    // Twenty large values: stores whose order is a hash's never have nearly all of them in one step.
    for first in (0..200).step_by(10) {
        let writes = (first..first + 10)
            .map(|n| Write { table: Cold, key: bytes(&format!("{n:03}")), value: Some(value(n)) })
            .collect();
        at = write(store.as_ref(), at, writes).await?;
    }
    let (mut seen, mut cursor, mut pages) = (BTreeMap::new(), None, 0);
    loop {
        let page = store.scan(P, cursor).await?;
        let bytes: usize = page.rows.iter().map(|(key, value)| key.len() + value.len()).sum();
        check(bytes < 8 << 20, format!("a page of {bytes} bytes"))?;
        seen.extend(page.rows);
        pages += 1;
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    check(pages > 1, "everything came in one page")?;
    let wanted: BTreeMap<Bytes, Bytes> = (0..200).map(|n| (bytes(&format!("{n:03}")), value(n))).collect();
    check(seen == wanted, format!("{} records scanned, wanted 200", seen.len()))
}
