//! The step journal, by plain calls and by exchange.

use stint_api::{
    Answer, Code, ExchangeLease, ExchangeStep, ExecutionState, Lease, ReplayRequest, StepReply, StepRequest,
    StepResultRequest, SubmitRequest,
};

use crate::bed::{Bed, Worker, json, pass, work};

async fn begin(bed: &Bed, lease: &Lease, key: &str) -> StepReply {
    let request = StepRequest { key: key.into(), namespace: None };
    bed.engine.begin_step(&lease.lease, request).await.unwrap()
}

async fn record(bed: &Bed, lease: &Lease, key: &str, output: &str) -> Result<ExecutionState, Code> {
    let request = StepResultRequest { output: json(output), namespace: None };
    let reply = bed.engine.record_step(&lease.lease, key, request).await;
    reply.map(|end| end.state).map_err(|problem| problem.code)
}

#[tokio::test(start_paused = true)]
async fn a_step_runs_once_and_its_result_is_kept_for_later_attempts() {
    let bed = Bed::new().await;
    bed.submit(SubmitRequest { lease_ttl_ms: Some(5_000), ..work() }).await;
    let first = bed.lease_one().await;
    assert!(first.steps.is_empty());
    assert_eq!(record(&bed, &first, "a", "1").await, Err(Code::StepNotStarted));
    assert_eq!(begin(&bed, &first, "a").await, StepReply::Run);
    assert_eq!(begin(&bed, &first, "a").await, StepReply::Run);
    assert_eq!(record(&bed, &first, "a", "1").await, Ok(ExecutionState::Running));
    assert_eq!(record(&bed, &first, "a", "1").await, Ok(ExecutionState::Running));
    assert_eq!(record(&bed, &first, "a", "2").await, Err(Code::StepAlreadyRecorded));
    assert_eq!(begin(&bed, &first, "a").await, StepReply::Result(json("1")));
    assert_eq!(begin(&bed, &first, "b").await, StepReply::Run);
    pass(5_001).await;
    let second = bed.lease_one().await;
    let [a, b] = &second.steps[..] else { panic!("{:?}", second.steps) };
    assert_eq!((a.key.as_str(), a.result.clone(), a.unknown), ("a", Some(json("1")), false));
    assert_eq!((b.key.as_str(), b.result.clone(), b.unknown), ("b", None, true));
    assert_eq!(begin(&bed, &second, "a").await, StepReply::Result(json("1")));
    assert_eq!(begin(&bed, &second, "b").await, StepReply::Unknown);
    assert_eq!(record(&bed, &first, "b", "9").await, Err(Code::LeaseLost));
    assert_eq!(record(&bed, &second, "b", "2").await, Ok(ExecutionState::Running));
}

#[tokio::test(start_paused = true)]
async fn a_replay_keeps_the_journal_or_drops_it_from_a_step_on() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    let lease = bed.lease_one().await;
    for key in ["a", "b", "c"] {
        begin(&bed, &lease, key).await;
        record(&bed, &lease, key, "1").await.unwrap();
        pass(1).await;
    }
    let replay = |from: &str| {
        let from_step = (!from.is_empty()).then(|| from.to_owned());
        bed.engine.replay("default", &id, ReplayRequest { from_step, namespace: None }, None)
    };
    assert_eq!(replay("b").await.unwrap_err().code, Code::ExecutionNotFinished);
    bed.complete(&lease, "1").await.unwrap();
    assert_eq!(replay("z").await.unwrap_err().field.as_deref(), Some("from_step"));
    for (from, left) in [("", vec!["a", "b", "c"]), ("b", vec!["a"]), ("a", vec![])] {
        assert_eq!(replay(from).await.unwrap().state, ExecutionState::Ready, "{from}");
        let lease = bed.lease_one().await;
        assert_eq!(lease.steps.iter().map(|step| step.key.as_str()).collect::<Vec<_>>(), left, "{from}");
        bed.complete(&lease, "1").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_exchange_carries_steps_and_ends_in_one_go() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    let id = bed.submit_work().await;
    let lease = worker.exchange(|_| ()).await.unwrap().leases.remove(0).lease;
    let step = |key: &str, output: Option<&str>| ExchangeStep {
        lease: lease.clone(),
        key: key.into(),
        output: output.map(json),
    };
    let listed = ExchangeLease { lease: lease.clone(), progress: None };
    let reply = worker
        .exchange(|request| {
            request.leases.push(listed);
            request.steps = vec![step("a", None), step("b", None), step("a", Some("1"))];
        })
        .await
        .unwrap();
    let answers: Vec<_> =
        reply.answers.iter().map(|answer| (answer.key.as_deref(), &answer.answer)).collect();
    assert!(
        matches!(
            answers[..],
            [
                (Some("a"), Answer::Step(StepReply::Run)),
                (Some("b"), Answer::Step(StepReply::Run)),
                (Some("a"), Answer::Done(_)),
            ]
        ),
        "{answers:?}"
    );
    let reply = worker
        .exchange(|request| {
            request.steps = vec![step("b", Some("2"))];
            request.results = vec![
                serde_json::from_value(serde_json::json!({ "lease": lease, "complete": { "output": 3 } }))
                    .unwrap(),
            ];
        })
        .await
        .unwrap();
    assert!(reply.answers.iter().all(|answer| matches!(answer.answer, Answer::Done(_))), "{reply:?}");
    assert_eq!(bed.result(&id).await.output, Some(json("3")));
}

#[tokio::test(start_paused = true)]
async fn the_journal_is_shown_by_key_page_by_page_with_what_is_begun() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    let lease = bed.lease_one().await;
    let step = |key: &str| StepRequest { key: key.into(), namespace: None };
    let result = |output: &str| StepResultRequest { output: json(output), namespace: None };
    for (key, output) in [("b", Some("{\"n\": 1}")), ("a", None), ("c/d", Some("null"))] {
        bed.engine.begin_step(&lease.lease, step(key)).await.unwrap();
        if let Some(output) = output {
            bed.engine.record_step(&lease.lease, key, result(output)).await.unwrap();
        }
    }
    let all = bed.engine.steps("default", &id, None, None).await.unwrap();
    let seen: Vec<_> =
        all.steps.iter().map(|s| (s.key.as_str(), s.state, s.attempt, s.output.clone())).collect();
    let (recorded, started) = (stint_api::StepState::Recorded, stint_api::StepState::Started);
    assert_eq!(
        seen,
        [
            ("a", started, 1, None),
            ("b", recorded, 1, Some(json("{\"n\": 1}"))),
            ("c/d", recorded, 1, Some(json("null")))
        ]
    );
    assert_eq!(all.next_cursor, None);
    for limit in 1..=4_u32 {
        let (mut steps, mut cursor) = (Vec::new(), None);
        loop {
            let page = bed.engine.steps("default", &id, Some(limit), cursor.as_deref()).await.unwrap();
            assert!(page.steps.len() <= limit as usize);
            steps.extend(page.steps);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(steps, all.steps, "{limit}");
    }
    assert!(bed.engine.steps("other", &id, None, None).await.is_err());
    for (limit, cursor, field) in [(Some(0), None, "limit"), (None, Some(""), "cursor")] {
        let problem = bed.engine.steps("default", &id, limit, cursor).await.unwrap_err();
        assert_eq!(problem.field.as_deref(), Some(field));
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_of_large_results_is_short_and_goes_on() {
    let bed = Bed::new().await;
    let id = bed.submit_work().await;
    let lease = bed.lease_one().await;
    let large = format!("\"{}\"", "x".repeat(900_000));
    for n in 0..7 {
        let key = format!("step-{n}");
        bed.engine.begin_step(&lease.lease, StepRequest { key: key.clone(), namespace: None }).await.unwrap();
        let result = StepResultRequest { output: json(&large), namespace: None };
        bed.engine.record_step(&lease.lease, &key, result).await.unwrap();
    }
    let first = bed.engine.steps("default", &id, Some(1_000), None).await.unwrap();
    assert!((2..7).contains(&first.steps.len()), "{}", first.steps.len());
    let rest = bed.engine.steps("default", &id, Some(1_000), first.next_cursor.as_deref()).await.unwrap();
    assert_eq!((first.steps.len() + rest.steps.len(), rest.next_cursor), (7, None));
}
