//! Sending twice.

use stint_api::{BatchRequest, BatchResult, Code, ExecutionState, LeaseRequest, RequestKey, SubmitRequest};

use crate::bed::{Bed, claim, json, work};

fn keyed(key: &str) -> SubmitRequest {
    SubmitRequest { idempotency_key: Some(key.into()), ..work() }
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_stands_for_the_first_execution() {
    let bed = Bed::new().await;
    let first = bed.submit(keyed("once")).await;
    let again = bed.submit(keyed("once")).await;
    assert_eq!((again.id.clone(), again.existed), (first.id.clone(), true));
    let other = SubmitRequest { input: json("1"), ..keyed("once") };
    let problem = bed.engine.submit(other, None).await.unwrap_err();
    assert_eq!(
        (problem.code, problem.field.as_deref()),
        (Code::IdempotencyConflict, Some("idempotency_key"))
    );
    let elsewhere = SubmitRequest { namespace: Some("other".into()), ..keyed("once") };
    assert_ne!(bed.submit(elsewhere).await.id, first.id);
    bed.complete(&bed.lease_one().await, "1").await.unwrap();
    assert_eq!(bed.submit(keyed("once")).await.state, ExecutionState::Completed);
    let bed = bed.restart().await;
    assert_eq!(bed.submit(keyed("once")).await.id, first.id);
}

#[tokio::test(start_paused = true)]
async fn a_request_key_makes_sending_again_safe() {
    let bed = Bed::new().await;
    for text in ["s-1.1", "any text of a curl user".replace(' ', "_").as_str()] {
        let key = Some(RequestKey::parse(text).unwrap());
        let first = bed.engine.submit(work(), key.clone()).await.unwrap();
        let again = bed.engine.submit(work(), key.clone()).await.unwrap();
        assert_eq!((&again.id, first.existed, again.existed), (&first.id, false, true), "{text}");
        let other = SubmitRequest { input: json("1"), ..work() };
        let problem = bed.engine.submit(other, key.clone()).await.unwrap_err();
        assert_eq!(problem.code, Code::IdempotencyConflict, "{text}");
        bed.complete(&bed.lease_one().await, "1").await.unwrap();
        let late = bed.engine.submit(work(), key).await.unwrap();
        assert_eq!((late.id, late.state), (first.id, ExecutionState::Completed), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_has_a_result_for_each_in_order() {
    let bed = Bed::new().await;
    bed.submit(SubmitRequest { input: json("0"), ..keyed("k3") }).await;
    let executions: Vec<_> = (0..6).map(|n| if n < 3 { work() } else { keyed(&format!("k{n}")) }).collect();
    let request = BatchRequest { executions, namespace: None };
    let key = Some(RequestKey::parse("session.5").unwrap());
    let first = bed.engine.submit_batch(request.clone(), key.clone()).await.unwrap().results;
    assert_eq!(first.len(), 6);
    for (place, result) in first.iter().enumerate() {
        match result {
            BatchResult::Submitted(reply) => assert!(place != 3 && !reply.existed),
            BatchResult::Refused { error } => {
                assert_eq!(place, 3);
                assert_eq!(error.code, Code::IdempotencyConflict);
                assert_eq!(error.field.as_deref(), Some("executions[3].idempotency_key"));
            }
        }
    }
    let again = bed.engine.submit_batch(request, key).await.unwrap().results;
    let id = |result: &BatchResult| match result {
        BatchResult::Submitted(reply) => Some(reply.id.clone()),
        BatchResult::Refused { .. } => None,
    };
    assert_eq!(first.iter().map(id).collect::<Vec<_>>(), again.iter().map(id).collect::<Vec<_>>());
    assert_eq!(bed.lease(100).await.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn one_bad_submission_refuses_its_batch_by_name() {
    let bed = Bed::new().await;
    let bad = SubmitRequest { requires: vec!["gpu".into(), "a b".into()], ..work() };
    let request = BatchRequest { executions: vec![work(), bad], namespace: None };
    let problem = bed.engine.submit_batch(request, None).await.unwrap_err();
    assert_eq!(problem.field.as_deref(), Some("executions[1].requires[1]"));
    assert!(bed.lease(1).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_claim_sent_again_is_answered_with_the_same_leases() {
    let bed = Bed::new().await;
    for _ in 0..5 {
        bed.submit_work().await;
    }
    let key = || Some(RequestKey::parse("claims.1").unwrap());
    let texts = |reply: stint_api::LeaseReply| {
        let mut texts: Vec<_> = reply.leases.into_iter().map(|lease| lease.lease).collect();
        texts.sort();
        texts
    };
    let first = texts(bed.engine.lease(claim(3), key()).await.unwrap());
    assert_eq!(first.len(), 3);
    assert_eq!(texts(bed.engine.lease(claim(3), key()).await.unwrap()), first);
    let bed = bed.restart().await;
    assert_eq!(texts(bed.engine.lease(claim(3), key()).await.unwrap()), first);
    let other = bed.engine.lease(claim(3), Some(RequestKey::parse("claims.2").unwrap())).await.unwrap();
    assert_eq!(other.leases.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_claim_sent_again_when_its_leases_have_ended_gets_no_others() {
    let bed = Bed::new().await;
    for _ in 0..3 {
        bed.submit_work().await;
    }
    let key = || Some(RequestKey::parse("claims.1").unwrap());
    let first = bed.engine.lease(claim(1), key()).await.unwrap();
    bed.complete(&first.leases[0], "1").await.unwrap();
    let again = bed.engine.lease(LeaseRequest { wait_ms: 30_000, ..claim(1) }, key());
    let again = tokio::time::timeout(std::time::Duration::from_secs(1), again).await;
    assert!(again.unwrap().unwrap().leases.is_empty());
    let next = bed.engine.lease(claim(3), Some(RequestKey::parse("claims.2").unwrap())).await.unwrap();
    assert_eq!(next.leases.len(), 2);
    // What a restarted process found again it remembers as well.
    let bed = bed.restart().await;
    let key = || Some(RequestKey::parse("claims.2").unwrap());
    for lease in bed.engine.lease(claim(3), key()).await.unwrap().leases {
        bed.complete(&lease, "1").await.unwrap();
    }
    bed.submit_work().await;
    assert!(bed.engine.lease(claim(3), key()).await.unwrap().leases.is_empty());
}
