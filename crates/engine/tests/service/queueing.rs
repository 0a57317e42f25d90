//! Who waits for money keeps nobody waiting who could have it.

use std::time::Duration;

use stint_api::{BudgetUse, Lease, LeaseRequest, SubmitRequest};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::bed::{Bed, claim, pass, work};
use crate::budgets::{spending, usd};

impl Bed {
    /// Nothing starts for some minutes while a lease goes on.
    pub(crate) async fn nothing_starts_under(&self, lease: &Lease) {
        for _ in 0..10 {
            self.engine.heartbeat(&lease.lease, Default::default()).await.unwrap();
            assert!(self.leases_within(5, 20_000).await.is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn limits_taken_in_opposite_order_do_not_block_each_other() {
    let bed = Bed::new().await;
    bed.budget_of("left", 10).await;
    bed.budget_of("right", 10).await;
    for n in 0..12 {
        let mut paths = ["left", "right"];
        paths.rotate_left(n % 2);
        let budgets = paths.map(|path| BudgetUse::new(path, Some(usd(10)))).to_vec();
        bed.submit(SubmitRequest { budgets, ..work() }).await;
    }
    let mut workers = JoinSet::new();
    for _ in 0..6 {
        let engine = bed.engine.clone();
        workers.spawn(async move {
            let mut done = 0;
            loop {
                let request = LeaseRequest { wait_ms: 10_000, ..claim(1) };
                let Some(lease) = engine.lease(request, None).await.unwrap().leases.pop() else {
                    return done;
                };
                let request = stint_api::CompleteRequest::new(crate::bed::json("1"));
                engine.complete(&lease.lease, request).await.unwrap();
                done += 1;
            }
        });
    }
    assert_eq!(workers.join_all().await.iter().sum::<u32>(), 12);
    assert_eq!((bed.stands("left").await, bed.stands("right").await), ((0, 0), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn work_that_wants_two_budgets_gets_its_turn_among_work_that_wants_one() {
    const EACH: usize = 100;
    let bed = Bed::new().await;
    let both = ["left", "right"];
    for path in both {
        bed.budget_of(path, 10).await;
        for _ in 0..EACH {
            bed.submit(spending(path, 10)).await;
        }
    }
    let mut started = Vec::new();
    let mut running = JoinSet::new();
    let mut wanted = None;
    while started.len() < EACH {
        for lease in bed.leases_within(4, 10_000).await {
            started.push(lease.execution.id.clone());
            let engine = bed.engine.clone();
            running.spawn(async move {
                pass(300).await;
                let done = stint_api::CompleteRequest::new(crate::bed::json("1"));
                engine.complete(&lease.lease, done).await.unwrap();
            });
        }
        if wanted.is_none() {
            let budgets = both.map(|path| BudgetUse::new(path, Some(usd(10)))).to_vec();
            let first = SubmitRequest { priority: Some(100), budgets, ..work() };
            wanted = Some(bed.submit(first).await.id);
        }
    }
    let place = started.iter().position(|id| Some(id) == wanted.as_ref());
    assert!(place.is_some_and(|place| place < EACH / 2), "{place:?}");
    running.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn work_of_a_paused_lane_keeps_nobody_waiting_for_money() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    bed.submit(spending("acme", 60)).await;
    let first = bed.funded().await;
    bed.submit(SubmitRequest { lane: Some("slow".into()), ..spending("acme", 60) }).await;
    let request = LeaseRequest { lanes: vec!["slow".into()], wait_ms: 1_000, ..claim(1) };
    assert!(bed.engine.lease(request, None).await.unwrap().leases.is_empty());
    let small = bed.submit(spending("acme", 30)).await.id;
    assert!(bed.leases_within(1, 1_000).await.is_empty(), "nobody is overtaken");
    bed.engine.pause_lane("default", "slow").await.unwrap();
    let leases = bed.leases_within(1, 10_000).await;
    assert_eq!(leases[0].execution.id, small);
    assert_eq!(bed.stands("acme").await, (0, 90));
    bed.complete(&leases[0], "1").await.unwrap();
    bed.complete(&first, "1").await.unwrap();
    bed.engine.resume_lane("default", "slow").await.unwrap();
    let request = LeaseRequest { lanes: vec!["slow".into()], wait_ms: 10_000, ..claim(1) };
    assert_eq!(bed.engine.lease(request, None).await.unwrap().leases.len(), 1);
}

/// What a worker of lane `slow` claims.
fn slow(wait_ms: u64) -> LeaseRequest {
    let worker = stint_api::WorkerRef { name: "slow".into(), ..Default::default() };
    LeaseRequest { worker, lanes: vec!["slow".into()], wait_ms, ..claim(1) }
}

#[tokio::test(start_paused = true)]
async fn work_whose_worker_is_gone_keeps_nobody_waiting_for_money() {
    for restarts in [false, true] {
        let mut bed = Bed::new().await;
        bed.budget_of("acme", 100).await;
        let lasting = |hold| SubmitRequest { lease_ttl_ms: Some(600_000), ..spending("acme", hold) };
        bed.submit(lasting(60)).await;
        let first = bed.funded().await;
        let kept = SubmitRequest { lane: Some("slow".into()), priority: Some(1), ..spending("acme", 60) };
        let kept = bed.submit(kept).await.id;
        assert!(bed.engine.lease(slow(1_000), None).await.unwrap().leases.is_empty());
        let small = bed.submit(lasting(30)).await.id;
        assert!(bed.leases_within(1, 1_000).await.is_empty(), "nobody is overtaken");
        if restarts {
            bed = bed.restart().await;
        }
        let leases = bed.leases_within(1, 50_000).await;
        assert_eq!(leases[0].execution.id, small);
        pass(90_000).await;
        assert_eq!(bed.why(&kept).await, ["no_worker"]);
        // As soon as its worker is back it asks, at its old place.
        bed.submit(spending("acme", 60)).await;
        let engine = bed.engine.clone();
        let others =
            tokio::spawn(
                async move { engine.lease(LeaseRequest { wait_ms: 9_000, ..claim(1) }, None).await },
            );
        pass(1_000).await;
        let engine = bed.engine.clone();
        let back = tokio::spawn(async move { engine.lease(slow(9_000), None).await });
        pass(1_000).await;
        bed.complete(&first, "1").await.unwrap();
        assert_eq!(back.await.unwrap().unwrap().leases[0].execution.id, kept);
        assert!(others.await.unwrap().unwrap().leases.is_empty());
        assert_eq!(bed.stands("acme").await, (0, 90));
    }
}

#[tokio::test(start_paused = true)]
async fn parked_work_that_waits_for_money_keeps_no_slot_from_other_work() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    bed.submit(spending("acme", 60)).await;
    let parked = bed.funded().await;
    bed.charge(&parked.lease, "c1", 101).await.unwrap();
    pass(100).await;
    bed.engine.suspended(&parked.lease, Default::default()).await.unwrap();
    let other = bed.submit_work().await;
    let began = Instant::now();
    assert_eq!(bed.funded().await.execution.id, other);
    assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn queued_work_without_a_worker_holds_nothing() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(bed.submit(spending("acme", 10)).await.id);
    }
    pass(3_600_000).await;
    assert_eq!(bed.stands("acme").await, (0, 0));
    assert_eq!(bed.why(&ids[0]).await[0], "no_worker");
    // Who comes for one gets one; the rest of the money is anybody's.
    bed.funded().await;
    assert_eq!(bed.stands("acme").await, (0, 10));
    let other = bed.submit(SubmitRequest { priority: Some(100), ..spending("acme", 90) }).await.id;
    assert_eq!(bed.funded().await.execution.id, other);
}
