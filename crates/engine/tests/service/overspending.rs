//! How money is lost elsewhere: each way as a user would meet it, and what happens here instead.

use std::sync::Arc;
use std::time::Duration;

use stint_api::{
    BudgetChargeRequest, BudgetSettings, BudgetState, BudgetUse, Code, ExecutionState, Lease, LeaseRequest,
    LedgerKind, LedgerRequest, RefundRequest, Retry, StopAction, SubmitRequest,
};
use stint_core::command::budget_home;
use stint_core::key;
use stint_core::model::{Amounts, Record};
use stint_store::memory::MemoryStore;
use stint_store::{Batch, Committed, Head, PartitionId, Store, Table, Write};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::bed::{Bed, START_MS, Worker, claim, pass, work};
use crate::budgets::{spending, until, usd};

const HOUR: u64 = 3_600_000;

/// The store's clock starts at 11:00 UTC.
const TO_MIDNIGHT: u64 = 13 * HOUR;

impl Bed {
    /// A budget with a limit for every day.
    pub(crate) async fn daily(&self, path: &str, hard: u64) {
        let limits = format!(r#"{{"usd_micros":{{"hard":{hard}}}}}"#);
        self.set(path, &format!(r#"{{"windows":[{{"name":"all","kind":"day","limits":{limits}}}]}}"#)).await;
    }

    pub(crate) async fn set(&self, path: &str, settings: &str) {
        let settings: BudgetSettings = stint_api::decode(settings.as_bytes()).unwrap();
        self.engine.set_budget(path, settings).await.unwrap();
    }

    pub(crate) async fn spend(&self, path: &str, id: &str, amount: u64) -> stint_api::ChargeReply {
        let amounts = Some(usd(amount));
        let request = BudgetChargeRequest { charge_id: id.into(), amounts, ..Default::default() };
        self.engine.charge_budget(path, request).await.unwrap()
    }

    /// All the leases that a worker gets who waits for so long.
    pub(crate) async fn leases_within(&self, max: u32, wait_ms: u64) -> Vec<Lease> {
        self.engine.lease(LeaseRequest { wait_ms, ..claim(max) }, None).await.unwrap().leases
    }

    /// As often as it takes to see that nothing starts for an hour.
    pub(crate) async fn nothing_starts(&self) {
        for _ in 0..60 {
            assert!(self.leases_within(10, 59_000).await.is_empty());
        }
    }

    pub(crate) async fn budget_state(&self, path: &str) -> BudgetState {
        self.engine.budget("default", path).await.unwrap().state
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_workers_that_race_for_the_last_one_is_admitted() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    bed.spend("acme", "before", 99).await;
    for _ in 0..60 {
        bed.submit(spending("acme", 1)).await;
    }
    let mut workers = JoinSet::new();
    for _ in 0..60 {
        let engine = bed.engine.clone();
        workers.spawn(async move {
            let request = LeaseRequest { wait_ms: 10_000, ..claim(1) };
            engine.lease(request, None).await.unwrap().leases
        });
    }
    let leases: Vec<Lease> = workers.join_all().await.into_iter().flatten().collect();
    assert_eq!(leases.len(), 1);
    assert_eq!(bed.stands("acme").await, (99, 1));
    bed.charge(&leases[0].lease, "last", 1).await.unwrap();
    bed.complete(&leases[0], "1").await.unwrap();
    bed.nothing_starts().await;
    assert_eq!(bed.stands("acme").await, (100, 0));
}

#[tokio::test(start_paused = true)]
async fn a_breach_lasts_until_there_is_money_again_whatever_restarts() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    assert_eq!(bed.spend("acme", "c1", 120).await.over_limit, Some(true));
    assert_eq!((bed.budget_state("acme").await, bed.stands("acme").await), (BudgetState::Breached, (120, 0)));
    let id = bed.submit(spending("acme", 1)).await.id;
    bed.nothing_starts().await;
    let bed = bed.restart().await;
    bed.nothing_starts().await;
    assert_eq!(bed.budget_state("acme").await, BudgetState::Breached);
    // A part of it back is not enough; all of it is, for what is free then.
    let refund = |id: &str, amount| RefundRequest {
        id: id.into(),
        charge_id: "c1".into(),
        amounts: usd(amount),
        namespace: None,
    };
    bed.engine.refund("acme", refund("r1", 15)).await.unwrap();
    assert_eq!(bed.budget_state("acme").await, BudgetState::Breached);
    bed.nothing_starts().await;
    bed.engine.refund("acme", refund("r2", 10)).await.unwrap();
    assert_eq!(bed.funded().await.execution.id, id);
    assert_eq!(bed.stands("acme").await, (95, 1));
}

/// Breaches a budget under a running attempt: the lease, and what its worker is told within 20 s.
async fn breached(bed: &Bed, on_hard: &str) -> (String, Lease, Option<StopAction>) {
    let window = r#"{"name":"all","kind":"total","limits":{"usd_micros":{"hard":100}}}"#;
    bed.set("acme", &format!(r#"{{"windows":[{window}],"on_hard":"{on_hard}"}}"#)).await;
    let retry = Some(Retry::fixed(5, Duration::from_millis(10)));
    let id = bed.submit(SubmitRequest { retry, ..spending("acme", 50) }).await.id;
    let mut worker = Worker::new(bed, "worker");
    let lease = until(&mut worker, &[], |reply| !reply.leases.is_empty()).await.leases.remove(0);
    bed.charge(&lease.lease, "c1", 101).await.unwrap();
    let listed = vec![stint_api::ExchangeLease { lease: lease.lease.clone(), progress: None }];
    let reply = worker.exchange(|request| {
        request.leases = listed;
        (request.max, request.wait_ms) = (0, 20_000);
    });
    let asked = Instant::now();
    let stops = reply.await.unwrap().stops;
    assert!(
        stops.is_empty() || asked.elapsed() < Duration::from_millis(100),
        "{on_hard}: {:?}",
        asked.elapsed()
    );
    (id, lease, stops.first().map(|stop| stop.action))
}

#[tokio::test(start_paused = true)]
async fn every_policy_is_acted_on_without_a_word_of_client_code() {
    for (on_hard, action, becomes) in [
        ("suspend", Some(StopAction::Suspend), None),
        ("cancel", Some(StopAction::Cancel), Some(ExecutionState::Cancelled)),
        ("fail", Some(StopAction::Fail), Some(ExecutionState::Failed)),
        ("block", None, None),
    ] {
        let bed = Bed::new().await;
        let (id, lease, told) = breached(&bed, on_hard).await;
        assert_eq!(told, action, "{on_hard}");
        // This worker does not listen, and goes on spending.
        bed.charge(&lease.lease, "c2", 1).await.unwrap();
        for _ in 0..4 {
            let _whatever_it_is_told = bed.engine.heartbeat(&lease.lease, Default::default()).await;
            pass(10_000).await;
        }
        let late = bed.charge(&lease.lease, "c3", 1).await.unwrap();
        assert!(late.recorded && late.late == (on_hard != "block"), "{on_hard}: {late:?}");
        let shown = bed.engine.execution("default", &id).await.unwrap();
        match becomes {
            Some(state) => assert_eq!(shown.state, state, "{on_hard}"),
            None if on_hard == "block" => assert_eq!(shown.state, ExecutionState::Running),
            None => assert_eq!(shown.state, ExecutionState::Suspended),
        }
        // A stop is no failure, and nothing is tried again that would spend again.
        assert!(shown.attempts.len() <= 1, "{on_hard}: {:?}", shown.attempts);
        bed.nothing_starts().await;
        assert_eq!(bed.stands("acme").await.0, 103);
        if on_hard == "fail" {
            let shown = bed.engine.execution("default", &id).await.unwrap();
            assert_eq!((shown.attempts.len(), shown.error.unwrap().kind.as_str()), (1, "budget_exhausted"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_crashes_pay_once_for_one_call() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 1_000).await;
    let request = SubmitRequest { max_crashes: Some(200), lease_ttl_ms: Some(5_000), ..spending("acme", 30) };
    let id = bed.submit(request).await.id;
    for attempt in 0..100 {
        let lease = bed.leases_within(1, 59_000).await.pop().expect("it is tried again");
        // The provider knows the call again by its key, and so does its answer have the same id.
        let charged = bed.charge(&lease.lease, "resp_1", 20).await.unwrap();
        assert_eq!((charged.duplicate, charged.recorded), (attempt > 0, true));
        pass(6_000).await;
    }
    let lease = bed.leases_within(1, 59_000).await.pop().unwrap();
    bed.complete(&lease, "1").await.unwrap();
    pass(120_000).await;
    assert_eq!(bed.stands("acme").await, (20, 0));
    let shown = bed.engine.execution("default", &id).await.unwrap();
    assert_eq!((shown.spent, shown.crashes), (usd(20), 100));
    let ledger = bed.engine.ledger("default", "acme", LedgerRequest::default()).await.unwrap();
    assert_eq!(ledger.entries.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_charge_said_again_days_later_counts_once() {
    let bed = Bed::new().await;
    bed.daily("acme", 100).await;
    bed.submit(spending("acme", 10)).await;
    let lease = bed.funded().await;
    bed.charge(&lease.lease, "c1", 7).await.unwrap();
    bed.spend("acme", "c2", 5).await;
    bed.complete(&lease, "1").await.unwrap();
    pass(25 * HOUR).await;
    let bed = bed.restart().await;
    assert!(bed.charge(&lease.lease, "c1", 7).await.unwrap().duplicate);
    assert!(bed.spend("acme", "c2", 5).await.duplicate);
    let problem = bed.charge(&lease.lease, "c1", 8).await.unwrap_err();
    assert_eq!(problem.code, Code::ChargeConflict);
    // After a month the execution is gone; the ledger is not.
    pass(30 * 24 * HOUR).await;
    assert!(bed.spend("acme", "c2", 5).await.duplicate);
    assert!(bed.spend("acme", "c1", 7).await.duplicate);
    assert_eq!(bed.stands("acme").await, (0, 0));
    let ledger = bed.engine.ledger("default", "acme", LedgerRequest::default()).await.unwrap();
    assert_eq!(ledger.entries.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_charge_whose_id_another_execution_has_used_is_kept_and_said() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    let mut leases = Vec::new();
    for _ in 0..3 {
        bed.submit(spending("acme", 10)).await;
        leases.push(bed.funded().await.lease);
    }
    let first = bed.charge(&leases[0], "resp_1", 5).await.unwrap();
    assert_eq!((first.duplicate, first.quarantined), (false, false));
    let same = bed.charge(&leases[1], "resp_1", 5).await.unwrap();
    assert_eq!((same.duplicate, same.quarantined), (true, false));
    for again in [false, true] {
        let other = bed.charge(&leases[2], "resp_1", 7).await.unwrap();
        assert_eq!((other.recorded, other.quarantined, other.duplicate), (true, true, again));
    }
    assert_eq!(bed.stands("acme").await.0, 5);
    let ledger = bed.engine.ledger("default", "acme", LedgerRequest::default()).await.unwrap();
    let entries: Vec<_> = ledger.entries.iter().map(|entry| (entry.kind, entry.amounts.clone())).collect();
    assert_eq!(entries, [(LedgerKind::Charge, usd(5)), (LedgerKind::Quarantined, usd(7))]);
}

#[tokio::test(start_paused = true)]
async fn a_new_day_begins_by_itself_and_lets_start_who_waits() {
    let bed = Bed::new().await;
    bed.daily("acme", 100).await;
    bed.spend("acme", "c1", 100).await;
    let id = bed.submit(spending("acme", 60)).await.id;
    let engine = bed.engine.clone();
    let began = Instant::now();
    let started = tokio::spawn(async move {
        loop {
            let request = LeaseRequest { wait_ms: 60_000, ..claim(1) };
            if let Some(lease) = engine.lease(request, None).await.unwrap().leases.pop() {
                return (lease, began.elapsed());
            }
        }
    });
    pass(TO_MIDNIGHT - 1_000).await;
    assert!(!started.is_finished());
    let (lease, after) = started.await.unwrap();
    assert_eq!(lease.execution.id, id);
    let midnight = Duration::from_millis(TO_MIDNIGHT);
    assert!(after >= midnight && after < midnight + Duration::from_millis(100), "{after:?}");
    assert_eq!(bed.stands("acme").await, (0, 60));
}

#[tokio::test(start_paused = true)]
async fn a_day_that_nobody_was_there_to_begin_has_begun() {
    let bed = Bed::new().await;
    bed.daily("acme", 100).await;
    bed.spend("acme", "c1", 120).await;
    bed.submit(spending("acme", 60)).await;
    assert_eq!(bed.budget_state("acme").await, BudgetState::Breached);
    let store = bed.store.clone();
    drop(bed);
    pass(3 * 24 * HOUR).await;
    let bed = Bed::on(store).await;
    assert_eq!((bed.stands("acme").await, bed.budget_state("acme").await), ((0, 0), BudgetState::Open));
    bed.funded().await;
    let ledger = bed.engine.ledger("default", "acme", LedgerRequest::default()).await.unwrap();
    assert_eq!(ledger.entries[0].amounts, usd(120));
    assert_eq!(ledger.entries[0].at.millis(), START_MS);
}

#[tokio::test(start_paused = true)]
async fn midnight_does_not_double_a_limit() {
    let bed = Bed::new().await;
    bed.daily("acme", 100).await;
    bed.submit(SubmitRequest { lease_ttl_ms: Some(60_000), ..spending("acme", 80) }).await;
    let lease = bed.funded().await;
    bed.submit(spending("acme", 60)).await;
    while elapsed_ms(&bed) < TO_MIDNIGHT + 60_000 {
        bed.engine.heartbeat(&lease.lease, Default::default()).await.unwrap();
        assert!(bed.leases_within(1, 20_000).await.is_empty(), "what is held counts on both days");
    }
    assert_eq!(bed.stands("acme").await, (0, 80));
    bed.charge(&lease.lease, "c1", 80).await.unwrap();
    bed.complete(&lease, "1").await.unwrap();
    assert!(bed.leases_within(1, 60_000).await.is_empty());
    assert_eq!(bed.stands("acme").await, (80, 0));
}

/// How long the store's clock has run.
fn elapsed_ms(bed: &Bed) -> u64 {
    let now = bed.store.clock();
    let now = futures_util::FutureExt::now_or_never(now).unwrap().unwrap();
    (now - START_MS) as u64
}

#[tokio::test(start_paused = true)]
async fn a_hierarchy_is_checked_as_a_whole() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    bed.budget_of("acme/a", 90).await;
    bed.budget_of("acme/b", 90).await;
    bed.submit(spending("acme/a", 70)).await;
    let first = bed.funded().await;
    bed.submit(spending("acme/b", 70)).await;
    bed.nothing_starts_under(&first).await;
    assert_eq!((bed.stands("acme/b").await, bed.stands("acme").await), ((0, 0), (0, 70)));
    bed.charge(&first.lease, "c1", 30).await.unwrap();
    bed.complete(&first, "1").await.unwrap();
    bed.funded().await;
    assert_eq!((bed.stands("acme/b").await, bed.stands("acme").await), ((0, 70), (30, 70)));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_expires_in_a_call_does_not_free_its_money() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    let request = SubmitRequest { lease_ttl_ms: Some(5_000), max_crashes: Some(0), ..spending("acme", 60) };
    bed.submit(request).await;
    let lost = bed.funded().await;
    let next = bed.submit(spending("acme", 60)).await.id;
    assert!(bed.leases_within(1, 50_000).await.is_empty(), "its last call may still be under way");
    assert_eq!(bed.stands("acme").await, (0, 60));
    let late = bed.charge(&lost.lease, "c1", 20).await.unwrap();
    assert!(late.late && late.recorded && late.over_limit == Some(false));
    assert_eq!(bed.stands("acme").await, (20, 40));
    // Once nothing can come any more, what was not spent is free.
    assert_eq!(bed.leases_within(1, 20_000).await[0].execution.id, next);
    assert_eq!(bed.stands("acme").await, (20, 60));
}

#[tokio::test(start_paused = true)]
async fn work_broken_off_in_a_call_does_not_free_its_money() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    bed.submit(spending("acme", 60)).await;
    let lease = bed.funded().await;
    let release = stint_api::ReleaseRequest::unfinished();
    bed.engine.release(&lease.lease, release).await.unwrap();
    assert!(bed.leases_within(1, 50_000).await.is_empty(), "its last call may still be under way");
    assert_eq!(bed.stands("acme").await, (0, 60));
    let late = bed.charge(&lease.lease, "c1", 20).await.unwrap();
    assert!(late.late && late.recorded && late.over_limit == Some(false));
    assert_eq!(bed.leases_within(1, 20_000).await[0].attempt, 1);
    assert_eq!(bed.stands("acme").await, (20, 60));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_forgets_a_lease_does_not_free_its_money() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    bed.submit(spending("acme", 60)).await;
    let mut worker = Worker::new(&bed, "worker");
    until(&mut worker, &[], |reply| !reply.leases.is_empty()).await;
    worker.exchange(|request| (request.max, request.wait_ms) = (0, 0)).await.unwrap();
    pass(100).await;
    assert_eq!(bed.stands("acme").await, (0, 60), "it has read of it, and may have begun");
    pass(70_000).await;
    assert_eq!(bed.stands("acme").await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_drops_a_lease_while_the_server_is_away_does_not_free_its_money() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 100).await;
    let id = bed.submit(spending("acme", 60)).await.id;
    let mut worker = Worker::new(&bed, "worker");
    until(&mut worker, &[], |reply| !reply.leases.is_empty()).await;
    pass(1_000).await;
    // In its call it could not renew the lease, so it has broken its work off.
    let bed = bed.restart().await;
    worker.engine = bed.engine.clone();
    for _ in 0..2 {
        worker.exchange(|request| (request.max, request.wait_ms) = (0, 0)).await.unwrap();
    }
    pass(100).await;
    assert_eq!(bed.state(&id).await, ExecutionState::Ready, "it need not wait for the lease to expire");
    assert_eq!(bed.stands("acme").await, (0, 60), "its last call may still be under way");
    pass(70_000).await;
    assert_eq!(bed.stands("acme").await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn holds_neither_leak_nor_starve_by_guessing_high() {
    let bed = Bed::new().await;
    let window = r#"{"name":"all","kind":"total","limits":{"usd_micros":{"hard":1000}}}"#;
    bed.set("acme", &format!(r#"{{"windows":[{window}],"default_hold":{{"usd_micros":600}}}}"#)).await;
    let unsaid = || SubmitRequest { budgets: vec![BudgetUse::new("acme", None)], ..work() };
    for n in 0..30 {
        bed.submit(unsaid()).await;
        let lease = bed.funded().await;
        bed.charge(&lease.lease, &format!("c{n}"), 4).await.unwrap();
        bed.complete(&lease, "1").await.unwrap();
    }
    pass(1_000).await;
    assert_eq!(bed.stands("acme").await, (120, 0));
    // By now it is known what such work costs: many run side by side where the first guess lets only one.
    for _ in 0..50 {
        bed.submit(unsaid()).await;
    }
    let mut running = 0;
    while running < 50 {
        let leases = bed.leases_within(10, 10_000).await;
        assert!(!leases.is_empty(), "{running} run, {:?}", bed.stands("acme").await);
        running += leases.len();
    }
    assert_eq!(bed.stands("acme").await, (120, 200));
}

#[tokio::test(start_paused = true)]
async fn a_drift_is_found_and_corrected_in_budgets_that_reset_too() {
    let bed = Bed::new().await;
    bed.daily("acme", 100).await;
    bed.budget_of("acme/a", 1_000).await;
    bed.spend("acme/a", "c1", 10).await;
    pass(24 * HOUR).await;
    bed.spend("acme/a", "c2", 7).await;
    let store = bed.store.clone();
    drop(bed);
    drift(&store, "acme", 50).await;
    let bed = Bed::on(store).await;
    assert_eq!(bed.stands("acme").await, (57, 0));
    // The counters are written, so they are looked at.
    bed.spend("acme/a", "c3", 1).await;
    pass(61_000).await;
    assert_eq!((bed.stands("acme").await, bed.stands("acme/a").await), ((8, 0), (18, 0)));
    let repairs = LedgerRequest { kinds: vec![LedgerKind::Repair], ..LedgerRequest::default() };
    let ledger = bed.engine.ledger("default", "acme", repairs).await.unwrap();
    let [repair] = &ledger.entries[..] else { panic!("{ledger:?}") };
    assert_eq!((&*repair.path, &repair.less), ("acme", &Some(usd(50))));
    let counted = bed.engine.reconcile("acme", Default::default()).await.unwrap();
    assert_eq!(counted.drifts, []);
}

/// Makes a budget's present counters say more than its ledger, as no command ever does.
pub(crate) async fn drift(store: &MemoryStore, path: &str, more: u64) {
    let partition = PartitionId(budget_home("default", path).0);
    let at = key::counters("default", path).bytes;
    let stored = store.dump(partition).live[&at].clone();
    let Record::Counters(mut counters) = Record::decode(&at, &stored).unwrap() else { panic!() };
    let used = &mut counters.windows[0].periods.last_mut().unwrap().used;
    *used = Amounts::of([("usd_micros", used.get("usd_micros") + more)]);
    let value = Some(Record::Counters(counters).encode().into());
    put(store, path, Write { table: Table::Live, key: at, value }).await;
}

/// Writes where a path's tree lives.
pub(crate) async fn put(store: &MemoryStore, path: &str, write: Write) {
    let partition = PartitionId(budget_home("default", path).0);
    let head = store.head(partition);
    let next = Head { version: head.version + 1, nonce: 5, ..head };
    let batch = Arc::new(Batch { next, incarnation: 5, writes: vec![write], absent: Vec::new() });
    assert_eq!(store.commit(partition, head, batch).await.unwrap(), Committed::Yes(next));
}
