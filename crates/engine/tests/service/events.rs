//! An execution's events: kept, live, resumed, and over.

use stint_api::{CancelRequest, Code, ExecutionEvent, ReplayRequest};
use stint_engine::EventStream;

use crate::bed::{Bed, pass, work};

fn names(events: &[ExecutionEvent]) -> Vec<&str> {
    events.iter().map(|event| event.event.as_str()).collect()
}

/// Everything that a stream still has, to its end.
async fn rest(mut stream: EventStream) -> Vec<ExecutionEvent> {
    let mut events = Vec::new();
    while let Some(more) = stream.next().await.unwrap() {
        events.extend(more);
    }
    events
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_told_as_it_happens_and_once() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    let mut stream = bed.engine.follow("default", &id, None).await.unwrap();
    let mut heard = stream.next().await.unwrap().unwrap();
    assert_eq!(names(&heard), ["submitted"]);
    let engine = bed.engine.clone();
    let listening = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Some(events) = stream.next().await.unwrap() {
            heard.extend(events);
        }
        heard
    });
    let lease = bed.lease_one().await;
    pass(10).await;
    bed.fail(&lease).await.unwrap();
    pass(2_000).await;
    let lease = bed.lease_one().await;
    bed.complete(&lease, "1").await.unwrap();
    heard.extend(listening.await.unwrap());
    assert_eq!(names(&heard), ["submitted", "leased", "attempt_failed", "ready", "leased", "completed"]);
    assert_eq!(heard.iter().map(|event| event.attempt).collect::<Vec<_>>(), [0, 1, 1, 1, 2, 2]);
    assert!(heard.iter().all(|event| event.execution == id) && heard[5].is_end() && !heard[4].is_end());
    assert_eq!(engine.events("default", &id).await.unwrap().events, heard, "what is kept is the same");
    assert_eq!(engine.followed(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_goes_on_where_it_stands_also_after_a_restart() {
    let mut bed = Bed::new().await;
    let id = bed.submit_work().await;
    let lease = bed.lease_one().await;
    let mut stream = bed.engine.follow("default", &id, None).await.unwrap();
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(names(&first), ["submitted", "leased"]);
    let cursor = first[1].cursor.clone();
    drop(stream);
    bed = bed.restart().await;
    let mut stream = bed.engine.follow("default", &id, Some(&cursor)).await.unwrap();
    bed.engine.release(&lease.lease, stint_api::ReleaseRequest::default()).await.unwrap();
    assert_eq!(names(&stream.next().await.unwrap().unwrap()), ["released"]);
    drop(stream);
    bed.engine.cancel("default", &id, CancelRequest::default()).await.unwrap();
    let all = bed.engine.events("default", &id).await.unwrap().events;
    for (index, event) in all.iter().enumerate() {
        let stream = bed.engine.follow("default", &id, Some(&event.cursor)).await.unwrap();
        assert_eq!(stream.is_over(), index + 1 == all.len());
        assert_eq!(rest(stream).await, all[index + 1..]);
    }
    // One of another history, as before a backup that was restored: everything is told again.
    let stream = bed.engine.follow("default", &id, Some("2-5")).await.unwrap();
    assert_eq!(rest(stream).await, all);
}

#[tokio::test(start_paused = true)]
async fn a_replay_goes_on_behind_the_end() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    bed.engine.cancel("default", &id, CancelRequest::default()).await.unwrap();
    bed.engine.replay("default", &id, ReplayRequest::default(), None).await.unwrap();
    let mut stream = bed.engine.follow("default", &id, None).await.unwrap();
    assert_eq!(names(&stream.next().await.unwrap().unwrap()), ["submitted", "cancelled", "replayed"]);
    let lease = bed.lease_one().await;
    bed.complete(&lease, "1").await.unwrap();
    assert_eq!(names(&rest(stream).await), ["leased", "completed"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_life_keeps_its_numbers() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    let mut stream = bed.engine.follow("default", &id, None).await.unwrap();
    let mut heard = stream.next().await.unwrap().unwrap();
    for _ in 0..60 {
        bed.engine.pause("default", &id).await.unwrap();
        heard.extend(stream.next().await.unwrap().unwrap());
        bed.engine.resume("default", &id).await.unwrap();
        heard.extend(stream.next().await.unwrap().unwrap());
    }
    assert_eq!(heard.len(), 121);
    let kept = bed.engine.events("default", &id).await.unwrap().events;
    assert_eq!(kept.len(), 101);
    assert_eq!((&kept[0], &kept[1..]), (&heard[0], &heard[21..]));
    let behind = bed.engine.follow("default", &id, Some(&heard[115].cursor)).await.unwrap().next().await;
    assert_eq!(behind.unwrap().unwrap(), heard[116..]);
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_the_engine_drains() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    let mut stream = bed.engine.follow("default", &id, None).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let waiting = tokio::spawn(async move { stream.next().await });
    pass(1).await;
    bed.engine.drain().await;
    assert_eq!(waiting.await.unwrap().unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_refused_and_leaves_nothing() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    for (namespace, id, after, code, field) in [
        ("default", "ex_00000000000000000000000000", None, Code::NotFound, None),
        ("other", id.as_str(), None, Code::NotFound, None),
        ("default", "nonsense", None, Code::MalformedId, Some("id")),
        ("default", id.as_str(), Some("nonsense"), Code::InvalidField, Some("Last-Event-ID")),
    ] {
        let problem = bed.engine.follow(namespace, id, after).await.unwrap_err();
        assert_eq!((problem.code, problem.field.as_deref()), (code, field));
    }
    assert_eq!(bed.engine.followed(), 0);
    assert!(bed.engine.events("other", &id).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_submission_says_what_blocks_it_as_its_execution_does() {
    let bed = Bed::new().await;
    bed.engine.pause_lane("default", "default").await.unwrap();
    let mut request = work();
    request.idempotency_key = Some("order 17".into());
    for existed in [false, true] {
        let reply = bed.submit(request.clone()).await;
        assert_eq!((reply.state, reply.existed), (stint_api::ExecutionState::Blocked, existed));
        assert_eq!(reply.reason.as_deref(), Some("lane_paused"));
        let shown = bed.engine.execution("default", &reply.id).await.unwrap();
        assert_eq!((shown.state, shown.reason), (reply.state, reply.reason));
        assert_eq!(shown.idempotency_key.as_deref(), Some("order 17"));
    }
    let id = bed.submit(request).await.id;
    let acted = bed.engine.resume("default", &id).await.unwrap();
    assert_eq!((acted.state.as_str(), acted.reason.as_deref()), ("blocked", Some("lane_paused")));
    bed.engine.resume_lane("default", "default").await.unwrap();
    let acted = bed.engine.pause("default", &id).await.unwrap();
    assert_eq!((acted.state.as_str(), acted.reason.as_deref()), ("blocked", Some("paused")));
    let acted = bed.engine.resume("default", &id).await.unwrap();
    assert_eq!((acted.state.as_str(), acted.reason), ("ready", None));
}
