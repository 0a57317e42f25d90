//! One call for all a worker says and hears.

use std::time::Duration;

use stint_api::{Answer, Code, ExchangeLease, ExchangeReply, ExchangeResult, ExecutionState, SubmitRequest};
use tokio::time::Instant;

use crate::bed::{Bed, Worker, json, pass, work};

fn complete(lease: &str) -> ExchangeResult {
    serde_json::from_value(serde_json::json!({ "lease": lease, "complete": { "output": 1 } })).unwrap()
}

fn listed(lease: &str) -> ExchangeLease {
    ExchangeLease { lease: lease.into(), progress: None }
}

fn texts(reply: &ExchangeReply) -> Vec<&str> {
    reply.leases.iter().map(|lease| lease.lease.as_str()).collect()
}

fn park(
    worker: &mut Worker,
    say: impl FnOnce(&mut stint_api::ExchangeRequest),
) -> tokio::task::JoinHandle<ExchangeReply> {
    let request = worker.next(say);
    let engine = worker.engine.clone();
    tokio::spawn(async move { engine.exchange(request).await.unwrap() })
}

#[tokio::test(start_paused = true)]
async fn a_result_goes_in_and_the_next_lease_comes_out() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    let ids = [bed.submit_work().await, bed.submit_work().await];
    let first = worker.exchange(|_| ()).await.unwrap();
    let lease = first.leases[0].lease.clone();
    let second = worker.exchange(|request| request.results.push(complete(&lease))).await.unwrap();
    let [answer] = &second.answers[..] else { panic!("{second:?}") };
    let Answer::Done(end) = &answer.answer else { panic!("{answer:?}") };
    assert_eq!((answer.lease.as_str(), end.state), (lease.as_str(), ExecutionState::Completed));
    let mut got = [first.leases[0].execution.id.clone(), second.leases[0].execution.id.clone()];
    got.sort();
    let mut wanted = ids;
    wanted.sort();
    assert_eq!(got, wanted);
}

#[tokio::test(start_paused = true)]
async fn work_that_arrives_reaches_a_parked_exchange_at_once() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    let exchange = park(&mut worker, |request| request.wait_ms = 30_000);
    pass(5_000).await;
    let began = Instant::now();
    bed.submit_work().await;
    assert_eq!(exchange.await.unwrap().leases.len(), 1);
    assert!(began.elapsed() < Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn an_exchange_with_nothing_to_say_ends_with_its_time() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    let began = Instant::now();
    let reply = worker.exchange(|request| request.wait_ms = 2_000).await.unwrap();
    assert!(reply.leases.is_empty() && reply.answers.is_empty());
    assert!((2_000..2_020).contains(&began.elapsed().as_millis()));
}

#[tokio::test(start_paused = true)]
async fn the_same_exchange_again_has_the_same_reply_and_no_more_leases() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    bed.submit_work().await;
    bed.submit_work().await;
    let request = worker.next(|_| ());
    let first = bed.engine.exchange(request.clone()).await.unwrap();
    let again = bed.engine.exchange(request).await.unwrap();
    assert_eq!(texts(&first), texts(&again));
    assert_eq!(bed.lease(10).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn leases_of_a_reply_that_was_not_read_are_sent_again() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    bed.submit_work().await;
    let first = worker.exchange(|_| ()).await.unwrap();
    let second = worker.exchange(|request| request.seen = 0).await.unwrap();
    assert_eq!(texts(&first), texts(&second));
    assert_eq!(second.leases[0].execution.input, json("{}"));
    let third = worker.exchange(|request| request.leases.push(listed(texts(&second)[0]))).await.unwrap();
    assert!(third.leases.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_read_of_and_is_not_listed_is_given_back() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    let id = bed.submit_work().await;
    worker.exchange(|_| ()).await.unwrap();
    worker.exchange(|request| request.max = 0).await.unwrap();
    assert_eq!(bed.state(&id).await, ExecutionState::Ready);
    assert_eq!(bed.lease_one().await.attempt, 1);
}

#[tokio::test(start_paused = true)]
async fn listing_a_lease_keeps_it() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    let id = bed.submit(SubmitRequest { lease_ttl_ms: Some(5_000), ..work() }).await.id;
    let lease = worker.exchange(|_| ()).await.unwrap().leases[0].lease.clone();
    for _ in 0..20 {
        pass(1_000).await;
        let reply = worker.exchange(|request| request.leases.push(listed(&lease))).await.unwrap();
        assert!(reply.answers.is_empty(), "{reply:?}");
    }
    assert_eq!(bed.state(&id).await, ExecutionState::Running);
    pass(5_001).await;
    let reply = worker.exchange(|request| {
        request.max = 0;
        request.leases.push(listed(&lease));
    });
    let reply = reply.await.unwrap();
    // It is either said to be gone or refused, and never both kept.
    assert!(!reply.stops.is_empty() || !reply.answers.is_empty(), "{reply:?}");
}

#[tokio::test(start_paused = true)]
async fn progress_is_shown() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    let id = bed.submit_work().await;
    let lease = worker.exchange(|_| ()).await.unwrap().leases[0].lease.clone();
    let progress = stint_api::Progress { percent: Some(40), message: Some("nearly".into()) };
    let said = ExchangeLease { lease, progress: Some(progress.clone()) };
    worker.exchange(|request| request.leases.push(said)).await.unwrap();
    assert_eq!(bed.engine.execution("default", &id).await.unwrap().progress, Some(progress.clone()));
    // The next attempt begins anew; what the first had reached stays with it.
    bed.engine.revoke("default", &id).await.unwrap();
    bed.lease_one().await;
    let shown = bed.engine.execution("default", &id).await.unwrap();
    assert_eq!(shown.progress, None);
    let by_attempt: Vec<_> = shown.attempts.into_iter().map(|attempt| attempt.progress).collect();
    assert_eq!(by_attempt, [Some(progress), None]);
}

#[tokio::test(start_paused = true)]
async fn a_new_exchange_ends_the_parked_one_and_goes_on_with_its_claim() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    let first = park(&mut worker, |request| request.wait_ms = 60_000);
    pass(10).await;
    let second = park(&mut worker, |request| request.wait_ms = 60_000);
    let first = first.await.unwrap();
    assert_eq!((first.n, first.leases.len()), (1, 0));
    pass(10).await;
    bed.submit_work().await;
    let second = second.await.unwrap();
    assert_eq!((second.n, second.leases.len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_no_lease_behind() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    let exchange = park(&mut worker, |request| request.wait_ms = 60_000);
    pass(10).await;
    exchange.abort();
    assert!(exchange.await.unwrap_err().is_cancelled());
    bed.submit_work().await;
    assert_eq!(bed.lease(1).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_goes_on_after_the_server_was_started_again() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    for _ in 0..3 {
        bed.submit_work().await;
    }
    let first = worker.exchange(|request| request.max = 3).await.unwrap();
    let leases: Vec<String> = texts(&first).into_iter().map(str::to_owned).collect();
    pass(10).await;
    let bed = bed.restart().await;
    worker.engine = bed.engine.clone();
    // One it runs, one it has ended, and one it never heard of.
    let reply = worker
        .exchange(|request| {
            request.max = 0;
            request.leases.push(listed(&leases[0]));
            request.results.push(complete(&leases[1]));
        })
        .await
        .unwrap();
    assert_eq!(reply.answers.len(), 1, "{reply:?}");
    // That was perhaps written long ago; what follows the reply to it was not.
    assert!(bed.lease(10).await.is_empty());
    let listing = worker.exchange(|request| {
        request.max = 0;
        request.leases.push(listed(&leases[0]));
    });
    listing.await.unwrap();
    pass(10).await;
    let again = bed.lease(10).await;
    assert_eq!(again.len(), 1);
    assert_eq!(
        (again[0].execution.id.as_str(), again[0].attempt),
        (first.leases[2].execution.id.as_str(), 1)
    );
    let end = worker.exchange(|request| request.results.push(complete(&leases[0]))).await.unwrap();
    assert!(matches!(end.answers[0].answer, Answer::Done(_)), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_lease_is_answered_by_itself() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    bed.submit_work().await;
    let lease = worker.exchange(|_| ()).await.unwrap().leases[0].lease.clone();
    let results = vec![complete("nonsense"), complete(&lease), complete(&lease.replace("ls_", "ls_z"))];
    let reply = worker.exchange(|request| request.results = results).await.unwrap();
    let codes: Vec<_> = reply
        .answers
        .iter()
        .map(|answer| match &answer.answer {
            Answer::Refused(problem) => Some(problem.code),
            _ => None,
        })
        .collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(Code::MalformedId)).count(), 2, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| code.is_none()).count(), 1, "{codes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_result_sent_twice_is_answered_the_same_and_another_one_is_refused() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    bed.submit_work().await;
    let lease = worker.exchange(|_| ()).await.unwrap().leases[0].lease.clone();
    for _ in 0..2 {
        let reply = worker.exchange(|request| request.results.push(complete(&lease))).await.unwrap();
        assert!(matches!(reply.answers[0].answer, Answer::Done(_)), "{reply:?}");
    }
    let fail = serde_json::json!({ "lease": lease, "fail": { "error": { "type": "t", "message": "m" } } });
    let fail = serde_json::from_value(fail).unwrap();
    let reply = worker.exchange(|request| request.results.push(fail)).await.unwrap();
    let Answer::Refused(problem) = &reply.answers[0].answer else { panic!("{reply:?}") };
    assert_eq!(problem.code, Code::AlreadyCompleted);
}

#[tokio::test(start_paused = true)]
async fn many_workers_share_work_and_each_piece_runs_once() {
    let bed = Bed::new().await;
    const TASKS: usize = 300;
    let ends = (0..7).map(|number| {
        let mut worker = Worker::new(&bed, &format!("w{number}"));
        tokio::spawn(async move {
            let (mut done, mut held) = (0, Vec::new());
            loop {
                let results = held.drain(..).map(|lease: String| complete(&lease)).collect();
                let reply = worker
                    .exchange(|request| {
                        request.max = 5;
                        request.wait_ms = 3_000;
                        request.results = results;
                    })
                    .await
                    .unwrap();
                done += reply.answers.len();
                assert!(reply.answers.iter().all(|answer| matches!(answer.answer, Answer::Done(_))));
                if reply.leases.is_empty() && reply.answers.is_empty() {
                    return done;
                }
                held = reply.leases.into_iter().map(|lease| lease.lease).collect();
            }
        })
    });
    let ends: Vec<_> = ends.collect();
    let mut ids = Vec::new();
    for number in 0..TASKS {
        ids.push(bed.submit_work().await);
        if number % 10 == 0 {
            pass(100).await;
        }
    }
    let mut done = 0;
    for end in ends {
        done += end.await.unwrap();
    }
    assert_eq!(done, TASKS);
    for id in ids {
        let shown = bed.engine.execution("default", &id).await.unwrap();
        assert_eq!((shown.state, shown.attempts.len()), (ExecutionState::Completed, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn work_for_a_parked_worker_is_leased_in_the_batch_that_brings_it() {
    use stint_store::Store;
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    worker.exchange(|request| request.max = 0).await.unwrap();
    let exchange = park(&mut worker, |request| request.wait_ms = 60_000);
    pass(1_000).await;
    let before = bed.store.counters().commits;
    pass(30_000).await;
    assert_eq!(bed.store.counters().commits, before, "whoever waits costs the store nothing");
    bed.submit_work().await;
    assert_eq!(exchange.await.unwrap().leases.len(), 1);
    assert_eq!(bed.store.counters().commits, before + 1);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_written_before_a_lease_was_read_of_does_not_give_it_back_when_it_is_sent_to_another_process()
 {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    worker.exchange(|request| request.max = 0).await.unwrap();
    // Two are under way at once; the second was written when nothing was held.
    let first = park(&mut worker, |request| request.wait_ms = 60_000);
    pass(10).await;
    let second = worker.next(|request| request.max = 0);
    let id = bed.submit_work().await;
    let first = first.await.unwrap();
    let lease = texts(&first)[0].to_owned();
    pass(10).await;
    let bed = bed.restart().await;
    worker.engine = bed.engine.clone();
    let reply = bed.engine.exchange(second).await.unwrap();
    worker.request.seen = reply.n;
    pass(10).await;
    assert_eq!(bed.state(&id).await, ExecutionState::Running);
    let end = worker.exchange(|request| request.results.push(complete(&lease))).await.unwrap();
    assert!(matches!(end.answers[0].answer, Answer::Done(_)), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_does_not_read_is_said_again_up_to_a_bound() {
    let bed = Bed::new().await;
    let mut worker = Worker::new(&bed, "w1");
    bed.submit_work().await;
    let lease = worker.exchange(|_| ()).await.unwrap().leases[0].lease.clone();
    let step = |key: &str, output: Option<&str>| {
        let output = output.map(|text| serde_json::value::RawValue::from_string(text.into()).unwrap());
        let step = serde_json::json!({ "lease": lease, "key": key });
        let mut step: stint_api::ExchangeStep = serde_json::from_value(step).unwrap();
        step.output = output.map(stint_api::Payload::Json);
        step
    };
    let result = format!("\"{}\"", "x".repeat(1_000_000));
    for n in 0..30 {
        let key = format!("s{n}");
        worker.exchange(|request| request.steps.push(step(&key, None))).await.unwrap();
        worker.exchange(|request| request.steps.push(step(&key, Some(&result)))).await.unwrap();
    }
    let seen = worker.request.seen;
    bed.submit_work().await;
    for n in 0..30 {
        let key = format!("s{n}");
        let reply = worker.exchange(|request| {
            (request.seen, request.max) = (seen, u32::from(n == 29));
            request.steps.push(step(&key, None));
        });
        let reply = reply.await.unwrap();
        assert_eq!(reply.answers.len(), usize::min(n + 1, 17), "{n}");
        assert_eq!(reply.answers.last().unwrap().key, Some(key));
        // Who reads nothing gets nothing new, either.
        assert!(reply.leases.is_empty());
    }
    let reply = worker.exchange(|request| request.leases.push(listed(&lease))).await.unwrap();
    assert_eq!(reply.leases.len(), 1);
}
