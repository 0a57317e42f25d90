//! Cases about commits: heads, conflicts, atomicity, batches sent again.

use std::sync::Arc;

use super::{
    Fixture, NODE, OTHER, Outcome, P, batch, bytes, check, commit, del, head, put, range_all, read, same,
    write,
};
use crate::contract::{
    Batch, Changes, Committed, Head, META, PARTITIONS, PartitionId, Range, StoreError, Table, Write,
};

use Table::{Cold, Live, Ordered};

pub(super) async fn heads_move_once_per_commit(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let mut at = Head::default();
    same(&head(store.as_ref(), P).await?, &at, "the head of an empty partition")?;
    for n in 0..10 {
        let next = write(store.as_ref(), at, vec![put(Live, "k", &n.to_string())]).await?;
        same(&next.version, &(at.version + 1), "version after a commit")?;
        same(&head(store.as_ref(), P).await?, &next, "the head read after a commit")?;
        at = next;
    }
    Ok(())
}

pub(super) async fn every_field_of_a_head_is_kept(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let mut at = Head::default();
    for (timeline, nonce, node, now_ms, level) in [
        (0, 1, 0, 0, 0),
        (1, u64::MAX, u64::MAX, i64::MAX, u32::MAX),
        (u64::MAX, 1 << 63, 1 << 53, i64::MIN, 1),
        (3, (1 << 53) + 1, 3, -1, 2),
    ] {
        let next =
            Head { timeline, version: at.version + 1, nonce, committer: crate::NodeId(node), now_ms, level };
        let batch =
            Arc::new(Batch { next, incarnation: u64::MAX - 1, writes: Vec::new(), absent: Vec::new() });
        commit(store.as_ref(), P, at, &batch).await?;
        same(&head(store.as_ref(), P).await?, &next, "the head read back")?;
        commit(store.as_ref(), P, at, &batch).await?;
        at = next;
    }
    Ok(())
}

pub(super) async fn a_stale_head_conflicts_and_changes_nothing(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let first = write(store.as_ref(), Head::default(), vec![put(Live, "k", "1")]).await?;
    let stale = batch(OTHER, Head::default(), vec![put(Live, "k", "2"), put(Cold, "new", "2")]);
    for _ in 0..2 {
        let answer = store.commit(P, Head::default(), stale.clone()).await?;
        same(&answer, &Committed::Conflict(first), "a commit on a stale head")?;
    }
    same(&read(store.as_ref(), P, Live, "k").await?, &(Some(bytes("1")), first), "the record")?;
    same(&read(store.as_ref(), P, Cold, "new").await?, &(None, first), "a record of the refused batch")
}

pub(super) async fn every_field_of_the_expected_head_counts(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let at = write(store.as_ref(), Head::default(), vec![put(Live, "k", "1")]).await?;
    for other in [
        Head { timeline: at.timeline + 1, ..at },
        Head { nonce: at.nonce + 1, ..at },
        Head { committer: OTHER, ..at },
        Head { now_ms: at.now_ms + 1, ..at },
        Head { level: at.level + 1, ..at },
    ] {
        let answer = store.commit(P, other, batch(OTHER, other, vec![del(Live, "k")])).await?;
        same(&answer, &Committed::Conflict(at), format!("a commit that expects {other:?}"))?;
    }
    same(&read(store.as_ref(), P, Live, "k").await?.0, &Some(bytes("1")), "the record")
}

pub(super) async fn a_batch_applies_to_all_tables_or_none(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let all = |value: &str| vec![put(Live, "k", value), put(Cold, "k", value), put(Ordered, "k", value)];
    let first = write(store.as_ref(), Head::default(), all("1")).await?;
    store.commit(P, Head::default(), batch(OTHER, Head::default(), all("2"))).await?;
    let mut refused = (*batch(OTHER, first, all("3"))).clone();
    refused.absent.push((Cold, bytes("k")));
    store.commit(P, first, Arc::new(refused)).await?;
    let keys = vec![(Live, bytes("k")), (Cold, bytes("k")), (Ordered, bytes("k"))];
    let read = store.get(P, keys.clone()).await?;
    same(&read.values, &vec![Some(bytes("1")); 3], "after two refused batches")?;
    let second = write(store.as_ref(), first, all("4")).await?;
    let read = store.get(P, keys).await?;
    same(&(read.values, read.head), &(vec![Some(bytes("4")); 3], second), "after a batch over three tables")
}

pub(super) async fn the_same_batch_again_is_yes(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let first = batch(NODE, Head::default(), vec![put(Live, "k", "1"), del(Live, "gone")]);
    for _ in 0..3 {
        commit(store.as_ref(), P, Head::default(), &first).await?;
    }
    same(&head(store.as_ref(), P).await?, &first.next, "the head")?;
    // Also when both are under way at once.
    let second = batch(NODE, first.next, vec![put(Live, "k", "2")]);
    let (a, b) = tokio::join!(
        store.commit(P, first.next, second.clone()),
        store.commit(P, first.next, second.clone())
    );
    same(&a?, &Committed::Yes(second.next), "one of two equal batches")?;
    same(&b?, &Committed::Yes(second.next), "the other of two equal batches")?;
    same(&read(store.as_ref(), P, Live, "k").await?, &(Some(bytes("2")), second.next), "the record")
}

pub(super) async fn the_same_batch_again_is_yes_below_later_commits_of_others(
    fixture: &mut dyn Fixture,
) -> Outcome {
    let store = fixture.store();
    let peer = fixture.peer().unwrap_or_else(|| store.clone());
    let first = batch(NODE, Head::default(), vec![put(Live, "k", "1")]);
    let mut at = commit(store.as_ref(), P, Head::default(), &first).await?;
    for n in 0..5 {
        at = commit(peer.as_ref(), P, at, &batch(OTHER, at, vec![put(Live, "k", &format!("other {n}"))]))
            .await?;
        commit(store.as_ref(), P, Head::default(), &first).await?;
        same(&head(store.as_ref(), P).await?, &at, "the head after the old batch came again")?;
    }
    same(&read(store.as_ref(), P, Live, "k").await?.0, &Some(bytes("other 4")), "the record")
}

pub(super) async fn an_old_batch_arriving_late_never_applies_twice(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let first = batch(NODE, Head::default(), vec![put(Live, "k", "1"), put(Cold, "once", "1")]);
    let at = commit(store.as_ref(), P, Head::default(), &first).await?;
    let at = write(store.as_ref(), at, vec![put(Live, "k", "2"), del(Cold, "once")]).await?;
    // The node has moved on, so nothing is remembered of its first batch: it must not be taken for a new one.
    let answer = store.commit(P, Head::default(), first).await?;
    same(&answer, &Committed::Conflict(at), "a batch older than its node's last")?;
    same(&read(store.as_ref(), P, Live, "k").await?, &(Some(bytes("2")), at), "the record")?;
    same(&read(store.as_ref(), P, Cold, "once").await?.0, &None, "the deleted record")
}

pub(super) async fn a_lost_batch_never_applies_after_a_conflict(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let lost = batch(NODE, Head::default(), vec![put(Live, "k", "lost")]);
    let at = commit(store.as_ref(), P, Head::default(), &batch(OTHER, Head::default(), vec![])).await?;
    same(&store.commit(P, Head::default(), lost.clone()).await?, &Committed::Conflict(at), "the late batch")?;
    let at = commit(store.as_ref(), P, at, &batch(OTHER, at, vec![])).await?;
    same(&store.commit(P, Head::default(), lost).await?, &Committed::Conflict(at), "the late batch again")?;
    same(&read(store.as_ref(), P, Live, "k").await?, &(None, at), "its record")
}

pub(super) async fn another_incarnation_is_not_confused(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let first = batch(NODE, Head::default(), vec![put(Live, "k", "1")]);
    let at = commit(store.as_ref(), P, Head::default(), &first).await?;
    let at = commit(store.as_ref(), P, at, &batch(OTHER, at, vec![])).await?;
    let mut restarted = (*first).clone();
    restarted.incarnation += 1;
    let answer = store.commit(P, Head::default(), Arc::new(restarted)).await?;
    same(&answer, &Committed::Conflict(at), "the same nonce of another incarnation")
}

pub(super) async fn another_nonce_is_not_confused(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let first = batch(NODE, Head::default(), vec![put(Live, "k", "1")]);
    let at = commit(store.as_ref(), P, Head::default(), &first).await?;
    let mut other = (*first).clone();
    other.next.nonce += 1;
    let answer = store.commit(P, Head::default(), Arc::new(other)).await?;
    same(&answer, &Committed::Conflict(at), "the same incarnation with another nonce")?;
    // And the nonce of one node means nothing for another, nor in another partition.
    let mut stranger = (*first).clone();
    stranger.next.committer = OTHER;
    let answer = store.commit(P, Head::default(), Arc::new(stranger)).await?;
    same(&answer, &Committed::Conflict(at), "the same nonce of another node")?;
    commit(store.as_ref(), PartitionId(P.0 + 1), Head::default(), &first).await.map(|_| ())
}

pub(super) async fn absent_keys_that_exist_refuse_the_batch(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let first = write(store.as_ref(), Head::default(), vec![put(Live, "a", ""), put(Cold, "b", "1")]).await?;
    let mut next = (*batch(NODE, first, vec![put(Live, "c", "1")])).clone();
    next.absent = vec![(Live, bytes("x")), (Live, bytes("a")), (Cold, bytes("b")), (Ordered, bytes("b"))];
    let next = Arc::new(next);
    for _ in 0..2 {
        match store.commit(P, first, next.clone()).await? {
            Committed::Present(mut keys) => {
                keys.sort();
                same(&keys, &vec![(Live, bytes("a")), (Cold, bytes("b"))], "the keys that exist")?;
            }
            other => check(false, format!("answered {other:?}, wanted Present"))?,
        }
    }
    same(&read(store.as_ref(), P, Live, "c").await?, &(None, first), "a record of the refused batch")?;
    // The same node goes on from the same head, with the keys it left out.
    write(store.as_ref(), first, vec![put(Live, "d", "1")]).await.map(|_| ())
}

pub(super) async fn absent_keys_that_are_absent_do_nothing(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let mut first = (*batch(NODE, Head::default(), vec![put(Live, "a", "1"), put(Cold, "b", "1")])).clone();
    first.absent = vec![(Live, bytes("a")), (Cold, bytes("b")), (Ordered, bytes("c"))];
    let first = Arc::new(first);
    let at = commit(store.as_ref(), P, Head::default(), &first).await?;
    // Sent again the keys exist, put by this very batch: still Yes.
    commit(store.as_ref(), P, Head::default(), &first).await?;
    let at = write(store.as_ref(), at, vec![del(Live, "a")]).await?;
    let mut again = (*batch(NODE, at, vec![put(Live, "a", "2")])).clone();
    again.absent = vec![(Live, bytes("a"))];
    commit(store.as_ref(), P, at, &Arc::new(again)).await.map(|_| ())
}

pub(super) async fn absent_is_checked_after_the_head(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let first = write(store.as_ref(), Head::default(), vec![put(Live, "a", "1")]).await?;
    let mut stale = (*batch(OTHER, Head::default(), vec![])).clone();
    stale.absent = vec![(Live, bytes("a"))];
    let answer = store.commit(P, Head::default(), Arc::new(stale)).await?;
    same(&answer, &Committed::Conflict(first), "a stale batch whose absent key exists")
}

pub(super) async fn absent_sees_a_commit_under_way(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let mut at = Head::default();
    for round in 0..20 {
        let key = format!("k{round}");
        let first = batch(NODE, at, vec![put(Live, &key, "1")]);
        let mut second = (*batch(NODE, first.next, vec![put(Live, &key, "2")])).clone();
        second.absent = vec![(Live, bytes(&key))];
        // Sent before the first is answered: it may arrive too early, but never miss what the first put.
        let (a, b) = tokio::join!(
            store.commit(P, at, first.clone()),
            store.commit(P, first.next, Arc::new(second.clone()))
        );
        same(&a?, &Committed::Yes(first.next), "the first commit")?;
        match b? {
            Committed::Present(keys) => same(&keys, &second.absent, "the keys that exist")?,
            Committed::Conflict(_) => {}
            Committed::Yes(_) => {
                check(false, format!("round {round} put a key that was to be absent twice"))?
            }
        }
        same(&read(store.as_ref(), P, Live, &key).await?, &(Some(bytes("1")), first.next), "the record")?;
        at = first.next;
    }
    Ok(())
}

pub(super) async fn deleting_an_absent_key_is_fine(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let writes = vec![del(Live, "no"), del(Cold, "no"), del(Ordered, "no"), put(Live, "yes", "1")];
    let at = write(store.as_ref(), Head::default(), writes).await?;
    same(&read(store.as_ref(), P, Live, "no").await?, &(None, at), "the deleted key")?;
    same(&read(store.as_ref(), P, Live, "yes").await?, &(Some(bytes("1")), at), "the other key")
}

pub(super) async fn put_and_delete_many_times(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let mut at = Head::default();
    for n in 0..30 {
        for table in [Live, Cold, Ordered] {
            at = write(store.as_ref(), at, vec![put(table, "k", &n.to_string())]).await?;
            same(
                &read(store.as_ref(), P, table, "k").await?,
                &(Some(bytes(&n.to_string())), at),
                "after a put",
            )?;
            at = write(store.as_ref(), at, vec![del(table, "k")]).await?;
            same(&read(store.as_ref(), P, table, "k").await?, &(None, at), "after a delete")?;
        }
    }
    Ok(())
}

pub(super) async fn an_empty_batch_moves_the_head(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let at = write(store.as_ref(), Head::default(), vec![]).await?;
    let next = write(store.as_ref(), at, vec![]).await?;
    same(&head(store.as_ref(), P).await?, &next, "the head")?;
    let answer = store.commit(P, at, batch(OTHER, at, vec![])).await?;
    same(&answer, &Committed::Conflict(next), "a commit on the head before")
}

pub(super) async fn partitions_are_independent(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let all: Vec<PartitionId> = (0..=PARTITIONS).map(PartitionId).collect();
    check(all.last() == Some(&META), "META comes after the partitions")?;
    let value = |p: PartitionId| format!("of {}", p.0);
    let commits = all.iter().map(|&p| {
        let store = store.clone();
        async move {
            let writes =
                vec![put(Live, "k", &value(p)), put(Cold, "k", &value(p)), put(Ordered, "k", &value(p))];
            commit(store.as_ref(), p, Head::default(), &batch(NODE, Head::default(), writes)).await
        }
    });
    for outcome in futures_util::future::join_all(commits).await {
        outcome?;
    }
    for &p in &all {
        let next = batch(NODE, Head::default(), vec![]).next;
        for table in [Live, Cold, Ordered] {
            same(&read(store.as_ref(), p, table, "k").await?, &(Some(bytes(&value(p))), next), value(p))?;
        }
        let loaded = super::load_all(store.as_ref(), p).await?.0;
        same(&loaded.into_iter().collect(), &vec![(bytes("k"), bytes(&value(p)))], "a load")?;
        let whole = Range { from: bytes(""), to: vec![0xFF; 8].into(), reverse: false, limit: 10 };
        let ranged = range_all(store.as_ref(), p, whole).await?;
        same(&ranged, &vec![(bytes("k"), bytes(&value(p)))], "a range")?;
    }
    // One more commit in one partition is seen there alone.
    let at = head(store.as_ref(), META).await?;
    commit(store.as_ref(), META, at, &batch(NODE, at, vec![del(Live, "k")])).await?;
    same(&read(store.as_ref(), PartitionId(0), Live, "k").await?.0, &Some(bytes("of 0")), "partition 0")
}

pub(super) async fn tables_do_not_meet(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let at =
        write(store.as_ref(), Head::default(), vec![put(Live, "k", "live"), put(Cold, "k", "cold")]).await?;
    same(&read(store.as_ref(), P, Ordered, "k").await?.0, &None, "a key put in other tables")?;
    let at = write(store.as_ref(), at, vec![put(Ordered, "k", "ordered"), del(Cold, "k")]).await?;
    same(&read(store.as_ref(), P, Live, "k").await?, &(Some(bytes("live")), at), "live")?;
    same(&read(store.as_ref(), P, Cold, "k").await?.0, &None, "cold")?;
    same(&read(store.as_ref(), P, Ordered, "k").await?.0, &Some(bytes("ordered")), "ordered")
}

pub(super) async fn racing_commits_of_two_nodes_apply_one_each_time(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let peer = fixture.peer().unwrap_or_else(|| store.clone());
    let mut at = Head::default();
    for round in 0..50_u64 {
        let mine = batch(NODE, at, vec![put(Live, "who", "node"), put(Cold, &format!("node {round}"), "")]);
        let theirs =
            batch(OTHER, at, vec![put(Live, "who", "other"), put(Cold, &format!("other {round}"), "")]);
        let (a, b) = tokio::join!(store.commit(P, at, mine.clone()), peer.commit(P, at, theirs.clone()));
        let (winner, who, loser) = match (a?, b?) {
            (Committed::Yes(_), Committed::Conflict(head)) if head == mine.next => {
                (mine.next, "node", "other")
            }
            (Committed::Conflict(head), Committed::Yes(_)) if head == theirs.next => {
                (theirs.next, "other", "node")
            }
            answers => return check(false, format!("round {round} was answered {answers:?}")),
        };
        at = winner;
        let keys = vec![
            (Live, bytes("who")),
            (Cold, bytes(&format!("{who} {round}"))),
            (Cold, bytes(&format!("{loser} {round}"))),
        ];
        let seen = peer.get(P, keys).await?;
        same(&seen.values, &vec![Some(bytes(who)), Some(bytes("")), None], "what the winner wrote")?;
        same(&seen.head, &at, "the winner's head")?;
    }
    Ok(())
}

pub(super) async fn a_batch_that_breaks_the_contract_is_refused(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let at = write(store.as_ref(), Head::default(), vec![put(Live, "k", "1")]).await?;
    let long = Write { table: Live, key: vec![1; crate::KEY_BYTES_MAX + 1].into(), value: None };
    let large =
        Write { table: Live, key: bytes("k"), value: Some(vec![0; crate::VALUE_BYTES_MAX + 1].into()) };
    let mut broken = Vec::new();
    for bad in [put(Live, "", "empty key"), long, large] {
        broken.push(batch(NODE, at, vec![put(Live, "k", "2"), bad]));
    }
    let mut skipping = (*batch(NODE, at, vec![put(Live, "k", "2")])).clone();
    skipping.next.version += 1;
    broken.push(Arc::new(skipping));
    for batch in broken {
        match store.commit(P, at, batch).await {
            Err(StoreError::Fatal(_)) => {}
            other => check(false, format!("a broken batch was answered {other:?}, wanted Fatal"))?,
        }
    }
    same(&read(store.as_ref(), P, Live, "k").await?, &(Some(bytes("1")), at), "the record")?;
    write(store.as_ref(), at, vec![put(Live, "k", "3")]).await.map(|_| ())
}

pub(super) async fn an_empty_partition_may_begin_at_any_version(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let mut first = (*batch(NODE, Head::default(), vec![put(Live, "k", "1")])).clone();
    first.next = Head { timeline: 3, version: 1 << 40, nonce: 9, ..first.next };
    let first = Arc::new(first);
    let at = commit(store.as_ref(), P, Head::default(), &first).await?;
    same(&store.commit(P, Head::default(), first).await?, &Committed::Yes(at), "the same batch again")?;
    let next = write(store.as_ref(), at, vec![put(Live, "k", "2")]).await?;
    same(&next.version, &((1 << 40) + 1), "the version after it")?;
    match store.changes(P, at).await? {
        Changes::TooOld => check(store.exclusive(), "changes since the first batch are known"),
        Changes::Since { rows, head } => same(
            &(rows, head),
            &(vec![(bytes("k"), Some(bytes("2")))], next),
            "changes since the first batch",
        ),
    }?;
    same(
        &matches!(store.changes(P, Head::default()).await?, Changes::Since { rows, .. } if rows.is_empty()),
        &false,
        "no change since the beginning",
    )?;
    same(&read(store.as_ref(), P, Live, "k").await?, &(Some(bytes("2")), next), "the record")
}

pub(super) async fn counters_count(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let before = store.counters();
    let first = batch(NODE, Head::default(), vec![put(Live, "key", "value"), del(Cold, "key")]);
    for _ in 0..2 {
        commit(store.as_ref(), P, Head::default(), &first).await?;
    }
    store.commit(P, Head::default(), batch(OTHER, Head::default(), vec![put(Live, "no", "")])).await?;
    let after = store.counters();
    same(&(after.commits - before.commits), &1, "commits counted")?;
    same(&(after.writes - before.writes), &2, "writes counted")?;
    same(&(after.bytes - before.bytes), &11, "bytes counted")
}

pub(super) async fn reopening_keeps_everything(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let identity = store.identity().await?;
    let first =
        batch(NODE, Head::default(), vec![put(Live, "l", "1"), put(Cold, "c", ""), put(Ordered, "o", "3")]);
    let at = commit(store.as_ref(), P, Head::default(), &first).await?;
    let meta = commit(store.as_ref(), META, Head::default(), &batch(OTHER, Head::default(), vec![])).await?;
    let at =
        commit(store.as_ref(), P, at, &batch(OTHER, at, vec![put(Live, "gone", ""), put(Live, "m", "4")]))
            .await?;
    let at = commit(store.as_ref(), P, at, &batch(OTHER, at, vec![del(Live, "gone")])).await?;
    drop(store);
    if !fixture.reopen().await {
        return Ok(());
    }
    let store = fixture.store();
    same(&store.identity().await?, &identity, "the identity")?;
    let keys = [(Live, "l"), (Cold, "c"), (Ordered, "o"), (Live, "gone"), (Live, "m")];
    let seen = store.get(P, keys.iter().map(|(t, k)| (*t, bytes(k))).collect()).await?;
    let wanted = vec![Some(bytes("1")), Some(bytes("")), Some(bytes("3")), None, Some(bytes("4"))];
    same(&(seen.values, seen.head), &(wanted, at), "the records")?;
    same(&head(store.as_ref(), META).await?, &meta, "the head of meta")?;
    same(&head(store.as_ref(), PartitionId(0)).await?, &Head::default(), "the head of an empty partition")?;
    commit(store.as_ref(), P, Head::default(), &first).await?;
    if let Changes::Since { rows, head } = store.changes(P, at).await? {
        same(&(rows.len(), head), &(0, at), "changes since the present head")?;
    }
    let at = commit(store.as_ref(), P, at, &batch(NODE, at, vec![put(Live, "l", "2")])).await?;
    drop(store);
    fixture.reopen().await;
    same(
        &read(fixture.store().as_ref(), P, Live, "l").await?,
        &(Some(bytes("2")), at),
        "after a second reopening",
    )
}

pub(super) async fn a_closed_store_answers_unavailable(fixture: &mut dyn Fixture) -> Outcome {
    let store = fixture.store();
    let at = write(store.as_ref(), Head::default(), vec![put(Live, "k", "1")]).await?;
    store.close().await?;
    store.close().await?;
    let answers = [
        store.commit(P, at, batch(NODE, at, vec![])).await.err(),
        store.get(P, vec![(Live, bytes("k"))]).await.err(),
        store.load(P, None).await.err(),
        store.range(P, Range::prefix(b"k", 1)).await.err(),
        store.changes(P, at).await.err(),
    ];
    for answer in answers {
        check(
            matches!(answer, Some(StoreError::Unavailable(_))),
            format!("a closed store answered {answer:?}, wanted Unavailable"),
        )?;
    }
    Ok(())
}
