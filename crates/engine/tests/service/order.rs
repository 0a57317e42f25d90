//! Which work is started first, and by whom.

use std::collections::BTreeMap;

use stint_api::{LaneSettings, LeaseRequest, SubmitRequest, WorkerRef};

use crate::bed::{Bed, claim, pass, work};

fn tagged(tag: &str, request: SubmitRequest) -> SubmitRequest {
    SubmitRequest { tags: [("t".to_owned(), tag.to_owned())].into(), ..request }
}

async fn next(bed: &Bed) -> String {
    let lease = bed.lease_one().await;
    lease.execution.tags["t"].clone()
}

/// So that work comes to lie in many partitions.
async fn rotate() {
    pass(10_000).await;
}

#[tokio::test(start_paused = true)]
async fn higher_priority_is_first_wherever_it_lies() {
    let bed = Bed::new().await;
    for (tag, priority) in [("low", -1), ("none", 0), ("high", 5), ("higher", 6), ("none", 0)] {
        bed.submit(tagged(tag, SubmitRequest { priority: Some(priority), ..work() })).await;
        rotate().await;
    }
    let mut order = Vec::new();
    for _ in 0..5 {
        order.push(next(&bed).await);
    }
    assert_eq!(order, ["higher", "high", "none", "none", "low"]);
}

#[tokio::test(start_paused = true)]
async fn long_waiters_age_upward() {
    let bed = Bed::new().await;
    bed.submit(tagged("old", work())).await;
    pass(11 * 60_000).await;
    bed.submit(tagged("one step higher", SubmitRequest { priority: Some(1), ..work() })).await;
    bed.submit(tagged("two steps higher", SubmitRequest { priority: Some(2), ..work() })).await;
    let order = [next(&bed).await, next(&bed).await, next(&bed).await];
    assert_eq!(order, ["two steps higher", "old", "one step higher"]);
}

#[tokio::test(start_paused = true)]
async fn a_changed_priority_counts_at_once() {
    let bed = Bed::new().await;
    bed.submit(tagged("first", work())).await;
    rotate().await;
    let second = bed.submit(tagged("second", work())).await.id;
    let request = stint_api::PriorityRequest { priority: 3, namespace: None };
    bed.engine.set_priority("default", &second, request).await.unwrap();
    assert_eq!(next(&bed).await, "second");
}

#[tokio::test(start_paused = true)]
async fn a_lane_is_shared_by_weight() {
    let bed = Bed::new().await;
    let weights = BTreeMap::from([("big".to_owned(), 3)]);
    bed.engine
        .set_lane("default", "default", LaneSettings { weights, ..LaneSettings::default() })
        .await
        .unwrap();
    let of = |key: &str| tagged(key, SubmitRequest { fairness_key: Some(key.into()), ..work() });
    let mut executions = Vec::new();
    for _ in 0..40 {
        executions.extend([of("small"), of("big")]);
    }
    // One partition: shares are kept within each.
    let batch = stint_api::BatchRequest { executions, namespace: None };
    bed.engine.submit_batch(batch, None).await.unwrap();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..40 {
        *counts.entry(next(&bed).await).or_default() += 1;
    }
    assert!((29..=31).contains(&counts["big"]), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_one_key_does_not_hold_up_another_in_any_partition() {
    let bed = Bed::new().await;
    let of = |key: &str| tagged(key, SubmitRequest { fairness_key: Some(key.into()), ..work() });
    for _ in 0..4 {
        let executions = (0..50).map(|_| of("flood")).collect();
        bed.engine.submit_batch(stint_api::BatchRequest { executions, namespace: None }, None).await.unwrap();
        rotate().await;
    }
    let flooded: Vec<_> = bed.lease(150).await;
    assert_eq!(flooded.len(), 150);
    bed.submit(of("single")).await;
    // The flood's last ones have tags far ahead of now.
    let order = [next(&bed).await, next(&bed).await];
    assert!(order.contains(&"single".to_owned()), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn workers_get_what_they_can_do() {
    let bed = Bed::new().await;
    let needs = |requires: &[&str]| SubmitRequest {
        requires: requires.iter().map(|r| (*r).to_owned()).collect(),
        ..work()
    };
    bed.submit(tagged("gpu", needs(&["gpu", "mem_gb >= 16"]))).await;
    bed.submit(tagged("other kind", SubmitRequest { kind: "other".into(), ..work() })).await;
    bed.submit(tagged("other lane", SubmitRequest { lane: Some("other".into()), ..work() })).await;
    let take = async |capabilities: &[&str], lanes: &[&str], kinds: &[&str]| {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let worker = WorkerRef { capabilities: texts(capabilities), ..claim(1).worker };
        let request = LeaseRequest { worker, lanes: texts(lanes), kinds: texts(kinds), ..claim(10) };
        let leases = bed.engine.lease(request, None).await.unwrap().leases;
        leases.into_iter().map(|lease| lease.execution.tags["t"].clone()).collect::<Vec<_>>()
    };
    assert!(take(&["gpu", "mem_gb=8"], &["default"], &["work"]).await.is_empty());
    assert_eq!(take(&["gpu", "mem_gb=64"], &["default"], &["work"]).await, ["gpu"]);
    assert_eq!(take(&[], &["other"], &[]).await, ["other lane"]);
    assert_eq!(take(&[], &["default", "other"], &[]).await, ["other kind"]);
}

#[tokio::test(start_paused = true)]
async fn a_preferred_worker_is_chosen_among_those_that_wait() {
    let bed = Bed::new().await;
    let wait = |name: &str, capabilities: &[&str]| {
        let capabilities = capabilities.iter().map(|c| (*c).to_owned()).collect();
        let worker = WorkerRef { name: name.into(), capabilities, version: None };
        let request = LeaseRequest { worker, wait_ms: 10_000, ..claim(1) };
        let engine = bed.engine.clone();
        tokio::spawn(async move { engine.lease(request, None).await.unwrap().leases })
    };
    let far = wait("far", &[]);
    pass(10).await;
    let near = wait("near", &["region=eu"]);
    pass(10).await;
    bed.submit(SubmitRequest { prefer: vec!["region = eu".into()], ..work() }).await;
    assert_eq!(near.await.unwrap().len(), 1);
    assert!(far.await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_claim_takes_work_of_all_partitions() {
    let bed = Bed::new().await;
    for _ in 0..20 {
        bed.submit_work().await;
        rotate().await;
    }
    assert_eq!(bed.lease(15).await.len(), 15);
    assert_eq!(bed.lease(15).await.len(), 5);
}
