//! Why an execution is not running, for everything that can be the reason.

use stint_api::{LeaseRequest, SubmitRequest, WorkerRef};

use crate::bed::{Bed, claim, pass, work};

#[tokio::test(start_paused = true)]
async fn what_stands_in_the_way_is_named_the_first_thing_first() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    assert_eq!(bed.why(&id).await, ["no_worker"]);
    let other = SubmitRequest { requires: vec!["gpu".into(), "region = eu".into()], ..work() };
    let picky = bed.submit(other).await.id;
    let later = bed.submit(SubmitRequest { delay_ms: Some(60_000), ..work() }).await.id;
    let other_kind = bed.submit(SubmitRequest { kind: "other".into(), ..work() }).await.id;
    let worker = WorkerRef { capabilities: vec!["region=us".into()], ..claim(1).worker };
    let request = LeaseRequest { worker, kinds: vec!["work".into()], ..claim(1) };
    let lease = bed.engine.lease(request, None).await.unwrap().leases.remove(0);
    assert_eq!(bed.why(&id).await, ["running"]);
    assert_eq!(bed.why(&picky).await, ["no_capable_worker"]);
    let why = bed.engine.why("default", &picky).await.unwrap();
    assert!(why.waiting_for[0].detail.contains("`gpu` and `region = eu`"), "{why:?}");
    assert_eq!(bed.why(&other_kind).await, ["no_worker"]);
    assert_eq!(bed.why(&later).await, ["delay"]);
    let why = bed.engine.why("default", &later).await.unwrap();
    assert_eq!(why.until, why.waiting_for[0].until);
    let third = bed.submit_work().await;
    assert_eq!(bed.why(&third).await, ["worker"]);
    bed.engine.pause("default", &third).await.unwrap();
    assert_eq!(bed.why(&third).await, ["paused", "worker"]);
    bed.engine.pause_lane("default", "default").await.unwrap();
    assert!(bed.why(&third).await.contains(&"lane_paused".to_owned()));
    bed.complete(&lease, "1").await.unwrap();
    assert!(bed.why(&id).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_gone_no_longer_counts() {
    let bed = Bed::new().await;
    assert!(bed.lease(1).await.is_empty());
    let id = bed.submit_work().await;
    assert_eq!(bed.why(&id).await, ["worker"]);
    assert_eq!(bed.engine.workers("default").await.unwrap()[0].name, "worker-1");
    pass(90_000).await;
    assert_eq!(bed.why(&id).await, ["no_worker"]);
    assert!(bed.engine.workers("default").await.unwrap().is_empty());
}
