//! Top-ups: limits raised for once.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod bed;
mod tree;
mod world;

use stint_core::command::*;
use stint_core::model::*;
use stint_core::*;
use tree::{Tree, windowed};
use world::{budget, usd};

const HOUR: Millis = 3_600_000;

#[test]
fn a_top_up_of_a_rolling_window_pays_what_was_spent_in_any_of_its_steps() {
    let mut tree = Tree::with("acme", windowed(WindowKind::Rolling { every_ms: HOUR }, 100));
    tree.charge("acme", 60);
    tree.bed.pass(10 * 60_000);
    tree.charge("acme", 70);
    tree.bed.pass(10 * 60_000);
    assert!(tree.view("acme").breached);
    tree.top_up("t", 50, None);
    let view = tree.view("acme");
    assert!(!view.breached, "what was beyond the limit is paid");
    let topped = (view.windows[0].topped.clone(), view.windows[0].top_ups[0].left.clone());
    assert_eq!(topped, (usd(30), usd(20)));
    assert!(tree.hold(1, 21).is_err());
    assert!(tree.hold(1, 20).is_ok(), "what is left of it is free");
    // The oldest step goes with what was paid of it.
    tree.bed.pass(45 * 60_000);
    assert_eq!(tree.used("acme"), 70);
    assert!(tree.hold(2, 51).is_err());
    assert!(tree.hold(2, 50).is_ok());
    assert_eq!(tree.reconcile(true, false).1, []);
}

#[test]
fn a_top_up_that_expires_leaves_a_breach_behind_and_the_clock_says_so() {
    let mut tree = Tree::with("acme", budget(100));
    tree.charge("acme", 80);
    tree.top_up("t", 40, Some(HOUR));
    tree.put("acme", budget(50));
    assert!(!tree.view("acme").breached, "80 of 50 and 40");
    tree.bed.pass(HOUR - 1);
    assert_eq!(tree.said(EventKind::BudgetBreached), 0);
    tree.bed.pass(1);
    assert_eq!(tree.said(EventKind::BudgetBreached), 1);
}

#[test]
fn the_id_of_a_top_up_stands_for_one() {
    let mut tree = Tree::with("acme", budget(100));
    tree.top_up("t", 40, None);
    let again = |tree: &mut Tree, amount| {
        let (id, window) = ("t".to_owned(), "total".to_owned());
        let change = BudgetChange::TopUp { id, window, amounts: usd(amount), expires_at: None };
        tree.change("acme", change)
    };
    assert!(again(&mut tree, 40).is_ok());
    assert_eq!(again(&mut tree, 41), Err(Refusal::TopUpConflict { id: "t".into() }));
    let until = |tree: &mut Tree, id: &str, expires_at| {
        let (id, window, expires_at) = (id.to_owned(), "total".to_owned(), Some(expires_at));
        tree.change("acme", BudgetChange::TopUp { id, window, amounts: usd(40), expires_at })
    };
    let now = tree.bed.now;
    assert_eq!(until(&mut tree, "t", now + HOUR), Err(Refusal::TopUpConflict { id: "t".into() }));
    // One that is over before it comes is none; said again after its time, one that came is known.
    assert_eq!(until(&mut tree, "over", now), Err(Refusal::TopUpExpired { id: "over".into() }));
    assert!(until(&mut tree, "u", now + HOUR).is_ok());
    assert_eq!(until(&mut tree, "u", now + 2 * HOUR), Err(Refusal::TopUpConflict { id: "u".into() }));
    tree.bed.pass(HOUR);
    assert!(until(&mut tree, "u", now + HOUR).is_ok());
    assert!(tree.hold(1, 140).is_ok());
}

#[test]
fn a_refund_gives_back_what_a_top_up_paid() {
    let mut tree = Tree::with("acme", budget(100));
    tree.top_up("gone", 10, Some(HOUR));
    tree.top_up("stays", 30, None);
    tree.charge("acme", 70);
    tree.bed.pass(HOUR);
    let refund = Refund {
        namespace: "default".into(),
        path: "acme".into(),
        id: "back".into(),
        charge_id: "c1".into(),
        amounts: usd(70),
    };
    tree.bed.run(Command::Refund(refund)).unwrap();
    let view = tree.view("acme");
    assert_eq!((view.windows[0].used.clone(), view.windows[0].topped.clone()), (usd(0), usd(0)));
    assert_eq!(tree.hold(1, 131).map_err(|e| matches!(e, Refusal::HoldTooLarge(_))), Err(true));
    assert!(tree.hold(1, 130).is_ok(), "the limit, and what has not expired");
}

#[test]
fn old_used_up_top_ups_are_forgotten() {
    let mut tree = Tree::with("acme", budget(0));
    for n in 0..150 {
        tree.top_up(&format!("t{n}"), 10, None);
        tree.charge("acme", 10);
    }
    let counters = tree.bed.partition.counters("default", "acme").unwrap();
    assert!(counters.windows[0].top_ups.as_ref().unwrap().len() < 12);
    assert_eq!(tree.reconcile(true, false).1, []);
    // What is forgotten, and what is kept, follows from the ledger alone, whatever else was done meanwhile.
    tree.put("acme", budget(1));
    let refund = |charge_id: &str| Refund {
        namespace: "default".into(),
        path: "acme".into(),
        id: format!("back-{charge_id}"),
        charge_id: charge_id.into(),
        amounts: usd(10),
    };
    for n in 1..=150 {
        tree.bed.run(Command::Refund(refund(&format!("c{n}")))).unwrap();
    }
    assert_eq!(tree.reconcile(true, false).1, []);
    let left: u64 = tree.view("acme").windows[0].top_ups.iter().map(|top_up| top_up.left.get("usd")).sum();
    assert_eq!(left, 90);
}

#[test]
fn what_is_left_of_a_top_up_is_what_the_ledger_says_also_if_it_is_spent_from_meanwhile() {
    let mut tree = Tree::with("acme", budget(10));
    tree.charge("acme", 30);
    tree.top_up("soon", 50, Some(HOUR));
    tree.top_up("late", 40, None);
    tree.charge("acme", 10);
    assert_eq!(tree.reconcile(false, false).1, []);
    let at = key::counters("default", "acme");
    let mut counters = tree.bed.partition.counters("default", "acme").unwrap().clone();
    counters.windows[0].periods[0].topped = usd(1);
    for top_up in counters.windows[0].top_ups.iter_mut().flatten() {
        top_up.left = usd(3);
    }
    let record = Record::Counters(Box::new(counters));
    tree.bed.store.insert(at.clone(), record.encode().into());
    tree.bed.partition.put(&at, Some(record));
    let unverified = Unverified { namespace: "default".into(), tree: "acme".into(), ..Unverified::default() };
    let Ok(Outcome::Unverified(mut recount)) = tree.bed.run(Command::Unverified(unverified)) else {
        panic!()
    };
    tree.ledger().iter().for_each(|(seq, entry)| recount.add(*seq, entry));
    tree.charge("acme", 25);
    let Ok(Outcome::Reconciled(drifts)) =
        tree.bed.run(Command::Verify(Verify { recount: *recount, dry_run: false }))
    else {
        panic!()
    };
    let drift = |of, counted, ledger| Drift {
        path: "acme".into(),
        window: "total".into(),
        period: 0,
        of,
        counted: usd(counted),
        ledger: usd(ledger),
    };
    let left = |id: &str| DriftOf::Left { top_up: id.into() };
    // Of 30 spent 20 were beyond the limit, and paid when there was something to pay with.
    let expected = [drift(DriftOf::Topped, 1, 30), drift(left("late"), 3, 40), drift(left("soon"), 3, 20)];
    assert_eq!(drifts, expected);
    let view = tree.view("acme");
    let top_ups: Vec<_> =
        view.windows[0].top_ups.iter().map(|t| (t.id.as_str(), t.left.get("usd"))).collect();
    assert_eq!((view.windows[0].topped.get("usd"), &top_ups[..]), (55, &[("late", 35)][..]));
    assert_eq!(tree.said(EventKind::BudgetRepaired), 1);
    let repairs: Vec<_> = tree.ledger().into_iter().filter(|(_, e)| e.kind == EntryKind::Repair).collect();
    let said: Vec<_> = repairs.iter().map(|(_, e)| (e.step.as_deref(), e.charge_id.as_deref())).collect();
    assert_eq!(said, [(Some("topped"), None), (Some("left"), Some("late")), (Some("left"), Some("soon"))]);
    assert_eq!(tree.reconcile(true, false).1, []);
    // Only what is left of it goes when it expires.
    tree.bed.pass(HOUR);
    assert_eq!(tree.reconcile(true, false).1, []);
}
