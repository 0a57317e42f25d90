//! Actions on many executions.

use stint_api::{
    BulkAction, BulkJob, BulkRequest, BulkState, Code, ExecutionFilter, ExecutionState, ListRequest,
    RequestKey, SubmitRequest,
};

use crate::bed::{Bed, pass, work};

async fn fill(bed: &Bed, count: usize, lane: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(bed.submit(SubmitRequest { lane: Some(lane.to_owned()), ..work() }).await.id);
    }
    ids
}

fn in_lane(lane: &str) -> ExecutionFilter {
    ExecutionFilter { lane: Some(lane.to_owned()), ..ExecutionFilter::default() }
}

async fn done(bed: &Bed, job: &str) -> BulkJob {
    loop {
        let job = bed.engine.bulk("default", job).await.unwrap();
        if job.state != BulkState::Running {
            return job;
        }
        pass(1).await;
    }
}

async fn run(bed: &Bed, request: BulkRequest) -> BulkJob {
    let reply = bed.engine.begin_bulk(request, None).await.unwrap();
    done(bed, &reply.job.unwrap()).await
}

async fn count(bed: &Bed, filter: ExecutionFilter) -> u64 {
    let request = stint_api::CountRequest { filter, namespace: None };
    bed.engine.count(request).await.unwrap().count
}

#[tokio::test(start_paused = true)]
async fn a_filter_is_counted_first_and_then_acted_on() {
    let bed = Bed::new().await;
    fill(&bed, 450, "mail").await;
    let other = fill(&bed, 3, "other").await;
    let mut request = BulkRequest::new(BulkAction::Cancel, in_lane("mail"));
    request.dry_run = Some(true);
    let counted = bed.engine.begin_bulk(request.clone(), None).await.unwrap();
    assert_eq!((counted.job, counted.count, counted.at_least), (None, 450, false));
    assert_eq!(count(&bed, in_lane("mail")).await, 450, "a preview changes nothing");

    request.dry_run = None;
    request.reason = Some("wrong template".to_owned());
    let job = run(&bed, request).await;
    assert_eq!((job.matched, job.processed, job.changed), (450, 450, 450));
    assert!(job.ended_at.is_some() && job.errors.is_empty());
    let cancelled = ExecutionFilter { state: Some(ExecutionState::Cancelled), ..in_lane("mail") };
    let page =
        bed.engine.executions(ListRequest { filter: cancelled, ..ListRequest::default() }).await.unwrap();
    assert_eq!(page.executions[0].reason.as_deref(), Some("wrong template"));
    assert_eq!(bed.state(&other[0]).await, ExecutionState::Ready);
    let listed = bed.engine.bulks("default").await.unwrap().jobs;
    assert_eq!(listed, [job]);
    assert!(bed.engine.bulks("theirs").await.unwrap().jobs.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_replayed_once_however_often_it_is_asked_for() {
    let bed = Bed::new().await;
    let ids = fill(&bed, 5, "default").await;
    for _ in 0..5 {
        let lease = bed.lease_one().await;
        let mut fail = stint_api::FailRequest::new(stint_api::Failure::new("broken", "it broke"));
        fail.retry = Some(false);
        bed.engine.fail(&lease.lease, fail).await.unwrap();
    }
    let failed = ExecutionFilter { error_type: Some("broken".to_owned()), ..ExecutionFilter::default() };
    let request = BulkRequest::new(BulkAction::Replay, failed);
    let key = RequestKey::parse("session.1").unwrap();
    let first = bed.engine.begin_bulk(request.clone(), Some(key.clone())).await.unwrap().job.unwrap();
    let again = bed.engine.begin_bulk(request, Some(key)).await.unwrap().job.unwrap();
    assert_eq!(first, again);
    let job = done(&bed, &first).await;
    assert_eq!((job.changed, job.skipped, job.failed), (5, 0, 0));
    for id in &ids {
        assert_eq!(bed.state(id).await, ExecutionState::Ready);
    }
}

#[tokio::test(start_paused = true)]
async fn priority_pause_resume_tag_and_revoke_act_on_what_they_can() {
    let bed = Bed::new().await;
    let ids = fill(&bed, 10, "default").await;
    let all = ExecutionFilter::default;
    let mut priority = BulkRequest::new(BulkAction::Priority, all());
    priority.priority = Some(7);
    assert_eq!(run(&bed, priority).await.changed, 10);
    assert_eq!(bed.engine.execution("default", &ids[3]).await.unwrap().priority, 7);
    assert_eq!(run(&bed, BulkRequest::new(BulkAction::Pause, all())).await.changed, 10);
    let blocked = || ExecutionFilter { state: Some(ExecutionState::Blocked), ..all() };
    assert_eq!(count(&bed, blocked()).await, 10);
    assert_eq!(run(&bed, BulkRequest::new(BulkAction::Resume, blocked())).await.changed, 10);

    let lease = bed.lease_one().await;
    let job = run(&bed, BulkRequest::new(BulkAction::Revoke, all())).await;
    assert_eq!((job.changed, job.skipped), (1, 9));
    let lost = bed.complete(&lease, "1").await.unwrap_err();
    assert_eq!(lost.code, Code::LeaseLost);

    let mut tag = BulkRequest::new(BulkAction::Tag, all());
    tag.tags.insert("run".to_owned(), "5".to_owned());
    assert_eq!(run(&bed, tag).await.changed, 10);
    let tagged = ExecutionFilter { tags: [("run".to_owned(), "5".to_owned())].into(), ..all() };
    assert_eq!(count(&bed, tagged).await, 10);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_counted_and_named() {
    let bed = Bed::new().await;
    let id = fill(&bed, 1, "default").await.remove(0);
    let lease = bed.lease_one().await;
    bed.complete(&lease, "1").await.unwrap();
    let mut replay = BulkRequest::new(BulkAction::Replay, ExecutionFilter::default());
    replay.from_step = Some("charge".to_owned());
    let job = run(&bed, replay).await;
    assert_eq!((job.changed, job.skipped, job.failed), (0, 0, 1));
    assert_eq!((job.errors[0].id.as_str(), job.errors[0].code.as_str()), (id.as_str(), "not_found"));
}

#[tokio::test(start_paused = true)]
async fn a_job_goes_on_after_a_crash_of_its_engine() {
    let bed = Bed::new().await;
    fill(&bed, 900, "mail").await;
    let request = BulkRequest::new(BulkAction::Cancel, in_lane("mail"));
    let job = bed.engine.begin_bulk(request, None).await.unwrap().job.unwrap();
    // The engine dies before it has had the time for all of it.
    let bed = bed.restart().await;
    let job = done(&bed, &job).await;
    assert_eq!((job.state, job.matched), (BulkState::Done, 900));
    let cancelled = ExecutionFilter { state: Some(ExecutionState::Cancelled), ..in_lane("mail") };
    assert_eq!(count(&bed, cancelled).await, 900);
}

#[tokio::test(start_paused = true)]
async fn a_job_can_be_stopped_and_unknown_ones_are_named() {
    let bed = Bed::new().await;
    fill(&bed, 900, "mail").await;
    let request = BulkRequest::new(BulkAction::Pause, in_lane("mail"));
    let id = bed.engine.begin_bulk(request, None).await.unwrap().job.unwrap();
    let stopped = bed.engine.stop_bulk("default", &id).await.unwrap();
    assert_eq!(stopped.state, BulkState::Stopped);
    pass(1_000).await;
    let job = bed.engine.bulk("default", &id).await.unwrap();
    assert_eq!(job, stopped, "no page counts after the stop");
    for wrong in ["bk_00000000000000000000000000", "nothing"] {
        let problem = bed.engine.bulk("default", wrong).await.unwrap_err();
        assert!(matches!(problem.code, Code::NotFound | Code::MalformedId), "{wrong}");
    }
    assert_eq!(bed.engine.stop_bulk("theirs", &id).await.unwrap_err().code, Code::NotFound);
}
