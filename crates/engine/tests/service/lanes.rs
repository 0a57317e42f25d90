//! Lanes: settings that reach all partitions before the change is answered.

use std::time::Duration;

use stint_api::{
    BatchRequest, BatchResult, Code, ExecutionState, LaneSettings, ReleaseRequest, SubmitRequest,
};
use stint_store::PartitionId;
use stint_store::memory::{Outage, OutageKind};
use tokio::time::Instant;

use crate::bed::{Bed, claim, pass, work};

#[tokio::test(start_paused = true)]
async fn a_paused_lane_starts_nothing_in_any_partition_and_goes_on_when_it_is_resumed() {
    let bed = Bed::new().await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(bed.submit_work().await);
        pass(10_000).await;
    }
    let reply = bed.engine.pause_lane("default", "default").await.unwrap();
    assert!(reply.missing_partitions.is_empty(), "{reply:?}");
    assert_eq!((reply.lane.paused, reply.lane.ready, reply.lane.waiting), (true, 0, 10));
    assert!(bed.lease(10).await.is_empty());
    for id in &ids {
        let shown = bed.engine.execution("default", id).await.unwrap();
        assert_eq!((shown.state, shown.reason.as_deref()), (ExecutionState::Blocked, Some("lane_paused")));
    }
    let engine = bed.engine.clone();
    let waiting = tokio::spawn(async move {
        let request = stint_api::LeaseRequest { wait_ms: 30_000, ..claim(100) };
        engine.lease(request, None).await.unwrap().leases.len()
    });
    pass(1_000).await;
    let lane = bed.engine.resume_lane("default", "default").await.unwrap().lane;
    assert!(!lane.paused);
    let got = waiting.await.unwrap();
    assert!(got > 0);
    let rest = bed.lease(100).await.len();
    assert_eq!(got + rest, 10);
    let lane = bed.engine.lane("default", "default").await.unwrap();
    assert_eq!((lane.running, lane.ready, lane.waiting), (10, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn partitions_that_do_not_answer_are_named_after_five_seconds() {
    let bed = Bed::new().await;
    // Not the lane's own home, which has to take the change.
    let home = stint_core::command::SetLane::home("default", "default");
    let away = PartitionId((home.0 + 1) % 64);
    bed.store.outage(Outage {
        handle: None,
        partition: Some(away),
        lasting: Duration::from_secs(20),
        kind: OutageKind::Refuse,
    });
    let began = Instant::now();
    let reply = bed.engine.pause_lane("default", "default").await.unwrap();
    assert_eq!(reply.missing_partitions, [u32::from(away.0)]);
    let took = began.elapsed();
    assert!((5_000..8_000).contains(&took.as_millis()), "{took:?}");
    pass(30_000).await;
    let reply = bed.engine.pause_lane("default", "default").await.unwrap();
    assert!(reply.missing_partitions.is_empty(), "{reply:?}");
}

#[tokio::test(start_paused = true)]
async fn a_draining_lane_takes_nothing_new_and_finishes_what_it_has() {
    let bed = Bed::new().await;
    bed.submit_work().await;
    assert!(bed.engine.drain_lane("default", "default").await.unwrap().lane.draining);
    assert_eq!(bed.engine.submit(work(), None).await.unwrap_err().code, Code::LaneDraining);
    let elsewhere = SubmitRequest { lane: Some("other".into()), ..work() };
    bed.submit(elsewhere).await;
    assert_eq!(bed.lease(10).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lane_takes_no_more_than_it_may_hold() {
    let bed = Bed::new().await;
    let settings = LaneSettings { max_length: Some(3), age_step_ms: Some(1_000), ..LaneSettings::default() };
    let lane = bed.engine.set_lane("default", "default", settings).await.unwrap().lane;
    assert_eq!((lane.max_length, lane.age_step_ms), (Some(3), 1_000));
    let executions = (0..5).map(|_| work()).collect();
    let batch = bed.engine.submit_batch(BatchRequest { executions, namespace: None }, None).await.unwrap();
    let refused = |result: &BatchResult| match result {
        BatchResult::Refused { error } => Some(error.code),
        BatchResult::Submitted(_) => None,
    };
    let refused: Vec<_> = batch.results.iter().map(refused).collect();
    assert_eq!(refused, [None, None, None, Some(Code::LaneFull), Some(Code::LaneFull)]);
}

#[tokio::test(start_paused = true)]
async fn settings_are_kept_over_a_restart() {
    let bed = Bed::new().await;
    bed.engine.pause_lane("default", "nightly").await.unwrap();
    let bed = bed.restart().await;
    assert!(bed.engine.lane("default", "nightly").await.unwrap().paused);
    bed.submit(SubmitRequest { lane: Some("nightly".into()), ..work() }).await;
    let request = stint_api::LeaseRequest { lanes: vec!["nightly".into()], ..claim(1) };
    assert!(bed.engine.lease(request, None).await.unwrap().leases.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_none_is_refused_as_such() {
    let bed = Bed::new().await;
    let problem = bed.engine.pause_lane("default", "two words").await.unwrap_err();
    assert_eq!((problem.code, problem.field.as_deref()), (Code::InvalidField, Some("lane")));
}

#[tokio::test(start_paused = true)]
async fn lanes_are_listed_over_all_partitions_page_by_page() {
    let bed = Bed::new().await;
    assert!(bed.engine.lanes("default", None, None).await.unwrap().lanes.is_empty());
    for lane in ["b", "a", "c", "a", "b", "a"] {
        bed.submit(SubmitRequest { lane: Some(lane.into()), ..work() }).await;
        pass(10_000).await;
    }
    bed.submit(SubmitRequest { lane: Some("z".into()), namespace: Some("other".into()), ..work() }).await;
    bed.engine.pause_lane("default", "b").await.unwrap();
    bed.engine.drain_lane("default", "empty").await.unwrap();
    let all = bed.engine.lanes("default", None, None).await.unwrap();
    let seen: Vec<_> = all
        .lanes
        .iter()
        .map(|lane| (lane.name.as_str(), lane.paused, lane.draining, lane.ready, lane.waiting))
        .collect();
    let expected = [
        ("a", false, false, 3, 0),
        ("b", true, false, 0, 2),
        ("c", false, false, 1, 0),
        ("empty", false, true, 0, 0),
    ];
    assert_eq!((seen.as_slice(), &all.next_cursor), (expected.as_slice(), &None));
    for lane in &all.lanes {
        assert_eq!(&bed.engine.lane("default", &lane.name).await.unwrap(), lane);
    }
    let first = bed.engine.lanes("default", Some(3), None).await.unwrap();
    assert_eq!(first.lanes, all.lanes[..3]);
    let rest = bed.engine.lanes("default", Some(3), first.next_cursor.as_deref()).await.unwrap();
    assert_eq!((rest.lanes.as_slice(), rest.next_cursor), (&all.lanes[3..], None));
    assert_eq!(bed.engine.lanes("other", None, None).await.unwrap().lanes[0].name, "z");
    let wrong = bed.engine.lanes("default", None, Some("no name")).await.unwrap_err();
    assert_eq!(wrong.field.as_deref(), Some("cursor"));
}

#[tokio::test(start_paused = true)]
async fn who_gives_work_back_to_a_paused_lane_is_told_that_it_is_blocked() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    let lease = bed.lease_one().await;
    bed.engine.pause_lane("default", "default").await.unwrap();
    let reply = bed.engine.release(&lease.lease, ReleaseRequest::default()).await.unwrap();
    assert_eq!(reply.state, ExecutionState::Blocked);
    assert_eq!(bed.state(&id).await, ExecutionState::Blocked);
}
