//! Shutting down.

use stint_api::{Code, ExchangeResult};

use crate::bed::{Bed, Worker, pass};

#[tokio::test(start_paused = true)]
async fn a_drained_engine_answers_who_waits_and_takes_nothing_new() {
    let bed = Bed::new().await;
    assert_eq!(bed.engine.ready().unwrap().partitions, 64);
    let mut worker = Worker::new(&bed, "w1");
    let request = worker.next(|request| request.wait_ms = 60_000);
    let engine = bed.engine.clone();
    let parked = tokio::spawn(async move { engine.exchange(request).await });
    let id =
        bed.submit(stint_api::SubmitRequest { lane: Some("other".into()), ..crate::bed::work() }).await.id;
    let engine = bed.engine.clone();
    let waiting = tokio::spawn(async move { engine.result("default", &id, 60_000).await });
    pass(10).await;
    bed.engine.drain().await;
    assert_eq!(parked.await.unwrap().unwrap_err().code, Code::Draining);
    assert!(!waiting.await.unwrap().unwrap().state.is_terminal());
    assert_eq!(bed.engine.ready().unwrap_err().code, Code::Draining);
    let refused = bed.engine.submit(crate::bed::work(), None).await.unwrap_err();
    assert_eq!(refused.code, Code::Draining);
    assert_eq!(bed.engine.lease(crate::bed::claim(1), None).await.unwrap_err().code, Code::Draining);
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_before_a_drain_is_there_after_it() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    let mut worker = Worker::new(&bed, "w1");
    let lease = worker.exchange(|_| ()).await.unwrap().leases[0].lease.clone();
    bed.engine.drain().await;
    let store = bed.store.handle(1);
    drop(bed);
    let bed = Bed::on(store).await;
    worker.engine = bed.engine.clone();
    let result: ExchangeResult =
        serde_json::from_value(serde_json::json!({ "lease": lease, "complete": { "output": 5 } })).unwrap();
    let reply = worker.exchange(|request| request.results.push(result)).await.unwrap();
    assert_eq!(reply.answers.len(), 1, "{reply:?}");
    assert_eq!(bed.result(&id).await.output, Some(crate::bed::json("5")));
}
