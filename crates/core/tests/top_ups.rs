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
}
