//! Client and worker over a real engine on the memory store.

// Tests may unwrap; the lint only knows test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stint::api::{
    Backoff, BackoffKind, CancelRequest, ExecutionState, LaneSettings, Payload, ReplayRequest, Retry,
};
use stint::{Client, Context, Error, Failure, Submission, Worker, WorkerBuilder};
use stint_engine::{Engine, EngineConfig};
use stint_store::memory::MemoryStore;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(60);

struct Stint {
    engine: Engine,
    client: Client,
}

struct Working {
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), Error>>,
}

impl Stint {
    async fn open() -> Self {
        let engine = Engine::open(Arc::new(MemoryStore::default()), EngineConfig::default()).await.unwrap();
        let client = Client::in_process(engine.clone());
        Self { engine, client }
    }

    fn work(&self, with: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> Working {
        let worker = with(Worker::builder(&self.client)).build().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = tokio::spawn(worker.run(async move {
            let _ = stopped.await;
        }));
        Working { stop, run }
    }

    async fn submit(&self, submission: Submission) -> String {
        self.client.submit(submission).await.unwrap().id
    }

    async fn end(self, working: Working) {
        drop(working.stop);
        working.run.await.unwrap().unwrap();
        self.engine.drain().await;
    }
}

fn quick_retry(attempts: u32) -> Retry {
    let backoff = Backoff { kind: BackoffKind::Fixed, delay_ms: 1, factor: None, max_ms: None, jitter: None };
    Retry { max_attempts: Some(attempts), backoff: Some(backoff), non_retryable: Vec::new() }
}

#[tokio::test]
async fn work_is_done_once_and_its_result_is_there() {
    let stint = Stint::open().await;
    let working = stint.work(|worker| {
        worker.handler("double", async |_: Context, number: u64| Ok::<_, Failure>(number * 2))
    });
    let submissions = (0..100_u64).map(|number| Submission::new("double").input(&number));
    let submitted = stint.client.submit_batch(submissions).await.unwrap();
    for (number, submitted) in submitted.into_iter().enumerate() {
        let id = submitted.unwrap().id;
        let outcome = stint.client.result::<usize>(id.as_str()).wait(PATIENCE).await.unwrap();
        assert_eq!(outcome.into_output().unwrap(), number * 2);
        assert_eq!(stint.client.execution(&id).await.unwrap().attempts.len(), 1);
    }
    stint.end(working).await;
}

#[tokio::test]
async fn all_bytes_survive_the_way_in_and_out() {
    let stint = Stint::open().await;
    let working = stint.work(|worker| worker.raw_handler("echo", async |_, payload| Ok(payload)));
    let all: Vec<u8> = (0..=255).collect();
    let id = stint.submit(Submission::new("echo").input_bytes(all.clone(), "application/x-all")).await;
    let outcome = stint.client.result::<()>(id).wait_raw(PATIENCE).await.unwrap();
    assert_eq!(outcome.output, Some(Payload::bytes(all, "application/x-all")));
    stint.end(working).await;
}

#[tokio::test]
async fn a_failed_attempt_is_retried_and_its_steps_are_not() {
    let stint = Stint::open().await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let working = stint.work(|worker| {
        worker.handler("flaky", move |ctx: Context, (): ()| {
            let runs = Arc::clone(&counted);
            async move {
                let number = ctx.step("once", || async { Ok(runs.fetch_add(1, Ordering::Relaxed)) }).await?;
                if ctx.attempt() < 3 {
                    return Err(Failure::new("flaky", format!("attempt {}", ctx.attempt())));
                }
                Ok(number)
            }
        })
    });
    let id = stint.submit(Submission::new("flaky").retry(quick_retry(3))).await;
    let outcome = stint.client.result::<u32>(id.as_str()).wait(PATIENCE).await.unwrap();
    assert_eq!(outcome.into_output().unwrap(), 0);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    let attempts = stint.client.execution(&id).await.unwrap().attempts;
    let errors: Vec<_> = attempts.iter().map(|a| a.error.as_ref().map(|e| e.message.as_str())).collect();
    assert_eq!(errors, [Some("attempt 1"), Some("attempt 2"), None]);
    stint.end(working).await;
}

#[tokio::test]
async fn a_failure_that_says_so_is_final() {
    let stint = Stint::open().await;
    let working = stint.work(|worker| {
        worker.handler("hopeless", async |_: Context, (): ()| {
            Err::<(), _>(Failure::new("hopeless", "never").no_retry().details([1, 2]))
        })
    });
    let id = stint.submit(Submission::new("hopeless").retry(quick_retry(10))).await;
    let outcome = stint.client.result::<()>(id.as_str()).wait(PATIENCE).await.unwrap();
    assert_eq!(outcome.failure.as_ref().unwrap().details.as_ref().unwrap().get(), "[1,2]");
    match outcome.into_output() {
        Err(Error::Ended { state: ExecutionState::Failed, failure: Some(failure) }) => {
            assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("hopeless", "never"));
        }
        other => panic!("{other:?}"),
    }
    // An input of another type will not fit better the next time either.
    let id = stint.submit(Submission::new("hopeless").input("text").retry(quick_retry(10))).await;
    let outcome = stint.client.result::<()>(id.as_str()).wait(PATIENCE).await.unwrap();
    assert_eq!(outcome.failure.unwrap().kind, "invalid_input");
    assert_eq!(stint.client.execution(&id).await.unwrap().attempts.len(), 1);
    stint.end(working).await;
}

#[tokio::test]
async fn a_cancel_reaches_running_code() {
    let stint = Stint::open().await;
    let (running, reason) = (Arc::new(Notify::new()), Arc::new(std::sync::Mutex::new(String::new())));
    let (is_running, told) = (Arc::clone(&running), Arc::clone(&reason));
    let working = stint.work(|worker| {
        worker.handler("long", move |ctx: Context, (): ()| {
            let (running, reason) = (Arc::clone(&is_running), Arc::clone(&told));
            async move {
                running.notify_one();
                let stopping = ctx.cancelled().await;
                assert!(ctx.is_cancelled());
                *reason.lock().unwrap() = stopping.reason;
                Err::<(), _>(Failure::new("stopped", "as asked"))
            }
        })
    });
    let id = stint.submit(Submission::new("long")).await;
    running.notified().await;
    let request = CancelRequest { reason: Some("not needed".to_owned()), ..CancelRequest::default() };
    stint.client.cancel(&id, request.clone()).await.unwrap();
    let outcome = stint.client.result::<()>(id.as_str()).wait(PATIENCE).await.unwrap();
    assert_eq!(outcome.state, ExecutionState::Cancelled);
    assert!(!reason.lock().unwrap().is_empty());
    // Cancelling what has ended says so.
    let code = stint.client.cancel(&id, request).await.map_or_else(|error| error.code(), |_| "ok");
    assert!(["ok", "execution_finished"].contains(&code), "{code}");
    stint.end(working).await;
}

#[tokio::test]
async fn a_panic_is_a_failure_and_the_worker_lives_on() {
    let stint = Stint::open().await;
    let working = stint.work(|worker| {
        worker.handler("fragile", async |_: Context, is_bad: bool| {
            assert!(!is_bad, "too fragile");
            Ok::<_, Failure>(())
        })
    });
    let id = stint.submit(Submission::new("fragile").input(&true).retry(quick_retry(1))).await;
    let outcome = stint.client.result::<()>(id).wait(PATIENCE).await.unwrap();
    let failure = outcome.failure.unwrap();
    assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("panic", "too fragile"));
    let id = stint.submit(Submission::new("fragile").input(&false)).await;
    stint.client.result::<()>(id).wait(PATIENCE).await.unwrap().into_output().unwrap();
    stint.end(working).await;
}

#[tokio::test]
async fn the_same_key_is_the_same_execution() {
    let stint = Stint::open().await;
    let submission = || Submission::new("keyed").input(&1).idempotency_key("one");
    let first = stint.client.submit(submission()).await.unwrap();
    let second = stint.client.submit(submission()).await.unwrap();
    assert_eq!((&first.id, first.existed, second.existed), (&second.id, false, true));
    let other = stint.client.submit(submission().input(&2)).await.unwrap_err();
    assert_eq!(other.code(), "idempotency_conflict");
    stint.engine.drain().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_with_the_field() {
    let stint = Stint::open().await;
    match stint.client.submit(Submission::new("kind").priority(1_000)).await {
        Err(Error::Refused(problem)) => assert_eq!(problem.field.as_deref(), Some("priority")),
        other => panic!("{other:?}"),
    }
    assert_eq!(stint.client.execution("ex_nonsense").await.unwrap_err().code(), "malformed_id");
    struct Unwritable;
    impl serde::Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("on purpose"))
        }
    }
    let error = stint.client.submit(Submission::new("kind").input(&Unwritable)).await.unwrap_err();
    assert_eq!(error.code(), "payload_mismatch");
    stint.engine.drain().await;
}

#[tokio::test]
async fn executions_and_lanes_are_acted_on() {
    let stint = Stint::open().await;
    let lane = stint.client.lane("slow");
    lane.set(LaneSettings { max_length: Some(2), ..LaneSettings::default() }).await.unwrap();
    let changed = lane.pause().await.unwrap();
    assert!(changed.lane.paused && changed.missing_partitions.is_empty());
    let id = stint.submit(Submission::new("act").lane("slow")).await;
    let why = stint.client.why(&id).await.unwrap();
    assert_eq!((why.state, why.waiting_for.is_empty()), (ExecutionState::Blocked, false));
    stint.client.set_priority(&id, 7).await.unwrap();
    assert_eq!(stint.client.execution(&id).await.unwrap().priority, 7);
    stint.client.pause(&id).await.unwrap();
    lane.resume().await.unwrap();
    assert!(!lane.get().await.unwrap().paused);
    assert_eq!(stint.client.execution(&id).await.unwrap().state, ExecutionState::Blocked);
    stint.client.resume(&id).await.unwrap();
    let working = stint
        .work(|worker| worker.lanes(["slow"]).handler("act", async |ctx: Context, (): ()| Ok(ctx.attempt())));
    stint.client.result::<u32>(id.as_str()).wait(PATIENCE).await.unwrap().into_output().unwrap();
    stint.client.replay(&id, ReplayRequest::default()).await.unwrap();
    let outcome = stint.client.result::<u32>(id.as_str()).wait(PATIENCE).await.unwrap();
    assert_eq!(outcome.state, ExecutionState::Completed);
    assert!(!stint.client.workers().await.unwrap().is_empty());
    assert_eq!(stint.client.ready().await.unwrap().status, "ready");
    stint.end(working).await;
}

#[tokio::test]
async fn capabilities_decide_who_runs_it() {
    let stint = Stint::open().await;
    let plain = stint.work(|worker| {
        worker.name("plain").handler("train", async |_: Context, (): ()| Ok::<_, Failure>("plain"))
    });
    let id = stint.submit(Submission::new("train").requires("gpu")).await;
    let gpu = stint.work(|worker| {
        worker
            .name("gpu")
            .capabilities(["gpu"])
            .handler("train", async |_: Context, (): ()| Ok::<_, Failure>("gpu"))
    });
    let outcome = stint.client.result::<String>(id).wait(PATIENCE).await.unwrap();
    assert_eq!(outcome.into_output().unwrap(), "gpu");
    drop(plain.stop);
    plain.run.await.unwrap().unwrap();
    stint.end(gpu).await;
}

#[tokio::test]
async fn a_dead_workers_work_goes_to_another() {
    let stint = Stint::open().await;
    let running = Arc::new(Notify::new());
    let is_running = Arc::clone(&running);
    let first = stint.work(|worker| {
        worker.handler("hang", move |_: Context, (): ()| {
            is_running.notify_one();
            std::future::pending::<Result<u32, Failure>>()
        })
    });
    let id = stint.submit(Submission::new("hang").lease_ttl(Duration::from_secs(1))).await;
    running.notified().await;
    // As dead as a task can be: it says nothing any more.
    first.run.abort();
    let second = stint
        .work(|worker| worker.handler("hang", async |ctx: Context, (): ()| Ok::<_, Failure>(ctx.attempt())));
    let outcome = stint.client.result::<u32>(id.as_str()).wait(PATIENCE).await.unwrap();
    assert_eq!(outcome.into_output().unwrap(), 2);
    assert_eq!(stint.client.execution(&id).await.unwrap().crashes, 1);
    stint.end(second).await;
}

#[tokio::test]
async fn leases_can_be_taken_without_a_worker() {
    let stint = Stint::open().await;
    let id = stint.submit(Submission::new("plain")).await;
    let request: stint::api::LeaseRequest = serde_json::from_value(serde_json::json!({
        "worker": {"name": "by-hand"}, "lanes": ["default"], "wait_ms": 1_000,
    }))
    .unwrap();
    let lease = stint.client.lease(request).await.unwrap().leases.remove(0);
    assert_eq!(lease.execution.id, id);
    let lease = lease.lease.as_str();
    assert!(stint.client.heartbeat(lease, Default::default()).await.unwrap().ttl_ms > 0);
    stint.client.begin_step(lease, "one").await.unwrap();
    stint.client.record_step(lease, "one", Payload::json(&1).unwrap()).await.unwrap();
    stint.client.complete(lease, Payload::json(&"done").unwrap()).await.unwrap();
    // The same end again is the same answer, another one is refused.
    stint.client.complete(lease, Payload::json(&"done").unwrap()).await.unwrap();
    let other = stint.client.complete(lease, Payload::json(&"other").unwrap()).await.unwrap_err();
    assert_eq!(other.code(), "already_completed");
    stint.engine.drain().await;
}

#[tokio::test(start_paused = true)]
async fn progress_and_lines_reach_who_looks_while_the_handler_runs() {
    let stint = Stint::open().await;
    let go_on = Arc::new(Notify::new());
    let goes_on = Arc::clone(&go_on);
    let working = stint.work(|worker| {
        worker.handler("long", move |ctx: Context, (): ()| {
            let go_on = Arc::clone(&goes_on);
            async move {
                ctx.progress(10, "opening");
                ctx.progress(40, "reading");
                ctx.log("page 4 of 10");
                go_on.notified().await;
                ctx.log("page 10 of 10");
                Ok::<_, Failure>(())
            }
        })
    });
    let id = stint.submit(Submission::new("long")).await;
    let lines = async || {
        let lines = stint.client.logs(&id, Some(1)).all().await.unwrap();
        lines.into_iter().map(|line| line.line).collect::<Vec<_>>()
    };
    let progress = loop {
        match stint.client.execution(&id).await.unwrap().progress {
            Some(progress) => break progress,
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    assert_eq!((progress.percent, progress.message.as_deref()), (Some(40), Some("reading")));
    while lines().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(lines().await, ["page 4 of 10"]);
    go_on.notify_one();
    stint.client.result::<()>(id.as_str()).wait(PATIENCE).await.unwrap().into_output().unwrap();
    assert_eq!(lines().await, ["page 4 of 10", "page 10 of 10"], "they are there before the result is");
    stint.end(working).await;
}
