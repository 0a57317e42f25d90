//! What a worker does with its leases while it hears nothing: in virtual time, against a server that comes and goes.

// Tests may unwrap; the lint only knows test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use stint::api::{
    Answer, Code, EndReply, ExchangeAnswer, ExchangeReply, ExchangeRequest, ExecutionState,
    Instant as WallInstant, Lease, LeasedExecution, Outcome, Payload, Problem,
};
use stint::transport::{Reply, Request, SendError, Transport};
use stint::{Client, Failure, Randomness, Worker};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

const TTL: Duration = Duration::from_secs(30);

/// How the way to the server is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// There is a server.
    Open,
    /// Nobody listens.
    Down,
    /// There is a server, and its store is away.
    StoreAway,
    /// Nothing is known: packets are dropped.
    Dark,
    /// The connection is dead, and nobody says so.
    Hangs,
}

/// A server that gives one lease, and takes whatever it is told.
#[derive(Debug)]
struct Server {
    way: watch::Sender<Way>,
    speaks_for_all: bool,
    ends: mpsc::UnboundedSender<(Instant, &'static str)>,
}

impl Server {
    async fn answer(&self, request: &Request) -> Result<Reply, SendError> {
        let Request::Exchange(request) = request else { panic!("a worker only exchanges") };
        let mut way = self.way.subscribe();
        let now = *way.borrow_and_update();
        match now {
            Way::Open => {}
            Way::Down => return Err(SendError::Down("refused".to_owned())),
            Way::StoreAway => return Err(Problem::new(Code::StoreUnavailable, "away").into()),
            Way::Dark => {
                tokio::time::sleep(Duration::from_secs(2)).await;
                return Err(SendError::Unreachable("timed out".to_owned()));
            }
            Way::Hangs => std::future::pending::<()>().await,
        }
        let leases = if request.n == 1 { vec![lease()] } else { Vec::new() };
        if request.results.is_empty() && leases.is_empty() {
            // Parked, until the way changes.
            let parked = tokio::time::timeout(Duration::from_millis(request.wait_ms), way.changed());
            if parked.await.is_ok() {
                if *way.borrow() == Way::Hangs {
                    std::future::pending::<()>().await;
                }
                return Err(SendError::Lost("reset".to_owned()));
            }
        }
        for result in &request.results {
            let end = match &result.outcome {
                Outcome::Complete(_) => "complete",
                Outcome::Fail(_) => "fail",
                Outcome::Suspended(_) => "suspended",
                Outcome::Release(_) => "release",
            };
            self.ends.send((Instant::now(), end)).unwrap();
        }
        Ok(Reply::Exchange(Box::new(reply(request, leases))))
    }
}

impl Transport for Server {
    fn send<'a>(
        &'a self,
        request: &'a Request,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Reply, SendError>> {
        Box::pin(self.answer(request))
    }

    fn asks_everybody(&self) -> bool {
        self.speaks_for_all
    }
}

fn reply(request: &ExchangeRequest, leases: Vec<Lease>) -> ExchangeReply {
    let done = |result: &stint::api::ExchangeResult| ExchangeAnswer {
        lease: result.lease.clone(),
        key: None,
        logs: false,
        charge_id: None,
        hold: None,
        answer: Answer::Done(EndReply { state: ExecutionState::Completed, run_at: None }),
    };
    let answers = request.results.iter().map(done).collect();
    ExchangeReply { n: request.n, leases, answers, ..ExchangeReply::default() }
}

fn lease() -> Lease {
    Lease {
        lease: "ls".to_owned(),
        ttl_ms: TTL.as_millis() as u64,
        execution: LeasedExecution {
            id: "ex".to_owned(),
            kind: "work".to_owned(),
            lane: "default".to_owned(),
            namespace: "default".to_owned(),
            input: Payload::null(),
            priority: 0,
            tags: Default::default(),
            submitted_at: WallInstant::from_millis(0),
            deadline: None,
            attempt_timeout_ms: None,
            traceparent: None,
        },
        attempt: 1,
        steps: Vec::new(),
        held: Vec::new(),
    }
}

/// One handler that takes so long, and a server whose way changes as the script says. When and how it ended.
async fn run(takes: Duration, speaks_for_all: bool, script: &[(Duration, Way)]) -> (Duration, &'static str) {
    let (ends, mut ended) = mpsc::unbounded_channel();
    let server = Arc::new(Server { way: watch::Sender::new(Way::Open), speaks_for_all, ends });
    let transport: Arc<dyn Transport> = server.clone();
    let client = Client::builder().transport(transport).randomness(Randomness::from_seed(7)).build().unwrap();
    let worker = Worker::builder(&client)
        .handler("work", move |_, (): ()| async move {
            tokio::time::sleep(takes).await;
            Ok::<_, Failure>(())
        })
        .build()
        .unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(worker.run(async {
        let _ = stopped.await;
    }));
    let begun = Instant::now();
    for (at, way) in script {
        tokio::time::sleep_until(begun + *at).await;
        server.way.send_replace(*way);
    }
    let (at, end) = ended.recv().await.unwrap();
    drop(stop);
    running.await.unwrap().unwrap();
    (at - begun, end)
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_handler_outlives_any_outage_of_the_servers() {
    for outage in [Way::Down, Way::StoreAway] {
        let script = [(s(7), outage), (s(1_000), Way::Open)];
        let (at, end) = run(s(600), true, &script).await;
        assert_eq!(end, "complete", "{outage:?}");
        // The result waits for the server, and is told as soon as it is back.
        assert!(at >= s(1_000) && at < s(1_001), "{outage:?}: {at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_does_not_outlive_a_silence_that_may_be_the_network() {
    let script = [(s(7), Way::Dark), (s(1_000), Way::Open)];
    let (at, end) = run(s(600), true, &script).await;
    // Its lease was given back, in case it still lives: another attempt may start at once.
    assert_eq!(end, "release");
    assert!(at >= s(1_000) && at < s(1_005), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_begins_after_the_silence_is_no_excuse() {
    // From 7 s to 47 s a server may have been there and given the work to another.
    let script = [(s(7), Way::Dark), (s(47), Way::Down), (s(100), Way::Open)];
    let (_, end) = run(s(90), true, &script).await;
    assert_eq!(end, "release");
    // A short silence before and after does no harm.
    let script = [(s(7), Way::Dark), (s(15), Way::Down), (s(100), Way::Dark), (s(108), Way::Open)];
    let (_, end) = run(s(105), true, &script).await;
    assert_eq!(end, "complete");
}

#[tokio::test(start_paused = true)]
async fn one_server_of_several_proves_nothing() {
    let script = [(s(7), Way::Down), (s(100), Way::Open)];
    assert_eq!(run(s(60), false, &script).await.1, "release");
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_is_noticed_before_the_lease_ends() {
    // The exchange that is parked at 7 s is never answered; what is sent anew is.
    let script = [(s(7), Way::Hangs), (s(9), Way::Open)];
    let (at, end) = run(s(120), true, &script).await;
    assert_eq!((end, at.as_secs()), ("complete", 120));
}
