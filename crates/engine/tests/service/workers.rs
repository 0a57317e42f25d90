//! Workers as they are listed, and drained from the server.

use stint_api::{Code, ExchangeLease, LeaseRequest, WorkerRef};

use crate::bed::{Bed, Worker, claim, pass};

async fn listed(bed: &Bed) -> Vec<(String, u64, bool)> {
    let workers = bed.engine.workers("default").await.unwrap();
    workers.into_iter().map(|worker| (worker.id, worker.leases, worker.draining)).collect()
}

fn one(id: &str, leases: u64, draining: bool) -> (String, u64, bool) {
    (id.to_owned(), leases, draining)
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_drains_is_told_at_once_and_gets_nothing_more() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    bed.submit_work().await;
    let lease = worker.exchange(|_| ()).await.unwrap().leases.remove(0).lease;
    assert_eq!(listed(&bed).await, [one("w1~w1", 1, false)]);

    let hold = ExchangeLease { lease: lease.clone(), progress: None };
    let parked = worker.next(|request| (request.wait_ms, request.leases) = (60_000, vec![hold.clone()]));
    let (engine, began) = (bed.engine.clone(), tokio::time::Instant::now());
    let waiting = tokio::spawn(async move { engine.exchange(parked).await.unwrap() });
    pass(10).await;
    let drained = bed.engine.drain_worker("default", "w1~w1").await.unwrap().worker;
    assert_eq!((drained.name.as_str(), drained.leases, drained.draining), ("w1", 1, true));
    let reply = waiting.await.unwrap();
    assert!(reply.drain && reply.leases.is_empty() && began.elapsed().as_millis() < 100);

    // It may still finish what it holds; new work goes to others.
    bed.submit_work().await;
    worker.request.seen = reply.n;
    let began = tokio::time::Instant::now();
    let reply = worker
        .exchange(|request| (request.wait_ms, request.leases) = (5_000, vec![hold.clone()]))
        .await
        .unwrap();
    assert!(reply.drain && reply.leases.is_empty());
    assert!(began.elapsed().as_millis() >= 5_000, "it knows: it is not told again at once");
    assert_eq!(bed.lease(5).await.len(), 1);
    bed.engine.complete(&lease, stint_api::CompleteRequest::default()).await.unwrap();
    assert_eq!(listed(&bed).await, [one("w1~w1", 0, true), one("worker-1", 1, false)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_is_not_given_to_a_worker_that_drains() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    worker.exchange(|_| ()).await.unwrap();
    bed.engine.drain_worker("default", "w1~w1").await.unwrap();
    let id = bed.submit_work().await;
    let reply = worker.exchange(|request| request.max = 10).await.unwrap();
    assert!(reply.drain && reply.leases.is_empty());
    assert_eq!(bed.state(&id).await, stint_api::ExecutionState::Ready);
    // Another process of the same name is another worker.
    let mut next = Worker::new(&bed, "w2");
    next.request.worker.name = "w1".into();
    let reply = next.exchange(|_| ()).await.unwrap();
    assert!(!reply.drain && reply.leases.len() == 1);
    assert_eq!(listed(&bed).await, [one("w1~w1", 0, true), one("w1~w2", 1, false)]);
}

#[tokio::test(start_paused = true)]
async fn plain_claims_are_drained_by_name() {
    let bed = Bed::new().await;
    assert!(bed.lease(1).await.is_empty());
    let (engine, began) = (bed.engine.clone(), tokio::time::Instant::now());
    let waiting = tokio::spawn(async move {
        engine.lease(LeaseRequest { wait_ms: 60_000, ..claim(1) }, None).await.unwrap()
    });
    pass(10).await;
    bed.engine.drain_worker("default", "worker-1").await.unwrap();
    let reply = waiting.await.unwrap();
    assert!(reply.drain && reply.leases.is_empty() && began.elapsed().as_millis() < 100);
    bed.submit_work().await;
    let request = LeaseRequest { wait_ms: 1_000, ..claim(1) };
    let began = tokio::time::Instant::now();
    let reply = bed.engine.lease(request, None).await.unwrap();
    assert!(reply.drain && reply.leases.is_empty() && began.elapsed().as_millis() >= 1_000);
    let worker = WorkerRef { name: "worker-2".into(), ..WorkerRef::default() };
    let reply = bed.engine.lease(LeaseRequest { worker, ..claim(1) }, None).await.unwrap();
    assert!(!reply.drain && reply.leases.len() == 1);
}

#[tokio::test(start_paused = true)]
async fn only_a_worker_that_is_there_can_be_drained() {
    let bed = Bed::new().await;
    bed.lease(1).await;
    for (namespace, id) in
        [("default", "nobody"), ("default", "worker-1~x"), ("other", "worker-1"), ("default", "")]
    {
        let problem = bed.engine.drain_worker(namespace, id).await.unwrap_err();
        assert_eq!(problem.code, Code::NotFound, "{namespace} {id}");
    }
    pass(100_000).await;
    assert_eq!(bed.engine.drain_worker("default", "worker-1").await.unwrap_err().code, Code::NotFound);
}
