//! Lists and counts, as callers see them.

use std::collections::BTreeSet;
use std::sync::Arc;

use stint_api::{
    CancelRequest, CountReply, CountRequest, ExecutionFilter, ExecutionState, ExecutionSummary, Instant,
    LeaseRequest, ListReply, ListRequest, Problem, ReplayRequest, SubmitRequest,
};
use stint_store::{Batch, Head, PartitionId, Store, Table, Write};

use crate::bed::{Bed, START_MS, claim, pass, work};

fn state(state: ExecutionState) -> ExecutionFilter {
    ExecutionFilter { state: Some(state), ..ExecutionFilter::default() }
}

fn tag(key: &str, value: &str) -> ExecutionFilter {
    ExecutionFilter { tags: [(key.to_owned(), value.to_owned())].into(), ..ExecutionFilter::default() }
}

async fn page(bed: &Bed, filter: &ExecutionFilter, limit: u32, cursor: Option<String>) -> ListReply {
    let request = ListRequest { filter: filter.clone(), limit: Some(limit), cursor, namespace: None };
    bed.engine.executions(request).await.unwrap()
}

/// Everything, over pages of this size.
async fn list(bed: &Bed, filter: &ExecutionFilter, limit: u32) -> Vec<ExecutionSummary> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let page = page(bed, filter, limit, cursor).await;
        assert!(page.executions.len() <= limit as usize);
        all.extend(page.executions);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return all;
        }
    }
}

fn ids(found: &[ExecutionSummary]) -> Vec<&str> {
    found.iter().map(|one| one.id.as_str()).collect()
}

async fn count(bed: &Bed, filter: &ExecutionFilter) -> u64 {
    let request = CountRequest { filter: filter.clone(), namespace: None };
    let CountReply { count, at_least } = bed.engine.count(request).await.unwrap();
    assert!(!at_least);
    count
}

/// Submits, so that each has an instant of its own.
async fn submit(bed: &Bed, change: impl FnOnce(&mut SubmitRequest)) -> String {
    pass(10).await;
    let mut request = work();
    change(&mut request);
    bed.submit(request).await.id
}

/// One of each state, newest submission last: scheduled, blocked, ready, running, completed, failed, cancelled.
async fn one_of_each(bed: &Bed) -> [String; 7] {
    let scheduled = submit(bed, |r| r.delay_ms = Some(3_600_000)).await;
    let blocked = submit(bed, |r| r.priority = Some(-1)).await;
    bed.engine.pause("default", &blocked).await.unwrap();
    let mut run = Vec::new();
    for _ in 0..3 {
        run.push(submit(bed, |r| r.lane = Some("run".into())).await);
    }
    let ready = submit(bed, |r| r.kind = "other".into()).await;
    let cancelled = submit(bed, |_| ()).await;
    let request = CancelRequest { reason: Some("not needed".into()), ..CancelRequest::default() };
    bed.engine.cancel("default", &cancelled, request).await.unwrap();
    let leases =
        bed.engine.lease(LeaseRequest { lanes: vec!["run".into()], ..claim(3) }, None).await.unwrap();
    for lease in leases.leases {
        pass(10).await;
        if lease.execution.id == run[1] {
            bed.complete(&lease, "1").await.unwrap();
        } else if lease.execution.id == run[2] {
            let mut request = stint_api::FailRequest::new(stint_api::Failure::new("Broken", "it broke"));
            request.retry = Some(false);
            bed.engine.fail(&lease.lease, request).await.unwrap();
        }
    }
    let [running, completed, failed] = run.try_into().unwrap();
    [scheduled, blocked, ready, running, completed, failed, cancelled]
}

#[tokio::test(start_paused = true)]
async fn every_filter_finds_its_own() {
    let bed = Bed::new().await;
    let [scheduled, blocked, ready, running, completed, failed, cancelled] = one_of_each(&bed).await;
    let all = ExecutionFilter::default();
    let in_lane = ExecutionFilter { lane: Some("run".into()), ..ExecutionFilter::default() };
    let of_kind = ExecutionFilter { kind: Some("other".into()), ..ExecutionFilter::default() };
    let broken = ExecutionFilter { error_type: Some("Broken".into()), ..ExecutionFilter::default() };
    let both = ExecutionFilter { state: Some(ExecutionState::Completed), ..in_lane.clone() };
    let cases: Vec<(ExecutionFilter, Vec<&String>)> = vec![
        // Open ones by submission, then ended ones by end.
        (all, vec![&ready, &running, &blocked, &scheduled, &failed, &completed, &cancelled]),
        (state(ExecutionState::Scheduled), vec![&scheduled]),
        (state(ExecutionState::Blocked), vec![&blocked]),
        (state(ExecutionState::Ready), vec![&ready]),
        (state(ExecutionState::Running), vec![&running]),
        (state(ExecutionState::Completed), vec![&completed]),
        (state(ExecutionState::Failed), vec![&failed]),
        (state(ExecutionState::Cancelled), vec![&cancelled]),
        (state(ExecutionState::Expired), vec![]),
        (state(ExecutionState::Suspended), vec![]),
        (in_lane, vec![&running, &failed, &completed]),
        (both, vec![&completed]),
        (of_kind, vec![&ready]),
        (broken, vec![&failed]),
    ];
    for (filter, wanted) in cases {
        for limit in [1, 2, 100] {
            assert_eq!(ids(&list(&bed, &filter, limit).await), wanted, "{filter:?} by {limit}");
        }
        assert_eq!(count(&bed, &filter).await, wanted.len() as u64, "{filter:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_summary_says_what_the_execution_says() {
    let bed = Bed::new().await;
    let ids = one_of_each(&bed).await;
    for one in list(&bed, &ExecutionFilter::default(), 100).await {
        let whole = bed.engine.execution("default", &one.id).await.unwrap();
        assert!(ids.contains(&one.id));
        assert_eq!((&one.kind, &one.lane, &one.namespace), (&whole.kind, &whole.lane, &whole.namespace));
        assert_eq!((one.state, &one.reason, one.priority), (whole.state, &whole.reason, whole.priority));
        assert_eq!(
            (one.submitted_at, one.run_at, one.ended_at),
            (whole.submitted_at, whole.run_at, whole.ended_at)
        );
        assert_eq!(one.attempt as usize, whole.attempts.len());
        let last = whole.attempts.last();
        assert_eq!(one.worker, last.map(|attempt| attempt.worker.clone()));
        assert_eq!(one.started_at, last.map(|attempt| attempt.started_at));
        assert_eq!((&one.error, &one.tags), (&whole.error, &whole.tags));
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_lane_blocks_what_is_ready_in_it() {
    let bed = Bed::new().await;
    let id = submit(&bed, |r| r.lane = Some("mail".into())).await;
    let other = submit(&bed, |_| ()).await;
    bed.engine.pause_lane("default", "mail").await.unwrap();
    assert_eq!(ids(&list(&bed, &state(ExecutionState::Blocked), 10).await), [&id]);
    assert_eq!(ids(&list(&bed, &state(ExecutionState::Ready), 10).await), [&other]);
    bed.engine.resume_lane("default", "mail").await.unwrap();
    assert_eq!(count(&bed, &state(ExecutionState::Ready)).await, 2);
}

#[tokio::test(start_paused = true)]
async fn tags_find_open_and_ended_ones_by_submission() {
    let bed = Bed::new().await;
    let mut submitted = Vec::new();
    for n in 0..20 {
        let id = submit(&bed, |r| {
            r.tags =
                [("team".to_owned(), "search".to_owned()), ("half".to_owned(), (n % 2).to_string())].into();
        });
        submitted.push(id.await);
    }
    submit(&bed, |r| r.tags = [("team".to_owned(), "ads".to_owned())].into()).await;
    for lease in bed.lease(5).await {
        bed.complete(&lease, "1").await.unwrap();
    }
    let newest: Vec<&String> = submitted.iter().rev().collect();
    for limit in [1, 3, 100] {
        assert_eq!(ids(&list(&bed, &tag("team", "search"), limit).await), newest);
        let both = ExecutionFilter {
            tags: [tag("team", "search").tags, tag("half", "1").tags].into_iter().flatten().collect(),
            ..tag("a", "b")
        };
        let halves: Vec<_> = newest.iter().copied().step_by(2).collect();
        assert_eq!(ids(&list(&bed, &both, limit).await), halves);
        let completed = ExecutionFilter { state: Some(ExecutionState::Completed), ..tag("team", "search") };
        let done = list(&bed, &completed, limit).await;
        assert_eq!(done.len(), 5);
        assert!(done.iter().all(|one| one.tags["team"] == "search" && one.ended_at.is_some()));
    }
    assert_eq!(count(&bed, &tag("team", "search")).await, 20);
    assert_eq!(count(&bed, &tag("team", "none")).await, 0);
    let completed = ExecutionFilter { state: Some(ExecutionState::Completed), ..tag("team", "search") };
    assert_eq!(count(&bed, &completed).await, 5);
}

#[tokio::test(start_paused = true)]
async fn times_are_of_the_end_or_else_of_the_submission() {
    let bed = Bed::new().await;
    let first = submit(&bed, |_| ()).await;
    let second = submit(&bed, |_| ()).await;
    pass(1_000).await;
    let lease = bed.lease_one().await;
    assert_eq!(lease.execution.id, first);
    bed.complete(&lease, "1").await.unwrap();
    let at = |ms: i64| Some(Instant::from_millis(START_MS + ms));
    let span = |since, until| ExecutionFilter { since, until, ..ExecutionFilter::default() };
    for (filter, wanted) in [
        (span(at(500), None), vec![&first]),
        (span(None, at(500)), vec![&second]),
        (span(at(0), at(100_000)), vec![&second, &first]),
        (span(at(100_000), at(0)), vec![]),
        (span(Some(Instant::from_millis(-5)), Some(Instant::from_millis(-1))), vec![]),
    ] {
        assert_eq!(ids(&list(&bed, &filter, 10).await), wanted, "{filter:?}");
        assert_eq!(count(&bed, &filter).await, wanted.len() as u64, "{filter:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_never_shows_anothers() {
    let bed = Bed::new().await;
    for namespace in ["default", "theirs"] {
        for _ in 0..2 {
            submit(&bed, |r| {
                r.namespace = Some(namespace.into());
                r.tags = [("team".to_owned(), "search".to_owned())].into();
            })
            .await;
        }
        let lease = bed
            .engine
            .lease(LeaseRequest { namespace: Some(namespace.into()), ..claim(1) }, None)
            .await
            .unwrap();
        bed.complete(&lease.leases[0], "1").await.unwrap();
    }
    for namespace in ["default", "theirs", "nobody"] {
        let wanted = if namespace == "nobody" { 0 } else { 2 };
        for filter in [ExecutionFilter::default(), tag("team", "search")] {
            let request = ListRequest {
                filter: filter.clone(),
                namespace: Some(namespace.into()),
                ..ListRequest::default()
            };
            let found = bed.engine.executions(request).await.unwrap().executions;
            assert_eq!(found.len(), wanted);
            assert!(found.iter().all(|one| one.namespace == namespace));
            let request = CountRequest { filter, namespace: Some(namespace.into()) };
            assert_eq!(bed.engine.count(request).await.unwrap().count, wanted as u64);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_belongs_to_its_filter() {
    let bed = Bed::new().await;
    for _ in 0..3 {
        submit(&bed, |_| ()).await;
    }
    let cursor = page(&bed, &ExecutionFilter::default(), 1, None).await.next_cursor;
    let ask = async |request: ListRequest| -> Problem { bed.engine.executions(request).await.unwrap_err() };
    for wrong in [
        ListRequest {
            cursor: cursor.clone(),
            filter: state(ExecutionState::Ready),
            ..ListRequest::default()
        },
        ListRequest { cursor: cursor.clone(), filter: tag("a", "b"), ..ListRequest::default() },
        ListRequest { cursor, namespace: Some("theirs".into()), ..ListRequest::default() },
        ListRequest { cursor: Some("garbage".into()), ..ListRequest::default() },
        ListRequest { cursor: Some(String::new()), ..ListRequest::default() },
    ] {
        let problem = ask(wrong).await;
        assert_eq!((problem.code.as_str(), problem.field.as_deref()), ("invalid_field", Some("cursor")));
    }
    let problem = ask(ListRequest { limit: Some(0), ..ListRequest::default() }).await;
    assert_eq!(problem.field.as_deref(), Some("limit"));
}

#[tokio::test(start_paused = true)]
async fn nothing_that_stays_is_left_out_while_others_come_and_go() {
    let bed = Bed::new().await;
    let mut stay = BTreeSet::new();
    for n in 0..60 {
        let lane = if n % 3 == 0 { "stays" } else { "default" };
        let id = submit(&bed, |r| r.lane = Some(lane.into())).await;
        if n % 3 == 0 {
            stay.insert(id);
        }
    }
    let mut seen = BTreeSet::new();
    let mut cursor = None;
    loop {
        let page = page(&bed, &ExecutionFilter::default(), 7, cursor).await;
        let new = page.executions.iter().map(|one| one.id.clone()).collect::<BTreeSet<_>>();
        assert_eq!(new.len(), page.executions.len(), "twice on one page");
        seen.extend(new);
        for lease in bed.lease(3).await {
            bed.complete(&lease, "1").await.unwrap();
        }
        submit(&bed, |_| ()).await;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert!(stay.is_subset(&seen));
}

#[tokio::test(start_paused = true)]
async fn what_is_replayed_is_open_again() {
    let bed = Bed::new().await;
    let id = submit(&bed, |_| ()).await;
    bed.complete(&bed.lease_one().await, "1").await.unwrap();
    assert_eq!(list(&bed, &state(ExecutionState::Completed), 10).await.len(), 1);
    bed.engine.replay("default", &id, ReplayRequest::default(), None).await.unwrap();
    assert_eq!(list(&bed, &state(ExecutionState::Completed), 10).await, []);
    assert_eq!(ids(&list(&bed, &state(ExecutionState::Ready), 10).await), [&id]);
}

#[tokio::test(start_paused = true)]
async fn what_ended_before_there_were_marks_is_found_by_its_record() {
    let bed = Bed::new().await;
    one_of_each(&bed).await;
    let before = list(&bed, &ExecutionFilter::default(), 100).await;
    let store = bed.store.clone();
    drop(bed);
    for partition in (0..64).map(PartitionId) {
        let dump = store.dump(partition);
        let rows =
            dump.ordered.into_iter().filter(|(key, mark)| key.first() == Some(&b'e') && !mark.is_empty());
        let empty = |(key, _)| Write { table: Table::Ordered, key, value: Some(bytes::Bytes::new()) };
        let writes: Vec<Write> = rows.map(empty).collect();
        let next = Head { version: dump.head.version + 1, nonce: 7, ..dump.head };
        let batch = Batch { next, incarnation: 7, writes, absent: Vec::new() };
        store.commit(partition, dump.head, Arc::new(batch)).await.unwrap();
    }
    let bed = Bed::on(store).await;
    assert_eq!(list(&bed, &ExecutionFilter::default(), 2).await, before);
    let failed = list(&bed, &state(ExecutionState::Failed), 10).await;
    assert_eq!((failed.len(), count(&bed, &state(ExecutionState::Failed)).await), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn lists_go_on_after_a_long_time_without_any() {
    let bed = Bed::new().await;
    let id = submit(&bed, |r| r.lane = Some("stays".into())).await;
    for _ in 0..3 {
        assert_eq!(ids(&list(&bed, &ExecutionFilter::default(), 10).await), [&id]);
        // The shelves are forgotten meanwhile, and kept if somebody lists now and then.
        pass(400_000).await;
        assert_eq!(count(&bed, &ExecutionFilter::default()).await, 1);
        pass(1_300_000).await;
        let shelved = bed
            .engine
            .node()
            .look(stint_core::PartitionId(5), |p| p.count(&stint_core::find::Filter::all("x"), 1));
        assert_eq!(shelved.await, Ok(None));
    }
}
