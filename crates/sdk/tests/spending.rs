//! What a worker says of money, against a scripted server in virtual time.

// Tests may unwrap; the lint only knows test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use stint::api::{
    Answer, ChargeReply, Code, EndReply, ExchangeAnswer, ExchangeCharge, ExchangeReply, ExchangeRequest,
    ExchangeStop, ExecutionState, ExtendReply, Instant as WallInstant, Lease, LeasedExecution, Outcome,
    Payload, Problem, Shortfall, StepReply, StopAction,
};
use stint::transport::{Reply, Request, SendError, Transport};
use stint::{Amounts, Charge, Client, Context, Failure, Randomness, Worker};
use tokio::sync::{Notify, oneshot};

/// What happens to a charge that is said.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fate {
    Booked,
    Unheard,
    LostReply,
    Refused(Code),
}

/// A server with one lease to give, which stops it when it is told to.
#[derive(Default)]
struct Script {
    given: Mutex<bool>,
    stops: Mutex<Vec<ExchangeStop>>,
    /// Of the next exchanges that carry charges.
    fates: Mutex<VecDeque<Fate>>,
    /// Answers to asks for more, in order; granted when there are none left.
    extends: Mutex<VecDeque<ExtendReply>>,
    heard: Mutex<Vec<ExchangeRequest>>,
    changed: Notify,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    fn new(fates: impl IntoIterator<Item = Fate>) -> Arc<Self> {
        Arc::new(Self { fates: Mutex::new(fates.into_iter().collect()), ..Self::default() })
    }

    fn stop(&self, action: StopAction, grace_ms: u64) {
        let reason = "budget acme is exhausted".to_owned();
        self.stops.lock().unwrap().push(ExchangeStop { lease: "a".to_owned(), reason, grace_ms, action });
        self.changed.notify_waiters();
    }

    fn charges(&self) -> Vec<ExchangeCharge> {
        self.heard.lock().unwrap().iter().flat_map(|heard| heard.charges.clone()).collect()
    }

    fn ends(&self) -> Vec<&'static str> {
        let heard = self.heard.lock().unwrap();
        let ends = heard.iter().flat_map(|heard| &heard.results).map(|result| match &result.outcome {
            Outcome::Complete(_) => "complete",
            Outcome::Fail(fail) if fail.unfinished => "fail, broken off",
            Outcome::Fail(_) => "fail",
            Outcome::Release(release) if release.unfinished => "broken off",
            Outcome::Release(_) => "release",
            Outcome::Suspended(_) => "suspended",
        });
        ends.collect()
    }

    async fn until(&self, what: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            if what(self) {
                return;
            }
            tokio::time::timeout(Duration::from_secs(600), changed).await.expect("never said");
        }
    }

    async fn answer(&self, request: &ExchangeRequest) -> Result<Reply, SendError> {
        self.heard.lock().unwrap().push(request.clone());
        self.changed.notify_waiters();
        let has_content = !request.results.is_empty()
            || !request.steps.is_empty()
            || !request.charges.is_empty()
            || !request.holds.is_empty();
        let is_given = std::mem::replace(&mut *self.given.lock().unwrap(), true);
        if is_given && !has_content {
            let news = async {
                loop {
                    let changed = self.changed.notified();
                    let is_old = self.heard.lock().unwrap().last().is_some_and(|last| last.n > request.n);
                    if is_old || !self.stops.lock().unwrap().is_empty() {
                        return;
                    }
                    changed.await;
                }
            };
            let _ = tokio::time::timeout(Duration::from_millis(request.wait_ms), news).await;
        }
        let fate = match request.charges.is_empty() {
            true => Fate::Booked,
            false => self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Booked),
        };
        if fate == Fate::LostReply {
            return Err(SendError::Lost("scripted".to_owned()));
        }
        let stops = std::mem::take(&mut *self.stops.lock().unwrap());
        let leases = if is_given { Vec::new() } else { vec![lease()] };
        let answers = self.answers(request, fate);
        let reply = ExchangeReply { n: request.n, leases, answers, stops, ..ExchangeReply::default() };
        Ok(Reply::Exchange(Box::new(reply)))
    }

    fn answers(&self, request: &ExchangeRequest, fate: Fate) -> Vec<ExchangeAnswer> {
        let plain = |lease: &str, answer| ExchangeAnswer {
            lease: lease.to_owned(),
            key: None,
            logs: false,
            charge_id: None,
            hold: None,
            answer,
        };
        let done = || Answer::Done(EndReply { state: ExecutionState::Completed, run_at: None });
        let mut answers: Vec<ExchangeAnswer> =
            request.results.iter().map(|result| plain(&result.lease, done())).collect();
        for step in &request.steps {
            let answer = if step.output.is_some() { done() } else { Answer::Step(StepReply::Run) };
            answers.push(ExchangeAnswer { key: Some(step.key.clone()), ..plain(&step.lease, answer) });
        }
        for charge in &request.charges {
            let answer = match fate {
                Fate::Unheard => continue,
                Fate::Refused(code) => Answer::Refused(Problem::new(code, "scripted")),
                _ => {
                    let amounts = charge.amounts.clone().unwrap_or_default();
                    Answer::Charged(ChargeReply { recorded: true, amounts, ..ChargeReply::default() })
                }
            };
            let charge_id = Some(charge.charge_id.clone());
            answers.push(ExchangeAnswer { charge_id, ..plain(&charge.lease, answer) });
        }
        for hold in &request.holds {
            let granted = ExtendReply { granted: true, ..ExtendReply::default() };
            let reply = self.extends.lock().unwrap().pop_front().unwrap_or(granted);
            let answer = Answer::Extended(reply);
            answers.push(ExchangeAnswer { hold: Some(hold.id.clone()), ..plain(&hold.lease, answer) });
        }
        answers
    }
}

impl Transport for Script {
    fn send<'a>(
        &'a self,
        request: &'a Request,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Reply, SendError>> {
        let Request::Exchange(request) = request else { panic!("a worker only exchanges") };
        Box::pin(self.answer(request))
    }
}

fn lease() -> Lease {
    Lease {
        lease: "a".to_owned(),
        ttl_ms: 30_000,
        execution: LeasedExecution {
            id: "ex_a".to_owned(),
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

fn usd(amount: u64) -> Amounts {
    Amounts::of([("usd_micros", amount)])
}

type Running = (oneshot::Sender<()>, tokio::task::JoinHandle<Result<(), stint::Error>>);

/// Starts a worker with this handler; the returned sender stops it, the handle is its end.
fn start<Run, Handling>(script: &Arc<Script>, run: Run) -> Running
where
    Run: Fn(Context, ()) -> Handling + Send + Sync + 'static,
    Handling: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let transport: Arc<dyn Transport> = script.clone();
    let client = Client::builder().transport(transport).randomness(Randomness::from_seed(7)).build().unwrap();
    let worker = Worker::builder(&client).handler("work", run).build().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let run = tokio::spawn(worker.run(async move {
        let _ = stopped.await;
    }));
    (stop, run)
}

#[tokio::test(start_paused = true)]
async fn a_charge_is_said_until_it_is_answered_although_its_lease_is_lost() {
    let overloaded = Fate::Refused(Code::Overloaded);
    let script = Script::new([Fate::LostReply, Fate::Unheard, overloaded]);
    let (stop, run) = start(&script, async |ctx: Context, (): ()| {
        // Nobody waits for the answer.
        drop(ctx.charge(usd(7)));
        std::future::pending().await
    });
    script.until(|script| script.charges().len() == 2).await;
    // The lease is gone at once, and with it the handler.
    script.stop(StopAction::Cancel, 0);
    script.until(|script| script.charges().len() == 4).await;
    let charges = script.charges();
    assert!(charges.iter().all(|charge| *charge == charges[0]), "{charges:?}");
    assert_eq!(charges[0].amounts, Some(usd(7)));
    drop(stop);
    run.await.unwrap().unwrap();
    assert_eq!(script.charges().len(), 4, "it was answered");
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_until_what_was_spent_is_recorded() {
    let script = Script::new(std::iter::repeat_n(Fate::LostReply, 30));
    let (stop, run) = start(&script, async |ctx: Context, (): ()| {
        drop(ctx.charge(usd(7)));
        Ok(())
    });
    script.until(|script| !script.charges().is_empty()).await;
    drop(stop);
    run.await.unwrap().unwrap();
    assert_eq!(script.charges().len(), 31);
    assert!(script.ends().iter().all(|end| *end == "complete"));
}

#[tokio::test(start_paused = true)]
async fn what_is_charged_within_a_step_belongs_to_it_and_is_said_before_its_result() {
    let script = Script::new([]);
    let answer = serde_json::json!({"id": "resp-1", "model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 2}});
    let (stop, run) = start(&script, move |ctx: Context, (): ()| {
        let answer = answer.clone();
        async move {
            ctx.step("ask", || async {
                ctx.charge(&answer).await?;
                drop(ctx.charge(usd(1)));
                Ok(())
            })
            .await?;
            let reply = ctx.charge(Charge::from(usd(2)).step("by-hand")).await?;
            assert!(reply.recorded);
            ctx.charge(usd(3)).await?;
            let silent = ctx.charge(&serde_json::json!({"id": "resp-2"})).await.unwrap_err();
            assert_eq!(silent.kind(), "usage_unknown");
            Ok(())
        }
    });
    script.until(|script| script.ends() == ["complete"]).await;
    let charges = script.charges();
    let steps: Vec<Option<&str>> = charges.iter().map(|charge| charge.step.as_deref()).collect();
    assert_eq!(steps, [Some("ask"), Some("ask"), Some("by-hand"), None]);
    assert_eq!(charges[0].charge_id, "resp-1");
    assert_eq!(charges[0].usage.as_ref().unwrap().input_tokens, 5);
    let own: std::collections::BTreeSet<&str> = charges[1..].iter().map(|c| c.charge_id.as_str()).collect();
    assert_eq!(own.len(), 3, "each has an id of its own");
    assert!(own.iter().all(|id| id.starts_with("ex_a/")));
    let heard = script.heard.lock().unwrap().clone();
    let first = |is: &dyn Fn(&ExchangeRequest) -> bool| heard.iter().position(is).unwrap();
    let recorded = first(&|heard| heard.steps.iter().any(|step| step.output.is_some()));
    assert!(first(&|heard| heard.charges.iter().any(|charge| charge.amounts == Some(usd(1)))) <= recorded);
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refused_charge_is_told_to_its_handler_and_not_said_again() {
    let script = Script::new([Fate::Refused(Code::PriceUnknown)]);
    let (stop, run) = start(&script, async |ctx: Context, (): ()| {
        let refused = ctx.charge(stint::Usage { model: "m".into(), ..Default::default() }).await.unwrap_err();
        assert_eq!(refused.kind(), "price_unknown");
        Ok(())
    });
    script.until(|script| script.ends() == ["complete"]).await;
    assert_eq!(script.charges().len(), 1);
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn work_that_its_budget_stops_is_parked_at_its_next_step() {
    let script = Script::new([]);
    let (stop, run) = start(&script, async |ctx: Context, (): ()| {
        for turn in 0.. {
            ctx.step(&format!("turn-{turn}"), || async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(())
            })
            .await?;
        }
        Ok(())
    });
    let begun = |script: &Script| {
        let heard = script.heard.lock().unwrap();
        heard.iter().flat_map(|heard| &heard.steps).filter(|step| step.output.is_none()).count()
    };
    script.until(|script| begun(script) == 3).await;
    script.stop(StopAction::Suspend, 30_000);
    script.until(|script| script.ends() == ["suspended"]).await;
    assert_eq!(begun(&script), 3, "the step under way was finished, and none was begun");
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_finishes_although_it_is_stopped_completes_and_what_is_cancelled_fails_as_before() {
    for (action, end) in [(StopAction::Suspend, "complete"), (StopAction::Cancel, "fail")] {
        let script = Script::new([]);
        let (stop, run) = start(&script, async |ctx: Context, (): ()| {
            let stopping = ctx.cancelled().await;
            match stopping.action {
                StopAction::Suspend => Ok(()),
                _ => Err(Failure::new("stopped", stopping.reason)),
            }
        });
        script.until(|script| script.heard.lock().unwrap().len() > 1).await;
        script.stop(action, 30_000);
        script.until(|script| script.ends() == [end]).await;
        drop(stop);
        run.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_is_refused_parks_and_an_extend_that_is_refused_only_says_so() {
    let shortfall = Shortfall {
        path: "acme".to_owned(),
        window: "total".to_owned(),
        dimension: "usd_micros".to_owned(),
        limit: 10,
        used: 8,
        held: 0,
        missing: 3,
        resets_at: None,
    };
    let no = ExtendReply { shortfall: Some(shortfall), ..ExtendReply::default() };
    let script = Script::new([]);
    *script.extends.lock().unwrap() =
        [ExtendReply { granted: true, ..ExtendReply::default() }, no.clone(), no].into_iter().collect();
    let (stop, run) = start(&script, async |ctx: Context, (): ()| {
        ctx.hold(usd(5)).await?;
        assert!(!ctx.extend(usd(5)).await?);
        ctx.hold(usd(5)).await
    });
    script.until(|script| script.heard.lock().unwrap().iter().any(|heard| !heard.holds.is_empty())).await;
    let asks = |script: &Script| -> Vec<(String, bool)> {
        let heard = script.heard.lock().unwrap();
        heard.iter().flat_map(|heard| &heard.holds).map(|hold| (hold.id.clone(), hold.at_least)).collect()
    };
    script.until(|script| asks(script).len() == 3).await;
    script.stop(StopAction::Suspend, 30_000);
    script.until(|script| script.ends() == ["suspended"]).await;
    let asks = asks(&script);
    assert_eq!(asks.iter().map(|(_, at_least)| *at_least).collect::<Vec<_>>(), [true, false, true]);
    assert!(asks[0].0 != asks[1].0 && asks[1].0 != asks[2].0);
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_no_stop_follows_fails() {
    for (capped, kind, retry) in [(true, "cap_exceeded", Some(false)), (false, "budget_exhausted", None)] {
        let script = Script::new([]);
        script.extends.lock().unwrap().push_back(ExtendReply { capped, ..ExtendReply::default() });
        let (stop, run) = start(&script, async |ctx: Context, (): ()| ctx.hold(usd(5)).await);
        script.until(|script| script.ends() == ["fail"]).await;
        let heard = script.heard.lock().unwrap().clone();
        let failed = heard.iter().flat_map(|heard| &heard.results).next().unwrap();
        let Outcome::Fail(fail) = &failed.outcome else { panic!("{failed:?}") };
        assert_eq!((fail.error.kind.as_str(), fail.retry), (kind, retry));
        drop(stop);
        run.await.unwrap().unwrap();
    }
}

/// What was asked to be held at least, in order.
fn asked(script: &Script) -> Vec<u64> {
    let heard = script.heard.lock().unwrap();
    heard.iter().flat_map(|heard| &heard.holds).map(|hold| hold.amounts.get("usd_micros")).collect()
}

#[tokio::test(start_paused = true)]
async fn steps_that_run_side_by_side_do_not_count_on_the_same_money() {
    let script = Script::new([]);
    let (stop, run) = start(&script, async |ctx: Context, (): ()| {
        let call =
            async |key: &'static str, price: u64| ctx.step(key, async || ctx.hold(usd(price)).await).await;
        let first = ctx.step("first", async || {
            ctx.hold(usd(5)).await?;
            call("second", 7).await?;
            // A call that failed and is made anew needs no more than before.
            ctx.hold(usd(5)).await
        });
        first.await?;
        // Those that have ended need nothing any more.
        call("third", 3).await
    });
    script.until(|script| script.ends() == ["complete"]).await;
    assert_eq!(asked(&script), [5, 12, 5, 3]);
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_step_was_given_more_is_its_own() {
    let script = Script::new([]);
    let (stop, run) = start(&script, async |ctx: Context, (): ()| {
        ctx.step("first", async || {
            ctx.hold(usd(5)).await?;
            assert!(ctx.extend(usd(20)).await?);
            ctx.step("second", async || ctx.hold(usd(7)).await).await
        })
        .await
    });
    script.until(|script| script.ends() == ["complete"]).await;
    assert_eq!(asked(&script), [5, 20, 32]);
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_step_has_spent_is_not_held_for_it_any_more() {
    let script = Script::new([]);
    let (stop, run) = start(&script, async |ctx: Context, (): ()| {
        ctx.step("first", async || {
            ctx.hold(usd(5)).await?;
            ctx.charge(usd(4)).await?;
            ctx.step("second", async || ctx.hold(usd(7)).await).await
        })
        .await
    });
    script.until(|script| script.ends() == ["complete"]).await;
    assert_eq!(asked(&script), [5, 8]);
    drop(stop);
    run.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn work_that_a_drain_breaks_off_may_still_be_spending() {
    let script = Script::new([]);
    let (stop, run) = start(&script, async |ctx: Context, (): ()| {
        ctx.hold(usd(5)).await?;
        std::future::pending().await
    });
    script.until(|script| !asked(script).is_empty()).await;
    drop(stop);
    run.await.unwrap().unwrap();
    assert_eq!(script.ends(), ["broken off"]);
}

#[tokio::test(start_paused = true)]
async fn a_step_dropped_in_its_call_may_still_be_spending_however_the_attempt_ends() {
    for (stopped, ends) in [(true, "broken off"), (false, "fail, broken off")] {
        let script = Script::new([]);
        let (_stop, _running) = start(&script, move |ctx: Context, (): ()| async move {
            let first = ctx.step("first", || async {
                if stopped {
                    ctx.cancelled().await;
                }
                Err::<u32, _>(Failure::new("broken", "it"))
            });
            // The provider bills this call, though nobody waits for its answer any more.
            let second = ctx.step("second", std::future::pending::<Result<u32, Failure>>);
            tokio::try_join!(first, second).map(drop)
        });
        if stopped {
            script
                .until(|script| script.heard.lock().unwrap().iter().flat_map(|h| &h.steps).count() == 2)
                .await;
            script.stop(StopAction::Suspend, 30_000);
        }
        script.until(|script| !script.ends().is_empty()).await;
        assert_eq!(script.ends(), [ends]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_came_to_its_end_spends_no_more() {
    let script = Script::new([]);
    let (_stop, _running) = start(&script, async |ctx: Context, (): ()| {
        let hanging = ctx.step("a", std::future::pending::<Result<u32, Failure>>);
        assert!(tokio::time::timeout(Duration::from_secs(1), hanging).await.is_err());
        // The same key: a provider that knows it has made one call of both.
        ctx.step("a", || async { Ok(1) }).await?;
        ctx.step("b", || async { Err::<(), _>(Failure::new("broken", "it")) }).await
    });
    script.until(|script| !script.ends().is_empty()).await;
    assert_eq!(script.ends(), ["fail"]);
}
