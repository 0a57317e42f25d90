//! Cases about reads: get, load, changes, range.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::writer::{Progress, write_on};
use super::{
    Fixture, OTHER, Outcome, P, batch, bytes, check, commit, del, load_all, load_caught_up, put, range_all,
    same, write,
};
use crate::contract::{Changes, Head, Range, Table, Write};

use Table::{Cold, Live, Ordered};

pub(super) async fn an_empty_partition_reads_empty(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let nowhere = Head::default();
    let seen = store.get(P, vec![(Live, bytes("k")), (Cold, bytes("k"))]).await?;
    same(&(seen.values, seen.head), &(vec![None, None], nowhere), "get")?;
    let page = store.load(P, None).await?;
    same(&(page.rows, page.cursor, page.head), &(vec![], None, nowhere), "load")?;
    let page = store.range(P, Range::prefix(b"k", 10)).await?;
    same(&(page.rows, page.cursor, page.head), &(vec![], None, nowhere), "range")?;
    match store.changes(P, nowhere).await? {
        Changes::Since { rows, head } => same(&(rows, head), &(vec![], nowhere), "changes"),
        Changes::TooOld => check(false, "the present head is never too old"),
    }
}

pub(super) async fn get_answers_in_the_order_asked(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let writes =
        (0..100).map(|n| put([Live, Cold, Ordered][n % 3], &format!("k{n}"), &n.to_string())).collect();
    let at = write(store.as_ref(), Head::default(), writes).await?;
    let order: Vec<usize> = (0..100).map(|n| n * 37 % 100).chain([5, 5]).collect();
    let keys = order.iter().map(|&n| ([Live, Cold, Ordered][n % 3], bytes(&format!("k{n}")))).collect();
    let seen = store.get(P, keys).await?;
    let wanted: Vec<_> = order.iter().map(|n| Some(bytes(&n.to_string()))).collect();
    same(&(seen.values, seen.head), &(wanted, at), "values in the order asked")
}

/// Every batch puts its own version under all of these keys, so one read that sees two versions is torn.
const EVERYWHERE: [(Table, &str); 6] =
    [(Live, "a"), (Live, "z"), (Cold, "a"), (Cold, "z"), (Ordered, "a"), (Ordered, "z")];

pub(super) async fn get_is_atomic_at_a_head(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let peer = fixture.peer().unwrap_or_else(|| store.clone());
    let progress = Progress::default();
    let everywhere = |n: u64| EVERYWHERE.iter().map(|(t, k)| put(*t, k, &(n + 1).to_string())).collect();
    let writer = write_on(store, Head::default(), 50, 3_000, &progress, everywhere);
    let reader = async {
        let mut reads = 0;
        while reads < 200 || progress.committed.load(Ordering::Acquire) < 50 {
            let seen = peer.get(P, EVERYWHERE.iter().map(|(t, k)| (*t, bytes(k))).collect()).await?;
            let wanted = match seen.head.version {
                0 => None,
                version => Some(bytes(&version.to_string())),
            };
            same(
                &seen.values,
                &vec![wanted; EVERYWHERE.len()],
                format!("values at version {}", seen.head.version),
            )?;
            let page =
                peer.range(P, Range { from: bytes("a"), to: bytes("zz"), reverse: false, limit: 10 }).await?;
            let rows: Vec<_> = page.rows.iter().map(|(_, value)| value.clone()).collect();
            let wanted = match page.head.version {
                0 => vec![],
                version => vec![bytes(&version.to_string()); 2],
            };
            same(&rows, &wanted, format!("a range at version {}", page.head.version))?;
            reads += 1;
            tokio::task::yield_now().await;
        }
        progress.stop.store(true, Ordering::Release);
        Ok(())
    };
    tokio::try_join!(writer, reader).map(|_| ())
}

pub(super) async fn load_gives_all_live_records(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let mut at = Head::default();
    let mut wanted = BTreeMap::new();
    for round in 0..6 {
        let writes = (0..900)
            .map(|n| {
                let (key, value) = (format!("{:05}", n * 7 + round), format!("{round}"));
                wanted.insert(bytes(&key), bytes(&value));
                put(Live, &key, &value)
            })
            .chain((0..50).map(|n| put(Cold, &format!("cold {round} {n}"), "")))
            .chain((0..50).map(|n| put(Ordered, &format!("ordered {round} {n}"), "")))
            .collect();
        at = write(store.as_ref(), at, writes).await?;
    }
    let gone: Vec<Write> =
        wanted.keys().step_by(3).map(|k| Write { table: Live, key: k.clone(), value: None }).collect();
    for chunk in gone.chunks(1_000) {
        at = write(store.as_ref(), at, chunk.to_vec()).await?;
        for write in chunk {
            wanted.remove(&write.key);
        }
    }
    let (seen, head) = load_all(store.as_ref(), P).await?;
    same(&head, &at, "the head of the first page")?;
    same(&seen.len(), &wanted.len(), "records loaded")?;
    same(&seen, &wanted, "the records")
}

pub(super) async fn load_under_a_writer_catches_up(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let peer = fixture.peer().unwrap_or_else(|| store.clone());
    let mut at = Head::default();
    for round in 0..4 {
        let writes = (0..1_000).map(|n| put(Live, &format!("{:04}", n * 4 + round), "old")).collect();
        at = write(store.as_ref(), at, writes).await?;
    }
    let progress = Progress::default();
    // It moves through the keys in both directions, so that pages already read and pages yet to come change.
    let churn = |n: u64| {
        let value = n.to_string();
        vec![
            put(Live, &format!("{:04}", n * 13 % 4_000), &value),
            del(Live, &format!("{:04}", 3_999 - n * 7 % 4_000)),
            put(Live, &format!("new {n}"), &value),
            del(Live, &format!("new {}", n.saturating_sub(10))),
        ]
    };
    let writer = write_on(store.clone(), at, 300, 600, &progress, churn);
    let loader = async {
        let mut loads = 0;
        while loads < 3 {
            load_caught_up(peer.as_ref(), P).await?;
            loads += 1;
        }
        progress.stop.store(true, Ordering::Release);
        load_caught_up(peer.as_ref(), P).await
    };
    let (last, (mut records, mut head)) = tokio::try_join!(writer, loader)?;
    // The writer may have gone on after the loader had caught up: follow it to its end.
    if head != last {
        match peer.changes(P, head).await? {
            Changes::Since { rows, head: next } => {
                for (key, value) in rows {
                    match value {
                        Some(value) => records.insert(key, value),
                        None => records.remove(&key),
                    };
                }
                head = next;
            }
            Changes::TooOld => (records, head) = load_caught_up(peer.as_ref(), P).await?,
        }
    }
    same(&head, &last, "the head caught up with")?;
    let (direct, _) = load_all(store.as_ref(), P).await?;
    same(&records.len(), &direct.len(), "records")?;
    same(&records, &direct, "records loaded under a writer")
}

pub(super) async fn changes_since_a_head(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let first =
        write(store.as_ref(), Head::default(), vec![put(Live, "a", "1"), put(Live, "b", "1")]).await?;
    let second =
        write(store.as_ref(), first, vec![put(Live, "b", "2"), put(Cold, "c", "2"), put(Ordered, "o", "2")])
            .await?;
    let third =
        write(store.as_ref(), second, vec![del(Live, "a"), put(Live, "b", "3"), put(Live, "d", "")]).await?;
    let fourth = write(store.as_ref(), third, vec![]).await?;
    let wanted = [
        (first, vec![("a", None), ("b", Some("3")), ("d", Some(""))]),
        (second, vec![("a", None), ("b", Some("3")), ("d", Some(""))]),
        (third, vec![]),
        (fourth, vec![]),
    ];
    for (since, rows) in wanted {
        match store.changes(P, since).await? {
            // A store that only one process can open may forget.
            Changes::TooOld if store.exclusive() && since != fourth => {}
            Changes::TooOld => check(false, format!("changes since version {} are too old", since.version))?,
            Changes::Since { rows: mut seen, head } => {
                seen.sort();
                let rows: Vec<_> = rows.into_iter().map(|(k, v)| (bytes(k), v.map(bytes))).collect();
                same(&(seen, head), &(rows, fourth), format!("changes since version {}", since.version))?;
            }
        }
    }
    Ok(())
}

pub(super) async fn changes_since_an_unknown_head_are_too_old(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let at = write(store.as_ref(), Head::default(), vec![put(Live, "a", "1")]).await?;
    let at = commit(store.as_ref(), P, at, &batch(OTHER, at, vec![put(Live, "a", "2")])).await?;
    for unknown in [
        Head { nonce: at.nonce + 1, ..at },
        Head { timeline: 9, ..at },
        Head { version: at.version + 5, ..at },
        Head { version: at.version - 1, nonce: 99, ..at },
    ] {
        same(&store.changes(P, unknown).await?, &Changes::TooOld, format!("changes since {unknown:?}"))?;
    }
    Ok(())
}

pub(super) async fn range_bounds_order_and_limits(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let keys = ["a", "a\0", "aa", "b", "b0", "c"];
    let writes = keys.iter().map(|k| put(Ordered, k, k)).collect();
    let at = write(store.as_ref(), Head::default(), writes).await?;
    let cases: [(&str, &str, bool, &[&str]); 9] = [
        ("a", "b", false, &["a", "a\0", "aa"]),
        ("a\0", "b0", false, &["a\0", "aa", "b"]),
        ("a", "b", true, &["aa", "a\0", "a"]),
        ("", "z", false, &keys),
        ("b", "b", false, &[]),
        ("c", "a", false, &[]),
        ("c", "a", true, &[]),
        ("bb", "c", false, &[]),
        ("", "a", true, &[]),
    ];
    for (from, to, reverse, wanted) in cases {
        let range = Range { from: bytes(from), to: bytes(to), reverse, limit: 100 };
        let page = store.range(P, range.clone()).await?;
        same(&page.head, &at, "the head of a page")?;
        let wanted: Vec<_> = wanted.iter().map(|k| (bytes(k), bytes(k))).collect();
        same(&range_all(store.as_ref(), P, range.clone()).await?, &wanted, format!("{range:?}"))?;
        let one = Range { limit: 1, ..range.clone() };
        same(&range_all(store.as_ref(), P, one).await?, &wanted, format!("one by one, {range:?}"))?;
    }
    Ok(())
}

pub(super) async fn range_cursors_meet_without_gap_or_repeat(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let mut at = Head::default();
    for round in 0..3 {
        let writes = (0..700).map(|n| put(Ordered, &format!("{:05}", n * 3 + round), "v")).collect();
        at = write(store.as_ref(), at, writes).await?;
    }
    let gone = (0..2_100).step_by(5).map(|n| del(Ordered, &format!("{n:05}"))).collect();
    write(store.as_ref(), at, gone).await?;
    let wanted: Vec<_> = (0..2_100).filter(|n| n % 5 != 0).map(|n| bytes(&format!("{n:05}"))).collect();
    for limit in [7, 100, 1_000, 5_000] {
        for reverse in [false, true] {
            let range = Range { from: bytes("0"), to: bytes("1"), reverse, limit };
            let mut seen: Vec<Bytes> =
                range_all(store.as_ref(), P, range).await?.into_iter().map(|(k, _)| k).collect();
            if reverse {
                seen.reverse();
            }
            same(&seen.len(), &wanted.len(), format!("rows by pages of {limit}"))?;
            same(&seen, &wanted, format!("rows by pages of {limit}"))?;
        }
    }
    Ok(())
}

pub(super) async fn range_by_prefix_of_any_bytes(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let keys: [&[u8]; 8] =
        [b"\x00", b"\x00\xFF", b"a\xFE", b"a\xFF", b"a\xFF\x00", b"a\xFF\xFF\xFF", b"b", b"\xFF\xFF"];
    let writes = keys
        .iter()
        .map(|k| Write { table: Ordered, key: Bytes::copy_from_slice(k), value: Some(Bytes::new()) })
        .collect();
    write(store.as_ref(), Head::default(), writes).await?;
    for prefix in [&b"a\xFF"[..], b"a", b"\x00", b"a\xFF\xFF", b"b"] {
        let seen = range_all(store.as_ref(), P, Range::prefix(prefix, 100)).await?;
        let wanted: Vec<_> = keys
            .iter()
            .filter(|k| k.starts_with(prefix))
            .map(|k| (Bytes::copy_from_slice(k), Bytes::new()))
            .collect();
        same(&seen, &wanted, format!("prefix {prefix:?}"))?;
    }
    Ok(())
}

pub(super) async fn clock_and_identity_answer(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let first = store.clock().await?;
    let second = store.clock().await?;
    check(second >= first, "the store's clock went back")?;
    check(!store.identity().await?.is_empty(), "the identity is empty")?;
    same(&store.identity().await?, &store.identity().await?, "the identity")?;
    same(&store.room(), &crate::Room::Enough, "room in a fresh store")
}
