//! Work starts only when its money is there, spends what it spends, and stops when it is gone.

use stint_api::{
    Amounts, Answer, BatchRequest, BatchResult, Budget, BudgetChargeRequest, BudgetSettings, BudgetState,
    BudgetUse, ChargeReply, ChargeRequest, Code, ExchangeCharge, ExchangeHold, ExchangeReply, ExchangeResult,
    ExecutionState, ExtendRequest, HoldRequest, Lease, LeaseHoldRequest, LedgerKind, LedgerRequest, Outcome,
    PricesRequest, Problem, RaiseRequest, ReconcileRequest, RefundRequest, ReportBy, ReportRequest,
    RequestKey, SettleRequest, StopAction, SubmitRequest, SuspendedRequest, TopUpRequest, Usage,
};

use crate::bed::{Bed, Worker, claim, pass, work};

pub(crate) fn usd(amount: u64) -> Amounts {
    Amounts::of([("usd_micros", amount)])
}

pub(crate) fn spending(path: &str, hold: u64) -> SubmitRequest {
    SubmitRequest { budgets: vec![BudgetUse::new(path, Some(usd(hold)))], ..work() }
}

impl Bed {
    /// The one lease there is, once its money is there.
    pub(crate) async fn funded(&self) -> Lease {
        let request = stint_api::LeaseRequest { wait_ms: 10_000, ..claim(1) };
        self.engine.lease(request, None).await.unwrap().leases.pop().expect("there is work")
    }

    pub(crate) async fn budget_of(&self, path: &str, hard: u64) -> Budget {
        let text = format!(
            r#"{{"windows":[{{"name":"all","kind":"total","limits":{{"usd_micros":{{"hard":{hard}}}}}}}]}}"#
        );
        let settings: BudgetSettings = stint_api::decode(text.as_bytes()).unwrap();
        self.engine.set_budget(path, settings).await.unwrap()
    }

    /// Used and held of a budget with one window.
    pub(crate) async fn stands(&self, path: &str) -> (u64, u64) {
        let budget = self.engine.budget("default", path).await.unwrap();
        (budget.windows[0].used.get("usd_micros"), budget.held.get("usd_micros"))
    }

    pub(crate) async fn charge(&self, lease: &str, id: &str, amount: u64) -> Result<ChargeReply, Problem> {
        self.engine.charge(lease, ChargeRequest::new(id, usd(amount))).await
    }

    pub(crate) async fn raise(&self, path: &str, hard: u64) {
        let request =
            RaiseRequest { window: "all".into(), limits: usd(hard), generation: None, namespace: None };
        self.engine.raise_budget(path, request).await.unwrap();
    }
}

/// What a worker is told, until `is_it`.
pub(crate) async fn until(
    worker: &mut Worker,
    leases: &[String],
    is_it: impl Fn(&ExchangeReply) -> bool,
) -> ExchangeReply {
    loop {
        let listed: Vec<_> = leases
            .iter()
            .map(|lease| stint_api::ExchangeLease { lease: lease.clone(), progress: None })
            .collect();
        let reply = worker
            .exchange(|request| {
                request.leases = listed;
                request.wait_ms = 60_000;
            })
            .await
            .unwrap();
        if is_it(&reply) {
            return reply;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_spent_and_the_rest_is_free_again() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    bed.budget_of("acme/search", 50).await;
    let tags = [("team".to_owned(), "a".to_owned())].into();
    let id = bed.submit(SubmitRequest { tags, ..spending("acme/search", 30) }).await.id;
    let lease = bed.funded().await;
    assert_eq!((bed.stands("acme").await, bed.stands("acme/search").await), ((0, 30), (0, 30)));
    let charged = bed.charge(&lease.lease, "c1", 12).await.unwrap();
    assert_eq!((charged.recorded, charged.late, charged.over_limit), (true, false, Some(false)));
    assert_eq!(bed.stands("acme").await, (12, 18));
    bed.complete(&lease, "1").await.unwrap();
    pass(10).await;
    assert_eq!((bed.stands("acme").await, bed.stands("acme/search").await), ((12, 0), (12, 0)));
    let shown = bed.engine.execution("default", &id).await.unwrap();
    assert_eq!((shown.spent, &shown.attempts[0].spent), (usd(12), &usd(12)));
    assert_eq!(shown.budgets, [BudgetUse::new("acme/search", Some(usd(30)))]);
    let ledger = bed.engine.ledger("default", "acme", LedgerRequest::default()).await.unwrap();
    let [entry] = &ledger.entries[..] else { panic!("{ledger:?}") };
    assert_eq!(
        (entry.kind, &*entry.path, entry.charge_id.as_deref()),
        (LedgerKind::Charge, "acme/search", Some("c1"))
    );
    assert_eq!((entry.execution.as_ref(), entry.attempt, &entry.amounts), (Some(&id), Some(1), &usd(12)));
    assert_eq!(entry.tags.get("team").map(String::as_str), Some("a"));
    let by = Some(ReportBy::Tag("team".to_owned()));
    let report =
        bed.engine.report("default", "acme", ReportRequest { by, ..Default::default() }).await.unwrap();
    assert_eq!((report.rows[0].key.as_str(), &report.rows[0].amounts), ("a", &usd(12)));
}

#[tokio::test(start_paused = true)]
async fn work_waits_in_order_for_money_and_says_so() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    let first = bed.submit(spending("acme", 70)).await.id;
    pass(5).await;
    let second = bed.submit(spending("acme", 60)).await.id;
    let lease = bed.funded().await;
    assert_eq!(lease.execution.id, first);
    let mut second_worker = Worker::new(&bed, "second");
    let waiting =
        tokio::spawn(async move { until(&mut second_worker, &[], |reply| !reply.leases.is_empty()).await });
    pass(100).await;
    let why = bed.engine.why("default", &second).await.unwrap();
    assert_eq!(why.state, ExecutionState::Blocked);
    let budget = why.waiting_for.iter().find_map(|waiting| waiting.budget.as_ref()).unwrap();
    assert_eq!((&*budget.path, budget.position), ("acme", Some(1)));
    let missing = budget.shortfall.as_ref().unwrap();
    assert_eq!((missing.missing, missing.limit, missing.held, &*missing.window), (30, 100, 70, "all"));
    assert_eq!(bed.engine.budget("default", "acme").await.unwrap().state, BudgetState::Exhausted);
    bed.charge(&lease.lease, "c1", 40).await.unwrap();
    bed.complete(&lease, "1").await.unwrap();
    let reply = waiting.await.unwrap();
    assert_eq!(reply.leases[0].execution.id, second);
    assert_eq!(bed.stands("acme").await, (40, 60));
}

#[tokio::test(start_paused = true)]
async fn a_breach_parks_what_runs_and_a_raise_lets_it_go_on() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    let id = bed.submit(spending("acme", 50)).await.id;
    let mut worker = Worker::new(&bed, "worker");
    let lease = until(&mut worker, &[], |reply| !reply.leases.is_empty()).await.leases.remove(0).lease;
    let charge = ExchangeCharge {
        lease: lease.clone(),
        charge_id: "c1".into(),
        amounts: Some(usd(120)),
        ..Default::default()
    };
    let reply = worker
        .exchange(|request| {
            request.leases = vec![stint_api::ExchangeLease { lease: lease.clone(), progress: None }];
            request.charges = vec![charge];
        })
        .await
        .unwrap();
    let Answer::Charged(charged) = &reply.answers[0].answer else { panic!("{reply:?}") };
    assert_eq!((charged.over_limit, reply.answers[0].charge_id.as_deref()), (Some(true), Some("c1")));
    let mut stops = reply.stops;
    if stops.is_empty() {
        stops = until(&mut worker, std::slice::from_ref(&lease), |reply| !reply.stops.is_empty()).await.stops;
    }
    assert_eq!((&stops[0].lease, stops[0].action), (&lease, StopAction::Suspend));
    assert!(stops[0].grace_ms > 29_000 && stops[0].reason.contains("acme"), "{stops:?}");
    let parked =
        ExchangeResult { lease: lease.clone(), outcome: Outcome::Suspended(SuspendedRequest::default()) };
    let reply = worker.exchange(|request| request.results = vec![parked]).await.unwrap();
    let Answer::Done(end) = &reply.answers[0].answer else { panic!("{reply:?}") };
    assert!(matches!(end.state, ExecutionState::Suspended | ExecutionState::Blocked), "{end:?}");
    assert_eq!(bed.engine.budget("default", "acme").await.unwrap().state, BudgetState::Breached);
    bed.raise("acme", 300).await;
    let again = until(&mut worker, &[], |reply| !reply.leases.is_empty()).await.leases.remove(0);
    assert_eq!((again.execution.id, again.attempt), (id, 1));
    assert_eq!(bed.stands("acme").await.0, 120);
}

#[tokio::test(start_paused = true)]
async fn a_charge_is_booked_once_and_after_the_lease_is_lost_too() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    bed.submit(spending("acme", 10)).await;
    let lease = bed.funded().await;
    assert!(!bed.charge(&lease.lease, "c1", 5).await.unwrap().duplicate);
    let again = bed.charge(&lease.lease, "c1", 5).await.unwrap();
    assert!(again.duplicate && again.amounts == usd(5));
    let conflict = bed.charge(&lease.lease, "c1", 6).await.unwrap_err();
    assert_eq!(conflict.code, Code::ChargeConflict);
    bed.complete(&lease, "1").await.unwrap();
    let late = bed.charge(&lease.lease, "c2", 3).await.unwrap();
    assert!(late.late && late.recorded && !late.duplicate);
    pass(100).await;
    assert_eq!(bed.stands("acme").await, (8, 0));
    let over = bed.charge(&lease.lease, "c3", 200).await.unwrap();
    assert_eq!((over.late, over.over_limit), (true, Some(true)));
    assert_eq!(bed.stands("acme").await, (208, 0));
}

#[tokio::test(start_paused = true)]
async fn who_asks_first_is_told_no_before_it_spends() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    bed.submit(spending("acme", 60)).await;
    let lease = bed.funded().await.lease;
    let ask = |id: &str, path: Option<&str>, amount| LeaseHoldRequest {
        id: id.into(),
        path: path.map(str::to_owned),
        amounts: usd(amount),
        namespace: None,
        at_least: false,
    };
    assert!(bed.engine.extend(&lease, ask("h1", None, 30)).await.unwrap().granted);
    assert!(bed.engine.extend(&lease, ask("h1", Some("acme"), 30)).await.unwrap().granted);
    assert_eq!(bed.stands("acme").await, (0, 90));
    let problem = bed.engine.extend(&lease, ask("h2", Some("other"), 30)).await.unwrap_err();
    assert_eq!((problem.code, problem.field.as_deref()), (Code::InvalidField, Some("path")));
    let refused = bed.engine.extend(&lease, ask("h2", None, 30)).await.unwrap();
    let missing = refused.shortfall.unwrap();
    assert_eq!((refused.granted, missing.missing, missing.held), (false, 20, 90));
    // It was told no, so it has to stop until there is as much.
    let mut worker = Worker::new(&bed, "other");
    let hold =
        ExchangeHold { lease: lease.clone(), id: "h3".into(), amounts: usd(1), ..ExchangeHold::default() };
    let reply = worker.exchange(|request| request.holds = vec![hold]).await.unwrap();
    assert_eq!(reply.answers[0].hold.as_deref(), Some("h3"));
    assert!(matches!(&reply.answers[0].answer, Answer::Extended(extended) if extended.granted), "{reply:?}");
}

#[tokio::test(start_paused = true)]
async fn work_that_names_no_budget_that_is_there_is_refused_at_once() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    let problem = bed.engine.submit(spending("acme/other", 1), None).await.unwrap_err();
    assert_eq!((problem.code, problem.field.as_deref()), (Code::BudgetNotFound, Some("budgets[0].path")));
    let problem = bed.engine.submit(spending("acme", 101), None).await.unwrap_err();
    assert_eq!((problem.code, problem.field.as_deref()), (Code::HoldTooLarge, Some("budgets[0].hold")));
    assert_eq!(problem.shortfall.unwrap().limit, 100);
    let batch = BatchRequest {
        executions: vec![spending("acme", 1), spending("none", 1), work(), spending("acme", 101)],
        ..BatchRequest::default()
    };
    let reply = bed.engine.submit_batch(batch, None).await.unwrap();
    let codes = reply.results.iter().map(|result| match result {
        BatchResult::Submitted(_) => None,
        BatchResult::Refused { error } => Some((error.code, error.field.as_deref().unwrap_or_default())),
    });
    assert_eq!(
        codes.collect::<Vec<_>>(),
        [
            None,
            Some((Code::BudgetNotFound, "executions[1].budgets[0].path")),
            None,
            Some((Code::HoldTooLarge, "executions[3].budgets[0].hold"))
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn caps_end_what_spends_too_much_over_all_its_attempts() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 1_000).await;
    let mut request = spending("acme", 10);
    request.budgets[0].cap = Some(usd(25));
    let id = bed.submit(request).await.id;
    let lease = bed.funded().await;
    bed.charge(&lease.lease, "c1", 20).await.unwrap();
    bed.fail(&lease).await.unwrap();
    pass(2_000).await;
    let lease = bed.funded().await;
    assert_eq!(lease.attempt, 2);
    let held = stint_api::HeldBudget { path: "acme".to_owned(), amounts: usd(5) };
    assert_eq!(lease.held, [held], "its cap leaves no more");
    let charged = bed.charge(&lease.lease, "c2", 6).await.unwrap();
    let over = charged.over_cap.unwrap();
    assert_eq!((&*over.path, &*over.dimension), ("acme", "usd_micros"));
    pass(60_000).await;
    let shown = bed.engine.execution("default", &id).await.unwrap();
    assert_eq!((shown.state, shown.error.unwrap().kind), (ExecutionState::Failed, "cap_exceeded".to_owned()));
    assert_eq!((shown.spent, &shown.attempts[0].spent), (usd(26), &usd(20)));
}

#[tokio::test(start_paused = true)]
async fn a_cap_that_is_used_up_ends_the_execution_and_what_is_behind_it_starts() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 1_000).await;
    let mut request = spending("acme", 10);
    request.budgets[0].cap = Some(usd(25));
    let id = bed.submit(request.clone()).await.id;
    let lease = bed.funded().await;
    bed.charge(&lease.lease, "c1", 25).await.unwrap();
    bed.fail(&lease).await.unwrap();
    pass(2_000).await;
    let next = bed.submit(spending("acme", 10)).await.id;
    assert_eq!(bed.funded().await.execution.id, next);
    let shown = bed.engine.execution("default", &id).await.unwrap();
    assert_eq!((shown.state, shown.error.unwrap().kind), (ExecutionState::Failed, "cap_exceeded".to_owned()));
    assert_eq!((shown.spent, shown.attempts.len()), (usd(25), 1));
    request.budgets[0].attempt_cap = Some(usd(0));
    let problem = bed.engine.submit(request, None).await.unwrap_err();
    assert_eq!(problem.code, Code::InvalidField);
    assert_eq!(problem.field.as_deref(), Some("budgets[0].attempt_cap.usd_micros"));
}

#[tokio::test(start_paused = true)]
async fn a_submission_said_again_is_answered_although_its_budget_is_gone() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 1_000).await;
    let keyed = |key: Option<&str>| SubmitRequest {
        idempotency_key: key.map(str::to_owned),
        ..spending("acme", 500)
    };
    let request_key = |n: u64| Some(RequestKey::parse(&format!("some-session.{n}")).unwrap());
    let own = bed.engine.submit(keyed(Some("a")), None).await.unwrap();
    let derived = bed.engine.submit(keyed(None), request_key(1)).await.unwrap();
    let batch = || BatchRequest { namespace: None, executions: vec![keyed(Some("b")), keyed(None)] };
    let BatchResult::Submitted(third) = &bed.engine.submit_batch(batch(), None).await.unwrap().results[0]
    else {
        panic!()
    };
    for gone in [false, true] {
        if gone {
            bed.engine.delete_budget("default", "acme", true).await.unwrap();
        } else {
            bed.raise("acme", 499).await;
        }
        let again = bed.engine.submit(keyed(Some("a")), None).await.unwrap();
        assert_eq!((again.id, again.existed), (own.id.clone(), true));
        let again = bed.engine.submit(keyed(None), request_key(1)).await.unwrap();
        assert_eq!(again.id, derived.id);
        let code = if gone { Code::BudgetNotFound } else { Code::HoldTooLarge };
        assert_eq!(bed.engine.submit(keyed(Some("c")), request_key(2)).await.unwrap_err().code, code);
        let results = bed.engine.submit_batch(batch(), None).await.unwrap().results;
        let [BatchResult::Submitted(again), BatchResult::Refused { error }] = &results[..] else {
            panic!("{results:?}")
        };
        assert_eq!((&again.id, error.code), (&third.id, code));
        assert!(error.field.as_deref().is_some_and(|field| field.starts_with("executions[1].budgets[0]")));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_charged_hours_after_the_end_is_booked_however_short_the_retention() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 1_000).await;
    bed.submit(SubmitRequest { retention_ms: Some(1_000), ..spending("acme", 10) }).await;
    let lease = bed.funded().await;
    bed.complete(&lease, "1").await.unwrap();
    pass(5 * 3_600_000).await;
    let late = bed.charge(&lease.lease, "c1", 7).await.unwrap();
    assert!(late.late && late.recorded);
    pass(60_000).await;
    assert_eq!(bed.stands("acme").await, (7, 0));
    pass(2 * 3_600_000).await;
    assert_eq!(bed.charge(&lease.lease, "c2", 7).await.unwrap_err().code, Code::LeaseLost);
}

#[tokio::test(start_paused = true)]
async fn money_can_be_held_without_work() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    let hold = |id: &str, amount| HoldRequest {
        id: id.into(),
        amounts: usd(amount),
        ttl_ms: 60_000,
        namespace: None,
    };
    let held = bed.engine.hold_budget("acme", hold("h1", 60)).await.unwrap();
    assert_eq!(bed.engine.hold_budget("acme", hold("h1", 60)).await.unwrap(), held);
    let problem = bed.engine.hold_budget("acme", hold("h2", 60)).await.unwrap_err();
    let missing = problem.shortfall.clone().unwrap();
    assert_eq!((problem.code, missing.missing, missing.held), (Code::BudgetExhausted, 20, 60));
    let problem = bed.engine.hold_budget("acme", hold("h2", 101)).await.unwrap_err();
    assert_eq!(problem.code, Code::HoldTooLarge);
    let more = |id: &str, amount| ExtendRequest { id: id.into(), amounts: usd(amount), at_least: false };
    assert!(bed.engine.extend_hold(&held.hold, more("e1", 40)).await.unwrap().granted);
    assert!(!bed.engine.extend_hold(&held.hold, more("e2", 1)).await.unwrap().granted);
    let charge = BudgetChargeRequest { charge_id: "c1".into(), amounts: Some(usd(30)), ..Default::default() };
    assert_eq!(bed.engine.charge_hold(&held.hold, charge.clone()).await.unwrap().amounts, usd(30));
    assert!(bed.engine.charge_hold(&held.hold, charge).await.unwrap().duplicate);
    assert_eq!(bed.stands("acme").await, (30, 70));
    let problem = bed.engine.delete_budget("default", "acme", false).await.unwrap_err();
    assert_eq!(problem.code, Code::BudgetHeld);
    let settle: SettleRequest =
        stint_api::decode(br#"{"charges":[{"charge_id":"c2","amounts":{"usd_micros":5}}]}"#).unwrap();
    assert!(bed.engine.settle_hold(&held.hold, settle.clone()).await.unwrap().settled);
    assert!(bed.engine.settle_hold(&held.hold, settle).await.unwrap().settled, "the answer was lost");
    assert_eq!(bed.stands("acme").await, (35, 0));
    let charge = BudgetChargeRequest { charge_id: "c3".into(), amounts: Some(usd(1)), ..Default::default() };
    let late = bed.engine.charge_hold(&held.hold, charge.clone()).await.unwrap();
    assert!(late.late && late.recorded, "what was spent is recorded");
    assert_eq!(bed.stands("acme").await, (36, 0));
    let nobody =
        format!("{}{}", &held.hold[..held.hold.len() - 1], if held.hold.ends_with('0') { '4' } else { '0' });
    let problem = bed.engine.charge_hold(&nobody, charge).await.unwrap_err();
    assert_eq!(problem.code, Code::NotFound);
    assert!(bed.engine.release_hold(&held.hold).await.unwrap().released);
    bed.engine.delete_budget("default", "acme", false).await.unwrap();
    assert_eq!(bed.engine.budget("default", "acme").await.unwrap_err().code, Code::BudgetNotFound);
}

#[tokio::test(start_paused = true)]
async fn usage_is_priced_or_refused_but_never_nothing() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 1_000_000).await;
    let usage = |id: &str, model: &str| BudgetChargeRequest {
        charge_id: id.into(),
        usage: Some(Usage {
            model: model.into(),
            input_tokens: 1_000,
            output_tokens: 10,
            ..Usage::default()
        }),
        ..Default::default()
    };
    let problem = bed.engine.charge_budget("acme", usage("c1", "m")).await.unwrap_err();
    assert_eq!(problem.code, Code::PriceUnknown);
    let prices: PricesRequest = stint_api::decode(
        br#"{"models":{"m":{"input":2500000,"output":10000001,"call":7}},"unpriced":"quarantine"}"#,
    )
    .unwrap();
    let set = bed.engine.set_prices(prices).await.unwrap();
    assert_eq!((set.version, set.missing_partitions.len()), (1, 0));
    assert_eq!(bed.engine.prices("default").await.unwrap(), set);
    let charged = bed.engine.charge_budget("acme", usage("c1", "m")).await.unwrap();
    assert_eq!((charged.amounts.get("usd_micros"), charged.prices), (2_500 + 101 + 7, Some(1)));
    assert_eq!((charged.amounts.get("input_tokens"), charged.amounts.get("calls")), (1_000, 1));
    let aside = bed.engine.charge_budget("acme", usage("c2", "unheard")).await.unwrap();
    assert!(aside.quarantined);
    assert_eq!(bed.stands("acme").await, (2_608, 0));
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_topped_up_refunded_listed_and_counted_again() {
    let bed = Bed::new().await;
    for path in ["b", "a", "a/x", "a-x", "a/y/z"] {
        bed.budget_of(path, 100).await;
    }
    let charge = |id: &str, amount| BudgetChargeRequest {
        charge_id: id.into(),
        amounts: Some(usd(amount)),
        ..Default::default()
    };
    bed.engine.charge_budget("a/x", charge("c1", 120)).await.unwrap();
    assert_eq!(bed.engine.budget("default", "a").await.unwrap().state, BudgetState::Breached);
    let top_up =
        TopUpRequest { id: "t1".into(), window: "all".into(), amounts: usd(50), ..Default::default() };
    let budget = bed.engine.top_up_budget("a", top_up.clone()).await.unwrap();
    assert_eq!((budget.state, budget.windows[0].top_ups[0].left.get("usd_micros")), (BudgetState::Open, 30));
    assert_eq!(bed.engine.top_up_budget("a", top_up).await.unwrap(), budget);
    let refund = |id: &str, amount| RefundRequest {
        id: id.into(),
        charge_id: "c1".into(),
        amounts: usd(amount),
        namespace: None,
    };
    assert_eq!(bed.engine.refund("a/x", refund("r1", 30)).await.unwrap().amounts, usd(30));
    assert!(bed.engine.refund("a/x", refund("r1", 30)).await.unwrap().duplicate);
    assert_eq!(bed.engine.refund("a/x", refund("r2", 91)).await.unwrap_err().code, Code::InvalidField);
    assert_eq!(bed.stands("a/x").await, (90, 0));
    let paths = async |under: Option<&str>, limit, cursor: Option<&str>| {
        let reply = bed.engine.budgets("default", under, limit, cursor).await.unwrap();
        (reply.budgets.into_iter().map(|budget| budget.path).collect::<Vec<_>>(), reply.next_cursor)
    };
    assert_eq!(
        paths(None, None, None).await,
        (["a", "a-x", "a/x", "a/y/z", "b"].map(str::to_owned).to_vec(), None)
    );
    assert_eq!(paths(Some("a"), None, None).await.0, ["a", "a/x", "a/y/z"]);
    assert_eq!(
        paths(None, Some(2), None).await,
        (["a", "a-x"].map(str::to_owned).to_vec(), Some("a-x".to_owned()))
    );
    assert_eq!(paths(None, Some(9), Some("a-x")).await.0, ["a/x", "a/y/z", "b"]);
    let page = |limit, cursor: Option<String>, newest_first| LedgerRequest {
        limit: Some(limit),
        cursor,
        newest_first,
        ..LedgerRequest::default()
    };
    let first = bed.engine.ledger("default", "a", page(2, None, false)).await.unwrap();
    let kinds =
        |entries: &[stint_api::LedgerEntry]| entries.iter().map(|entry| entry.kind).collect::<Vec<_>>();
    assert_eq!(kinds(&first.entries), [LedgerKind::Charge, LedgerKind::TopUp]);
    let rest = bed.engine.ledger("default", "a", page(2, first.next_cursor, false)).await.unwrap();
    assert_eq!((kinds(&rest.entries), rest.next_cursor), (vec![LedgerKind::Refund], None));
    let newest = bed.engine.ledger("default", "a", page(1, None, true)).await.unwrap();
    assert_eq!(kinds(&newest.entries), [LedgerKind::Refund]);
    let next = bed.engine.ledger("default", "a", page(1, newest.next_cursor, true)).await.unwrap();
    assert_eq!(kinds(&next.entries), [LedgerKind::TopUp]);
    let counted = bed.engine.reconcile("a", ReconcileRequest::default()).await.unwrap();
    assert_eq!((counted.counted, counted.drifts.len()), (3, 0));
    for none in ["none", "a/none"] {
        let problem = bed.engine.reconcile(none, ReconcileRequest::default()).await.unwrap_err();
        assert_eq!(problem.code, Code::BudgetNotFound);
    }
    bed.budget_of("rootless/leaf", 10).await;
    let counted = bed.engine.reconcile("rootless", ReconcileRequest::default()).await.unwrap();
    assert_eq!(counted.drifts.len(), 0, "a tree needs no budget at its root");
}

#[tokio::test(start_paused = true)]
async fn a_worker_parks_nothing_that_was_not_asked_to_stop() {
    let bed = Bed::new().await;
    bed.submit(work()).await;
    let reply = bed.engine.lease(claim(1), None).await.unwrap();
    let problem =
        bed.engine.suspended(&reply.leases[0].lease, SuspendedRequest::default()).await.unwrap_err();
    assert_eq!(problem.code, Code::WrongState);
    let zone = br#"{"windows":[{"name":"d","kind":"day","tz":"Nowhere/Else"}]}"#;
    let problem = bed.engine.set_budget("acme", stint_api::decode(zone).unwrap()).await.unwrap_err();
    assert_eq!(problem.field.as_deref(), Some("windows[0].tz"));
}
