//! The worker's exchange loop against a scripted server, in virtual time.

// Tests may unwrap; the lint only knows test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use stint::api::{
    Answer, Code, EndReply, ExchangeAnswer, ExchangeReply, ExchangeRequest, ExchangeStop, ExecutionState,
    Instant as WallInstant, Lease, LeasedExecution, Outcome, Payload, Problem, StepEntry, StepReply,
};
use stint::transport::{Reply, Request, SendError, Transport};
use stint::{Client, Failure, Randomness, Worker};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// What the server does with one exchange.
enum Turn {
    /// Answers at once with these leases and stops, and with the fitting answer to everything said.
    Answer(Vec<Lease>, Vec<ExchangeStop>),
    /// Says no.
    Refuse(Problem),
    /// Does what was asked, but the reply is lost.
    LoseReply,
}

#[derive(Clone, Debug)]
struct Heard {
    at: Duration,
    request: ExchangeRequest,
}

/// A server that follows a script, then parks every exchange without content until the next one.
struct Script {
    start: Instant,
    turns: Mutex<VecDeque<Turn>>,
    heard: Mutex<Vec<Heard>>,
    step_replies: Mutex<VecDeque<StepReply>>,
    arrived: Notify,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    fn new(turns: impl IntoIterator<Item = Turn>) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            turns: Mutex::new(turns.into_iter().collect()),
            heard: Mutex::default(),
            step_replies: Mutex::default(),
            arrived: Notify::new(),
        })
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    async fn until(&self, what: impl Fn(&[Heard]) -> bool) -> Vec<Heard> {
        loop {
            let arrived = self.arrived.notified();
            let heard = self.heard();
            if what(&heard) {
                return heard;
            }
            tokio::time::timeout(Duration::from_secs(600), arrived).await.expect("never said");
        }
    }

    async fn answer(&self, request: &Request) -> Result<Reply, SendError> {
        let Request::Exchange(request) = request else { panic!("a worker only exchanges") };
        let heard = Heard { at: self.start.elapsed(), request: (**request).clone() };
        self.heard.lock().unwrap().push(heard);
        self.arrived.notify_waiters();
        let next_turn = || self.turns.lock().unwrap().pop_front();
        let has_content = !request.results.is_empty() || !request.steps.is_empty();
        let turn = match next_turn() {
            Some(turn) => turn,
            None if has_content => Turn::Answer(Vec::new(), Vec::new()),
            None => {
                let parked = async {
                    loop {
                        let arrived = self.arrived.notified();
                        if self.heard().last().is_some_and(|last| last.request.n > request.n) {
                            return;
                        }
                        arrived.await;
                    }
                };
                let _ = tokio::time::timeout(Duration::from_millis(request.wait_ms), parked).await;
                Turn::Answer(Vec::new(), Vec::new())
            }
        };
        match turn {
            Turn::Answer(leases, stops) => {
                let answers = self.answers(request);
                let reply =
                    ExchangeReply { n: request.n, leases, answers, stops, ..ExchangeReply::default() };
                Ok(Reply::Exchange(Box::new(reply)))
            }
            Turn::Refuse(problem) => Err(SendError::Refused(problem)),
            Turn::LoseReply => Err(SendError::Lost("scripted".to_owned())),
        }
    }

    fn answers(&self, request: &ExchangeRequest) -> Vec<ExchangeAnswer> {
        let done = || Answer::Done(EndReply { state: ExecutionState::Completed, run_at: None });
        let results = request.results.iter().map(|result| ExchangeAnswer {
            lease: result.lease.clone(),
            key: None,
            logs: false,
            charge_id: None,
            hold: None,
            answer: done(),
        });
        let steps = request.steps.iter().map(|step| ExchangeAnswer {
            lease: step.lease.clone(),
            key: Some(step.key.clone()),
            logs: false,
            charge_id: None,
            hold: None,
            answer: match &step.output {
                Some(_) => done(),
                None => Answer::Step(self.step_replies.lock().unwrap().pop_front().unwrap_or(StepReply::Run)),
            },
        });
        results.chain(steps).collect()
    }
}

impl Transport for Script {
    fn send<'a>(
        &'a self,
        request: &'a Request,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Reply, SendError>> {
        Box::pin(self.answer(request))
    }
}

fn lease(name: &str, input: &str) -> Lease {
    Lease {
        lease: name.to_owned(),
        ttl_ms: 30_000,
        execution: LeasedExecution {
            id: format!("ex_{name}"),
            kind: "work".to_owned(),
            lane: "default".to_owned(),
            namespace: "default".to_owned(),
            input: Payload::json(input).unwrap(),
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

fn leases(names: &[&str]) -> Turn {
    Turn::Answer(names.iter().map(|name| lease(name, name)).collect(), Vec::new())
}

fn client(script: &Arc<Script>) -> Client {
    let transport: Arc<dyn Transport> = script.clone();
    Client::builder().transport(transport).randomness(Randomness::from_seed(7)).build().unwrap()
}

/// Starts a worker; the returned sender stops it, the handle is its end.
fn start(worker: Worker) -> (oneshot::Sender<()>, tokio::task::JoinHandle<Result<(), stint::Error>>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let run = tokio::spawn(worker.run(async move {
        let _ = stopped.await;
    }));
    (stop, run)
}

fn results(heard: &[Heard]) -> Vec<(String, &'static str)> {
    heard
        .iter()
        .flat_map(|heard| &heard.request.results)
        .map(|result| {
            let end = match &result.outcome {
                Outcome::Complete(_) => "complete",
                Outcome::Fail(_) => "fail",
                Outcome::Release(_) | Outcome::Suspended(_) => "release",
            };
            (result.lease.clone(), end)
        })
        .collect()
}

/// The first output that was reported.
fn output(heard: &[Heard]) -> Payload {
    let outcomes = heard.iter().flat_map(|h| &h.request.results).map(|result| &result.outcome);
    let complete = |outcome: &Outcome| match outcome {
        Outcome::Complete(complete) => Some(complete.output.clone()),
        _ => None,
    };
    outcomes.filter_map(complete).next().expect("no output")
}

fn ended(lease: &str, end: &'static str) -> impl Fn(&[Heard]) -> bool {
    move |heard| results(heard).contains(&(lease.to_owned(), end))
}

#[tokio::test(start_paused = true)]
async fn handlers_that_end_together_are_reported_together() {
    let script = Script::new([leases(&["a", "b", "c"])]);
    let worker = Worker::builder(&client(&script))
        .handler("work", async |_, input: String| Ok::<_, Failure>(input))
        .build()
        .unwrap();
    let (stop, run) = start(worker);
    let heard = script.until(ended("c", "complete")).await;
    let said = heard.iter().find(|h| !h.request.results.is_empty()).unwrap();
    assert_eq!(said.request.results.len(), 3);
    assert_eq!((said.request.n, said.request.seen), (2, 1));
    assert_eq!(said.request.max, 16);
    drop(stop);
    run.await.unwrap().unwrap();
    let last = script.heard().pop().unwrap().request;
    assert_eq!((last.max, last.leases.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_asked_for_again_with_the_same_number_and_body() {
    let script = Script::new([leases(&["a"]), Turn::LoseReply, Turn::LoseReply]);
    let worker = Worker::builder(&client(&script))
        .handler("work", async |_, input: String| Ok::<_, Failure>(input))
        .build()
        .unwrap();
    let (stop, run) = start(worker);
    let heard = script.until(|heard| heard.len() > 4).await;
    let bodies: Vec<String> =
        heard[1..4].iter().map(|h| serde_json::to_string(&h.request).unwrap()).collect();
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[0], bodies[2]);
    assert!(heard[2].at > heard[1].at && heard[3].at > heard[2].at, "without a pause");
    assert_eq!((heard[4].request.n, heard[4].request.seen), (3, 2));
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_result_ends_the_parked_exchange() {
    let script = Script::new([leases(&["a"])]);
    let worker = Worker::builder(&client(&script))
        .handler("work", async |_, input: String| {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok::<_, Failure>(input)
        })
        .build()
        .unwrap();
    let (stop, run) = start(worker);
    let heard = script.until(ended("a", "complete")).await;
    assert!(heard.last().unwrap().at < Duration::from_millis(3_010));
    // The parked one listed the lease.
    assert_eq!(heard[1].request.leases.len(), 1);
    assert_eq!(heard[1].request.max, 15);
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_long_handler_keeps_its_lease_without_help() {
    let script = Script::new([leases(&["a"])]);
    let worker = Worker::builder(&client(&script))
        .handler("work", async |_, input: String| {
            tokio::time::sleep(Duration::from_secs(200)).await;
            Ok::<_, Failure>(input)
        })
        .build()
        .unwrap();
    let (stop, run) = start(worker);
    let heard = script.until(ended("a", "complete")).await;
    let listed: Vec<Duration> = heard.iter().filter(|h| !h.request.leases.is_empty()).map(|h| h.at).collect();
    assert!(listed.windows(2).all(|pair| pair[1] - pair[0] <= Duration::from_secs(10)), "{listed:?}");
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_dropped_before_its_lease_can_have_ended() {
    let refuse = || Turn::Refuse(Problem::new(Code::StoreUnavailable, "scripted"));
    let script = Script::new(std::iter::once(leases(&["a"])).chain((0..60).map(|_| refuse())));
    let dropped_at = Arc::new(Mutex::new(None));
    struct Dropped(Arc<Mutex<Option<Instant>>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = Some(Instant::now());
        }
    }
    let begun = Instant::now();
    let guard = Arc::clone(&dropped_at);
    let worker = Worker::builder(&client(&script))
        .handler("work", move |_, _: String| {
            let guard = Dropped(Arc::clone(&guard));
            async move {
                let _guard = guard;
                std::future::pending::<Result<(), Failure>>().await
            }
        })
        .build()
        .unwrap();
    let (stop, run) = start(worker);
    // As soon as the server is back, the lease is given back.
    script.until(ended("a", "release")).await;
    let lived = dropped_at.lock().unwrap().expect("dropped") - begun;
    assert!(lived >= Duration::from_secs(25) && lived < Duration::from_secs(30), "{lived:?}");
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_gives_the_handler_its_grace() {
    let stop_of = |lease: &str| ExchangeStop {
        lease: lease.to_owned(),
        reason: "cancelled".to_owned(),
        grace_ms: 5_000,
        action: stint::api::StopAction::Cancel,
    };
    let script = Script::new([
        leases(&["polite", "deaf"]),
        Turn::Answer(Vec::new(), vec![stop_of("polite"), stop_of("deaf")]),
    ]);
    let worker = Worker::builder(&client(&script))
        .handler("work", async |ctx, input: String| {
            if input == "deaf" {
                std::future::pending::<()>().await;
            }
            let stopping = ctx.cancelled().await;
            assert_eq!(stopping.reason, "cancelled");
            tokio::time::sleep(Duration::from_secs(4)).await;
            Err::<(), _>(Failure::new("stopped", stopping.reason))
        })
        .slots(2)
        .build()
        .unwrap();
    let (stop, run) = start(worker);
    let heard = script.until(ended("polite", "fail")).await;
    assert!(heard.last().unwrap().at < Duration::from_secs(5));
    // Both slots are free again, and the deaf one's lease is no longer listed.
    let heard = script.until(|heard| heard.last().is_some_and(|h| h.request.max == 2)).await;
    assert!(heard.last().unwrap().at < Duration::from_secs(6));
    assert!(heard.last().unwrap().request.leases.is_empty());
    assert!(!results(&heard).iter().any(|(lease, _)| lease == "deaf"));
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn panics_and_unknown_kinds_are_failures() {
    let mut other = lease("b", "b");
    other.execution.kind = "other".to_owned();
    let script = Script::new([Turn::Answer(vec![lease("a", "a"), other], Vec::new())]);
    let worker = Worker::builder(&client(&script))
        .handler("work", async |_, input: String| match input.as_str() {
            "a" => panic!("on purpose"),
            _ => Ok::<_, Failure>(()),
        })
        .build()
        .unwrap();
    let (stop, run) = start(worker);
    let heard = script.until(ended("a", "fail")).await;
    let kinds: Vec<String> = heard
        .iter()
        .flat_map(|h| &h.request.results)
        .map(|result| match &result.outcome {
            Outcome::Fail(fail) => format!("{}: {}", fail.error.kind, fail.error.message),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(kinds.contains(&"panic: on purpose".to_owned()), "{kinds:?}");
    assert!(kinds.iter().any(|kind| kind.starts_with("no_handler")), "{kinds:?}");
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_step_and_the_next_ones_begin_share_an_exchange() {
    let mut first = lease("a", "a");
    first.steps.push(StepEntry {
        key: "zero".to_owned(),
        result: Some(Payload::json(&10).unwrap()),
        unknown: false,
    });
    let script = Script::new([Turn::Answer(vec![first], Vec::new())]);
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let worker = Worker::builder(&client(&script))
        .handler("work", move |ctx, _: String| {
            let runs = Arc::clone(&counted);
            async move {
                let mut sum = 0;
                for key in ["zero", "one", "two"] {
                    sum += ctx
                        .step(key, || async {
                            runs.fetch_add(1, Ordering::Relaxed);
                            Ok(1)
                        })
                        .await?;
                }
                assert_eq!(ctx.step("two", || async { Ok(99) }).await?, 1);
                Ok(sum)
            }
        })
        .build()
        .unwrap();
    let (stop, run) = start(worker);
    let heard = script.until(ended("a", "complete")).await;
    let said: Vec<Vec<(String, bool)>> = heard
        .iter()
        .map(|h| h.request.steps.iter().map(|step| (step.key.clone(), step.output.is_some())).collect())
        .filter(|steps: &Vec<_>| !steps.is_empty())
        .collect();
    let step = |key: &str, is_run| (key.to_owned(), is_run);
    assert_eq!(
        said,
        [vec![step("one", false)], vec![step("one", true), step("two", false)], vec![step("two", true)]]
    );
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    assert_eq!(output(&heard), Payload::json(&12).unwrap());
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unknown_step_is_reconciled_or_run_again() {
    let script = Script::new([leases(&["a"])]);
    *script.step_replies.lock().unwrap() = [StepReply::Unknown, StepReply::Unknown].into();
    let worker = Worker::builder(&client(&script))
        .handler("work", async |ctx, _: String| {
            let found = ctx.step_or_reconcile("pay", || async { Ok(1) }, || async { Ok(Some(2)) }).await?;
            let again = ctx.step("mail", || async { Ok(3) }).await?;
            Ok((found, again, ctx.step_key("pay")))
        })
        .build()
        .unwrap();
    let (stop, run) = start(worker);
    let heard = script.until(ended("a", "complete")).await;
    assert_eq!(output(&heard), Payload::json(&(2, 3, "ex_a/pay")).unwrap());
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_output_the_server_refuses_fails_only_its_own_attempt() {
    let refusal = Problem::new(Code::PayloadTooLarge, "scripted").at("results[1].complete.output");
    let script = Script::new([leases(&["a", "b", "c"]), Turn::Refuse(refusal)]);
    let worker = Worker::builder(&client(&script))
        .handler("work", async |_, input: String| Ok::<_, Failure>(input))
        .build()
        .unwrap();
    let (stop, run) = start(worker);
    let heard = script.until(|heard| results(heard).len() >= 6).await;
    let last = results(&heard[2..]);
    assert!(last.contains(&("a".to_owned(), "complete")) && last.contains(&("c".to_owned(), "complete")));
    assert!(last.contains(&("b".to_owned(), "fail")), "{last:?}");
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_blames_the_worker_ends_it() {
    let script = Script::new([Turn::Refuse(Problem::invalid("lanes[0]", "scripted"))]);
    let worker = Worker::builder(&client(&script))
        .handler("work", async |_, _: String| Ok::<_, Failure>(()))
        .build()
        .unwrap();
    let (_stop, run) = start(worker);
    assert_eq!(run.await.unwrap().unwrap_err().code(), "invalid_field");
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_handlers_finish_and_gives_the_rest_back() {
    let script = Script::new([leases(&["short", "long"])]);
    let worker = Worker::builder(&client(&script))
        .handler("work", async |_, input: String| {
            let time = if input == "short" { 2 } else { 3_600 };
            tokio::time::sleep(Duration::from_secs(time)).await;
            Ok::<_, Failure>(())
        })
        .drain_timeout(Duration::from_secs(10))
        .build()
        .unwrap();
    let (stop, run) = start(worker);
    script.until(|heard| heard.len() == 2).await;
    let asked = Instant::now();
    drop(stop);
    run.await.unwrap().unwrap();
    let took = asked.elapsed();
    assert!(took >= Duration::from_secs(10) && took < Duration::from_secs(11), "{took:?}");
    let heard = script.heard();
    assert_eq!(results(&heard), [("short".to_owned(), "complete"), ("long".to_owned(), "release")],);
    let after: Vec<u32> =
        heard.iter().filter(|h| h.at > Duration::from_millis(10)).map(|h| h.request.max).collect();
    assert!(after.iter().all(|max| *max == 0), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_a_server_still_ends() {
    let script = Script::new((0..1_000).map(|_| Turn::LoseReply));
    let worker = Worker::builder(&client(&script))
        .handler("work", async |_, _: String| Ok::<_, Failure>(()))
        .drain_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    let (stop, run) = start(worker);
    script.until(|heard| heard.len() == 5).await;
    let asked = Instant::now();
    drop(stop);
    run.await.unwrap().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn more_leases_than_slots_are_given_back() {
    let script = Script::new([leases(&["a", "b", "c"])]);
    let worker = Worker::builder(&client(&script))
        .handler("work", async |_, _: String| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, Failure>(())
        })
        .slots(2)
        .build()
        .unwrap();
    let (stop, run) = start(worker);
    let heard = script.until(ended("b", "complete")).await;
    assert!(results(&heard).contains(&("c".to_owned(), "release")));
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn progress_waits_for_company_but_not_for_long() {
    let script = Script::new([leases(&["a"])]);
    let worker = Worker::builder(&client(&script))
        .handler("work", async |ctx, _: String| {
            for percent in 0..100 {
                ctx.progress(percent, "going on");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok::<_, Failure>(())
        })
        .build()
        .unwrap();
    let (stop, run) = start(worker);
    let heard = script.until(ended("a", "complete")).await;
    let reports: Vec<u8> = heard
        .iter()
        .flat_map(|h| &h.request.leases)
        .filter_map(|lease| lease.progress.as_ref()?.percent)
        .collect();
    assert!((8..=12).contains(&reports.len()), "{reports:?}");
    drop(stop);
    run.await.unwrap().unwrap();
}
