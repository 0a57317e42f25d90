//! What reconciling finds beside sums: holds that nobody wants, counters that are gone; and what one bad tree does to others.

use stint_api::{BudgetStray, LedgerKind, LedgerRequest, ReconcileReply, ReconcileRequest};
use stint_core::command::budget_home;
use stint_core::key;
use stint_core::model::{Amounts, Hold, HoldKey, PermitKey, Record};
use stint_store::{Table, Write};

use crate::bed::{Bed, START_MS, pass};
use crate::budgets::{spending, usd};
use crate::overspending::{drift, put};

impl Bed {
    async fn reconciled(&self, path: &str, dry_run: bool) -> ReconcileReply {
        let request = ReconcileRequest { dry_run, ..ReconcileRequest::default() };
        self.engine.reconcile(path, request).await.unwrap()
    }
}

/// A hold in the tree `acme` for an execution that nobody knows.
fn stray_hold(key: PermitKey) -> Write {
    let hold = Hold {
        namespace: "default".into(),
        path: "acme".into(),
        held: Amounts::of([("usd_micros", 600)]),
        charged: Amounts::default(),
        kind: None,
        until: None,
        in_doubt: None,
        extends: None,
        granted: Amounts::of([("usd_micros", 600)]),
        cap: None,
        before: None,
        promised: None,
    };
    let value = Some(Record::Hold(Box::new(hold)).encode().into());
    Write { table: Table::Live, key: key::hold(&HoldKey::Permit(key)).bytes, value }
}

#[tokio::test(start_paused = true)]
async fn holds_of_attempts_that_are_not_there_are_found_told_and_dropped() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 1_000).await;
    bed.submit(spending("acme", 100)).await;
    let lease = bed.funded().await;
    let store = bed.store.clone();
    drop(bed);
    let gone = stint_core::ExecutionId::fresh(START_MS, stint_core::PartitionId(7), 99);
    put(&store, "acme", stray_hold(PermitKey { execution: gone, ask: 1, n: 0 })).await;
    let bed = Bed::on(store).await;
    let stray =
        |dropped| BudgetStray { path: "acme".into(), execution: gone.to_string(), held: usd(600), dropped };
    let found = bed.reconciled("acme", true).await;
    assert_eq!((found.asked_after, found.strays), (2, vec![stray(false)]), "only told");
    assert_eq!(bed.stands("acme").await, (0, 700));
    let found = bed.reconciled("acme", false).await;
    assert_eq!((found.asked_after, found.strays), (2, vec![stray(true)]));
    assert_eq!(bed.stands("acme").await, (0, 100), "what an attempt holds stays");
    let ledger = bed.engine.ledger("default", "acme", LedgerRequest::default()).await.unwrap();
    let [repair] = &ledger.entries[..] else { panic!("{ledger:?}") };
    assert_eq!((repair.kind, &repair.execution), (LedgerKind::Repair, &Some(gone.to_string())));
    assert_eq!((repair.window.as_ref(), repair.less.as_ref()), (None, Some(&usd(600))));
    let observed = bed.engine.observe().await;
    assert!(observed.events.contains(&("budget_repaired", 1)));
    let found = bed.reconciled("acme", false).await;
    assert_eq!((found.asked_after, found.strays), (1, vec![]));
    bed.charge(&lease.lease, "c1", 40).await.unwrap();
    bed.complete(&lease, "1").await.unwrap();
    pass(1_000).await;
    assert_eq!(bed.stands("acme").await, (40, 0));
}

#[tokio::test(start_paused = true)]
async fn counters_that_are_gone_are_made_anew_from_the_ledger() {
    let bed = Bed::new().await;
    bed.budget_of("acme", 1_000).await;
    bed.budget_of("acme/a", 1_000).await;
    bed.spend("acme/a", "c1", 10).await;
    let store = bed.store.clone();
    drop(bed);
    let at = key::counters("default", "acme/a").bytes;
    put(&store, "acme/a", Write { table: Table::Live, key: at, value: None }).await;
    let bed = Bed::on(store).await;
    assert_eq!(bed.stands("acme/a").await, (0, 0));
    let found = bed.reconciled("acme", true).await;
    assert_eq!((found.remade, found.drifts.len()), (vec!["acme/a".to_owned()], 0));
    assert_eq!(bed.stands("acme/a").await, (0, 0), "only told");
    let found = bed.reconciled("acme", false).await;
    assert_eq!((found.remade, found.drifts.len()), (vec!["acme/a".to_owned()], 1));
    assert_eq!((bed.stands("acme/a").await, bed.stands("acme").await), ((10, 0), (10, 0)));
    let found = bed.reconciled("acme", false).await;
    assert_eq!((found.remade, found.drifts.len()), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn a_tree_that_cannot_be_read_keeps_no_other_from_being_counted() {
    let bed = Bed::new().await;
    let home = budget_home("default", "bad");
    let good = (0..).map(|n| format!("good-{n}")).find(|tree| budget_home("default", tree) == home).unwrap();
    bed.budget_of("bad", 1_000).await;
    bed.budget_of(&good, 1_000).await;
    bed.spend("bad", "c1", 10).await;
    bed.spend(&good, "c2", 10).await;
    let store = bed.store.clone();
    drop(bed);
    let nonsense = Some(vec![0xff].into());
    let entry = Write { table: Table::Ordered, key: key::entry("default", "bad", 1).bytes, value: nonsense };
    put(&store, "bad", entry).await;
    let bed = Bed::on(store.clone()).await;
    // By now it is left alone for long.
    pass(600_000).await;
    assert!(bed.engine.reconcile("bad", ReconcileRequest::default()).await.is_err());
    drift(&store, &good, 50).await;
    bed.spend(&good, "c3", 1).await;
    assert_eq!(bed.stands(&good).await, (61, 0));
    pass(61_000).await;
    assert_eq!(bed.stands(&good).await, (11, 0));
}
