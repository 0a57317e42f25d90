//! The test kit: what is due happens when it is due, in its order, and no time passes otherwise.

// Tests may unwrap; the lint only knows test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use stint::api::{AttemptOutcome, CancelRequest, ExecutionState, NamespaceSettings, Retry};
use stint::testing::{TestEngine, Working};
use stint::{Context, Failure, Submission, Worker};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3_600);
const MS: Duration = Duration::from_millis(1);

type Seen = Arc<Mutex<Vec<(Duration, String)>>>;

/// A worker that notes when it runs what, and fails what is called so.
fn noting(stint: &Arc<TestEngine>, begin: SystemTime) -> (Working, Seen) {
    let seen = Seen::default();
    let (notes, clock) = (Arc::clone(&seen), Arc::downgrade(stint));
    let worker = Worker::builder(stint.client())
        .handler("note", move |ctx: Context, name: String| {
            let at = clock.upgrade().unwrap().now().duration_since(begin).unwrap();
            notes.lock().unwrap().push((at, format!("{name} {}", ctx.attempt())));
            async move { if name == "bad" { Err(Failure::new("bad", "as asked")) } else { Ok(()) } }
        })
        .build()
        .unwrap();
    (stint.work(worker), seen)
}

#[tokio::test]
async fn what_is_due_on_the_way_happens_in_its_order_and_at_its_time() {
    let stint = Arc::new(TestEngine::start().await);
    let begin = stint.now();
    let (working, seen) = noting(&stint, begin);
    let retry = Retry::fixed(5, SECOND).without_jitter();
    for (name, delay) in [("late", 3 * DAY), ("soon", 5 * SECOND), ("bad", 2 * SECOND)] {
        let submission = Submission::new("note").input(name).delay(delay).retry(retry.clone());
        stint.client().submit(submission).await.unwrap();
    }
    stint.advance(3 * DAY).await;
    assert_eq!(stint.now(), begin + 3 * DAY);
    let expected = [
        (2, "bad 1"),
        (3, "bad 2"),
        (4, "bad 3"),
        (5, "bad 4"),
        (5, "soon 1"),
        (6, "bad 5"),
        (3 * 24 * 3_600, "late 1"),
    ];
    let mut seen: Vec<_> = seen.lock().unwrap().clone();
    // Two are due at the same millisecond; who is first there is nobody's promise.
    seen.sort();
    assert_eq!(seen, expected.map(|(at, name)| (Duration::from_secs(at), name.to_owned())));
    working.stop().await.unwrap();
}

#[tokio::test]
async fn a_millisecond_before_nothing_has_happened() {
    let stint = TestEngine::start().await;
    let client = stint.client();
    let id = client.submit(Submission::new("job").delay(DAY).deadline(2 * DAY)).await.unwrap().id;
    let state = async || client.execution(&id).await.unwrap().state;
    for (until, state_then) in [
        (DAY - MS, ExecutionState::Scheduled),
        (MS, ExecutionState::Ready),
        (DAY - MS, ExecutionState::Ready),
        (MS, ExecutionState::Expired),
    ] {
        stint.advance(until).await;
        assert_eq!(state().await, state_then);
    }
}

#[tokio::test]
async fn a_crashed_workers_lease_expires_to_the_millisecond() {
    let stint = TestEngine::start().await;
    let client = stint.client();
    let hangs = Worker::builder(client)
        .handler("job", async |_: Context, (): ()| std::future::pending::<Result<u32, Failure>>().await)
        .build()
        .unwrap();
    let first = stint.work(hangs);
    let id = client.submit(Submission::new("job").lease_ttl(10 * SECOND)).await.unwrap().id;
    stint.settle().await;
    first.crash();
    stint.advance(10 * SECOND - MS).await;
    assert_eq!(client.execution(&id).await.unwrap().state, ExecutionState::Running);
    stint.advance(MS).await;
    let execution = client.execution(&id).await.unwrap();
    assert_eq!((execution.state, execution.crashes), (ExecutionState::Ready, 1));
    assert_eq!(execution.attempts[0].outcome, Some(AttemptOutcome::Crashed));
}

#[tokio::test]
async fn a_long_handler_keeps_its_lease_for_a_day() {
    let stint = TestEngine::start().await;
    let worker = Worker::builder(stint.client())
        .handler("train", async |ctx: Context, (): ()| {
            tokio::time::sleep(DAY).await;
            Ok::<_, Failure>(ctx.attempt())
        })
        .build()
        .unwrap();
    let working = stint.work(worker);
    let id = stint.client().submit(Submission::new("train")).await.unwrap().id;
    stint.advance(DAY).await;
    let outcome = stint.client().result::<u32>(&id).wait(Duration::ZERO).await.unwrap();
    assert_eq!(outcome.into_output().unwrap(), 1);
    working.stop().await.unwrap();
}

#[tokio::test]
async fn waiting_passes_as_much_time_as_it_takes() {
    let stint = TestEngine::start().await;
    let begin = stint.now();
    let worker = Worker::builder(stint.client())
        .handler("job", async |_: Context, (): ()| Ok::<_, Failure>(()))
        .build()
        .unwrap();
    let working = stint.work(worker);
    let id = stint.client().submit(Submission::new("job").delay(2 * DAY)).await.unwrap().id;
    let outcome = stint.client().result::<()>(&id).wait(7 * DAY).await.unwrap();
    assert_eq!(outcome.state, ExecutionState::Completed);
    let took = stint.now().duration_since(begin).unwrap();
    assert!((2 * DAY..2 * DAY + SECOND).contains(&took), "{took:?}");
    working.stop().await.unwrap();
}

#[tokio::test]
async fn the_clock_is_held_for_the_world_outside() {
    let stint = TestEngine::start().await;
    let begin = stint.now();
    let hold = stint.hold_clock();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let echo = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = [0; 4];
        stream.read_exact(&mut heard).await.unwrap();
        stream.write_all(&heard).await.unwrap();
    });
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"ping").await.unwrap();
        let mut heard = [0; 4];
        stream.read_exact(&mut heard).await.unwrap();
        heard
    };
    // Without the hold the time-out would be over before the socket has answered.
    let heard = tokio::time::timeout(SECOND, talk).await.expect("the clock moved");
    assert_eq!(&heard, b"ping");
    echo.await.unwrap();
    assert_eq!(stint.now(), begin);
    // A held clock is still moved by hand, and held on.
    let second = stint.hold_clock();
    stint.advance(DAY).await;
    drop(hold);
    assert_eq!(stint.now(), begin + DAY);
    drop(second);
    tokio::time::sleep(SECOND).await;
    assert_eq!(stint.now(), begin + DAY + SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_stands_already_is_fine() {
    let stint = TestEngine::start().await;
    let begin = stint.now();
    stint.advance(DAY).await;
    assert_eq!(stint.now(), begin + DAY);
}

#[tokio::test]
async fn two_runs_are_the_same() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let stint = TestEngine::start().await;
        let id = stint.client().submit(Submission::new("job")).await.unwrap().id;
        let submitted = stint.client().execution(&id).await.unwrap().submitted_at;
        runs.push((id, submitted));
        stint.close().await;
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn what_has_ended_is_kept_as_long_as_its_namespace_says() {
    let stint = TestEngine::start().await;
    let client = stint.client();
    let settings = NamespaceSettings { retention_ms: Some(3_600_000), ..Default::default() };
    let reply = client.settings_of("default").set(settings).await.unwrap();
    assert_eq!((reply.namespace.retention_ms, reply.missing_partitions), (3_600_000, vec![]));
    let short = client.submit(Submission::new("job")).await.unwrap().id;
    let long = client.submit(Submission::new("job").retention(2 * DAY)).await.unwrap().id;
    for id in [&short, &long] {
        client.cancel(id, CancelRequest::default()).await.unwrap();
    }
    stint.advance(Duration::from_secs(3_500)).await;
    assert!(client.execution(&short).await.is_ok());
    stint.advance(DAY).await;
    assert_eq!(client.execution(&short).await.unwrap_err().code(), "not_found");
    assert!(client.execution(&long).await.is_ok());
    stint.close().await;
}
