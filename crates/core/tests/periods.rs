//! What belongs to which period of a budget, and what changes of the budget do to it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod bed;
mod tree;
mod world;

use std::collections::BTreeMap;

use stint_core::command::*;
use stint_core::model::*;
use stint_core::*;
use tree::{Tree, windowed};
use world::{World, budget, usd};

const DAY: Millis = 24 * 3_600_000;

fn daily(hard: u64) -> Budget {
    windowed(WindowKind::Day { zone: "UTC".into() }, hard)
}

fn carried(tree: &Tree) -> Vec<Amounts> {
    let entries = tree.ledger().into_iter().filter(|(_, entry)| entry.kind == EntryKind::CarryOver);
    entries.map(|(_, entry)| entry.amounts).collect()
}

#[test]
fn a_refund_takes_nothing_from_a_window_that_never_counted_its_charge() {
    let mut tree = Tree::with("acme", budget(100));
    tree.charge("acme", 60);
    let mut both = budget(100);
    both.windows.push(Window { name: "day".into(), ..daily(100).windows[0].clone() });
    tree.put("acme", both);
    tree.put("acme/search", budget(100));
    tree.charge("acme/search", 50);
    let refund = Refund {
        namespace: "default".into(),
        path: "acme".into(),
        id: "back".into(),
        charge_id: "c1".into(),
        amounts: usd(40),
    };
    tree.bed.run(Command::Refund(refund)).unwrap();
    let used = tree.view("acme").windows.into_iter().map(|window| window.used);
    assert_eq!(used.collect::<Vec<_>>(), [usd(70), usd(50)], "the day began without the sixty");
    assert_eq!(tree.reconcile(true, false).1, []);
}

#[test]
fn what_a_period_leaves_is_of_the_limit_that_it_had() {
    let mut tree = Tree::with("acme", Budget { carry_over: Some(true), ..daily(100) });
    tree.charge("acme", 30);
    tree.bed.pass(DAY);
    let limits = BTreeMap::from([("usd".to_owned(), 1_000)]);
    tree.change("acme", BudgetChange::Raise { window: "total".into(), limits }).unwrap();
    assert_eq!(carried(&tree), [usd(70)]);
}

#[test]
fn a_budget_carries_over_from_the_period_that_it_was_made_in() {
    let mut tree = Tree::with("acme", Budget { carry_over: Some(true), ..daily(100) });
    tree.bed.pass(DAY);
    assert!(tree.hold(1, 200).is_ok());
    assert_eq!(carried(&tree), [usd(100)]);
}

#[test]
fn what_is_carried_over_is_there_from_the_instant_that_the_period_begins_though_nobody_does_anything() {
    let mut tree = Tree::with("acme", Budget { carry_over: Some(true), ..daily(100) });
    tree.charge("acme", 30);
    let midnight = tree.bed.now - tree.bed.now.rem_euclid(DAY) + DAY;
    tree.bed.pass(midnight - 1 - tree.bed.now);
    assert_eq!(carried(&tree), []);
    tree.bed.pass(1);
    assert_eq!(carried(&tree), [usd(70)]);
    let view = tree.view("acme");
    assert_eq!(view.windows[0].free, [("usd".to_owned(), 170)]);
    let (namespace, uses) = ("default".to_owned(), vec![("acme".to_owned(), Some(usd(170)))]);
    assert_eq!(tree.bed.run(Command::CheckUses(CheckUses { namespace, uses })), Ok(Outcome::Done));
    // One that nobody uses has the next day a limit of its own, and what that day left.
    tree.bed.pass(DAY);
    assert_eq!(carried(&tree), [usd(70), usd(100)]);
    assert_eq!(tree.reconcile(true, false).1, []);
}

#[test]
fn a_budget_that_did_not_carry_over_has_nothing_of_yesterday() {
    let mut tree = Tree::with("acme", daily(100));
    tree.charge("acme", 30);
    tree.bed.pass(DAY);
    tree.put("acme", Budget { carry_over: Some(true), ..daily(100) });
    assert_eq!(carried(&tree), []);
    assert!(matches!(tree.hold(1, 101), Err(Refusal::HoldTooLarge(_))));
}

#[test]
fn who_is_told_that_it_is_short_is_told_when_the_period_ends() {
    let mut tree = Tree::with("acme", daily(100));
    let resets_at = |tree: &mut Tree| match tree.hold(9, 100) {
        Err(Refusal::BudgetExhausted(short)) => short.resets_at,
        other => panic!("{other:?}"),
    };
    let midnight = |now: Millis| Some(now - now.rem_euclid(DAY) + DAY);
    tree.hold(1, 1).unwrap();
    assert_eq!(resets_at(&mut tree), midnight(tree.bed.now), "also where nothing was used");
    tree.charge("acme", 1);
    tree.bed.pass(DAY);
    tree.hold(2, 1).unwrap();
    assert_eq!(resets_at(&mut tree), midnight(tree.bed.now), "yesterday's end is none");
}

#[test]
fn a_rolling_window_says_when_it_has_room_again() {
    let mut rolling = daily(100);
    rolling.windows[0].kind = WindowKind::Rolling { every_ms: 60_000 };
    let mut tree = Tree::with("acme", rolling);
    assert_eq!(tree.view("acme").windows[0].end, None, "nothing counts");
    tree.charge("acme", 100);
    tree.bed.pass(5_000);
    let end = tree.view("acme").windows[0].end.unwrap();
    tree.bed.pass(end - tree.bed.now - 1);
    assert!(tree.hold(1, 1).is_err());
    tree.bed.pass(1);
    assert!(tree.hold(2, 1).is_ok());
}

#[test]
fn a_breached_budget_that_begins_to_act_stops_what_runs() {
    for before in
        [Budget { on_hard: Some(OnHard::Block), ..budget(10) }, Budget { shadow: Some(true), ..budget(10) }]
    {
        let mut world = World::new(&["acme"]);
        world.set("acme", BudgetChange::Put(Box::new(before))).unwrap();
        world.submit(&[("acme", 5)], |_| ());
        world.claim(1);
        world.settle();
        let lease = world.claim(1)[0];
        world.charge(lease, "c", 11);
        world.settle();
        assert!(world.view("acme").breached);
        assert!(world.e().heartbeat(lease).unwrap().stop.is_none());
        let fails = Budget { on_hard: Some(OnHard::Fail), ..budget(10) };
        world.set("acme", BudgetChange::Put(Box::new(fails))).unwrap();
        world.settle();
        let stop = world.e().heartbeat(lease).unwrap().stop.unwrap();
        assert_eq!(stop.reason, StopReason::BudgetFail);
    }
}

#[test]
fn a_budget_above_what_is_held_is_not_deleted_unless_forced() {
    let mut tree = Tree::with("acme", budget(100));
    tree.put("acme/search", budget(100));
    let id = HoldId::derived(tree.bed.partition.id(), b"h");
    let (namespace, path) = ("default".to_owned(), "acme/search".to_owned());
    let hold = HoldBudget { id, namespace: namespace.clone(), path, amounts: usd(10), ttl_ms: 60_000 };
    tree.bed.run(Command::HoldBudget(hold)).unwrap();
    let delete = |force| {
        Command::DeleteBudget(DeleteBudget { namespace: namespace.clone(), path: "acme".into(), force })
    };
    let held = Err(Refusal::BudgetHeld { path: "acme".into(), holds: 1 });
    assert_eq!(tree.bed.run(delete(false)), held);
    assert_eq!(tree.bed.run(delete(true)), Ok(Outcome::Done));
}

#[test]
fn what_is_kept_aside_for_the_want_of_a_budget_is_kept_once() {
    let mut bed = bed::Bed::at(budget_home("default", "acme"));
    let key = PermitKey { execution: ExecutionId::fresh(bed::START, PartitionId(1), 5), ask: 1, n: 0 };
    let charge = Charge::new("c", usd(10));
    let book = BookCharge {
        charge: PermitCharge { key, namespace: "default".into(), path: "acme".into(), charge, late: false },
    };
    bed.read_first = [key::charge("default", "acme", "c")].into();
    let mut booked = || match bed.run(Command::BookCharge(book.clone())) {
        Ok(Outcome::Booked(booked)) => (booked.quarantined, booked.existed, booked.seq),
        other => panic!("{other:?}"),
    };
    assert_eq!([booked(), booked()], [(true, false, 1), (true, true, 1)]);
}

#[test]
fn a_change_that_comes_late_undoes_nothing_newer() {
    let mut tree = Tree::with("acme", budget(100));
    let raise = |hard| {
        let limits = BTreeMap::from([("usd".to_owned(), hard)]);
        let change = Box::new(BudgetChange::Raise { window: "total".into(), limits });
        BudgetChange::Only { generation: 1, change }
    };
    tree.change("acme", raise(200)).unwrap();
    tree.change("acme", raise(200)).unwrap();
    tree.put("acme", budget(500));
    let late = tree.change("acme", raise(200));
    assert_eq!(late, Err(Refusal::BudgetChanged { path: "acme".into(), generation: 3 }));
    assert!(tree.hold(1, 500).is_ok());
    let make = BudgetChange::Only { generation: 0, change: Box::new(BudgetChange::Put(Box::new(budget(7)))) };
    assert!(tree.change("acme", make.clone()).is_err());
    assert!(tree.change("acme/new", make).is_ok());
}

#[test]
fn every_level_says_of_itself_whether_it_is_short() {
    let mut world = World::new(&["acme"]);
    for (path, hard) in [("acme", 1_000), ("acme/a", 100), ("acme/a/b", 500), ("acme/c", 10)] {
        world.budget(path, hard);
    }
    world.submit(&[("acme/a/b", 60)], |_| ());
    world.submit(&[("acme/a/b", 60)], |s| s.priority = -1);
    world.claim(2);
    world.settle();
    assert_eq!(world.claim(2).len(), 1);
    world.settle();
    let stands = ["acme", "acme/a", "acme/a/b", "acme/c"].map(|path| {
        let view = world.view(path);
        (view.exhausted, view.waiting, view.windows[0].free.clone())
    });
    let free = |usd| vec![("usd".to_owned(), usd)];
    let expected = [(false, 1, free(940)), (true, 1, free(40)), (false, 1, free(440)), (false, 0, free(10))];
    assert_eq!(stands, expected);
}
