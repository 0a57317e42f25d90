//! Why an execution is not running, for everything that can be the reason.

use stint_api::{LeaseRequest, SubmitRequest, WorkerRef};

use crate::bed::{Bed, claim, pass, work};
use crate::budgets::spending;

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

#[tokio::test(start_paused = true)]
async fn everybody_behind_an_exhausted_budget_knows_its_place_and_what_is_missing_now() {
    const WAITING: usize = 200;
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    let first = SubmitRequest { lease_ttl_ms: Some(600_000), ..spending("acme", 60) };
    let first = bed.submit(first).await.id;
    let lease = bed.funded().await;
    let mut ids = Vec::new();
    for _ in 0..WAITING {
        pass(1).await;
        ids.push(bed.submit(spending("acme", 60)).await.id);
    }
    let elsewhere = SubmitRequest { lane: Some("elsewhere".into()), ..spending("acme", 60) };
    let elsewhere = bed.submit(elsewhere).await.id;
    let request = LeaseRequest { wait_ms: 5_000, ..claim(1) };
    assert!(bed.engine.lease(request, None).await.unwrap().leases.is_empty());
    bed.charge(&lease.lease, "c1", 30).await.unwrap();
    for place in [0, 1, 99, WAITING - 1] {
        let why = bed.engine.why("default", &ids[place]).await.unwrap();
        let [waiting] = &why.waiting_for[..] else { panic!("{why:?}") };
        let told = waiting.budget.as_ref().unwrap();
        let short = told.shortfall.as_ref().unwrap();
        assert_eq!((told.path.as_str(), told.position), ("acme", Some(place as u64 + 1)), "{why:?}");
        let numbers = (short.used, short.held, short.limit, short.missing);
        assert_eq!((short.dimension.as_str(), numbers), ("usd_micros", (30, 30, 100, 20)));
        assert!(
            waiting.detail.contains("lacks 20 usd_micros in window `all`: 30 used and 30 held"),
            "{why:?}"
        );
    }
    assert_eq!(bed.why(&elsewhere).await, ["no_worker"]);
    // What is asked to stop says for the want of what.
    bed.charge(&lease.lease, "c2", 90).await.unwrap();
    pass(100).await;
    let why = bed.engine.why("default", &first).await.unwrap();
    assert_eq!(why.waiting_for[0].reason, "stopping");
    assert!(why.waiting_for[0].detail.contains("budget acme"), "{why:?}");
}
