//! Holds without a lease, beside executions and budgets that go.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod bed;
mod world;

use stint_core::command::*;
use stint_core::model::*;
use stint_core::*;
use world::{World, usd};

/// Sets money aside at the root of the only tree.
fn hold(world: &mut World, path: &str, id: u8, amount: u64) -> Result<Outcome, Refusal> {
    let bed = world.bed(1);
    let hold = HoldBudget {
        id: HoldId::derived(bed.partition.id(), &[id]),
        namespace: "default".into(),
        path: path.into(),
        amounts: usd(amount),
        ttl_ms: 600_000,
    };
    bed.run(Command::HoldBudget(hold))
}

#[test]
fn a_hold_without_a_lease_does_not_overtake_who_waits() {
    let mut world = World::new(&["acme"]);
    for (path, hard) in [("acme", 1_000), ("acme/a", 100), ("acme/b", 100)] {
        world.budget(path, hard);
    }
    hold(&mut world, "acme/a", 1, 60).unwrap();
    let large = world.submit(&[("acme/a", 70)], |_| ());
    world.claim(1);
    world.settle();
    assert_eq!(world.e().why(large).state, "blocked");
    let Err(Refusal::BudgetExhausted(short)) = hold(&mut world, "acme/a", 2, 10) else {
        panic!("small holds would keep it waiting for ever")
    };
    assert_eq!((short.path.as_str(), short.missing), ("acme/a", 30));
    assert!(hold(&mut world, "acme/b", 3, 10).is_ok(), "nobody waits for that one");
    let first = HoldId::derived(world.bed(1).partition.id(), &[1]);
    world.bed(1).run(Command::ReleaseHold(ReleaseHold { hold: first })).unwrap();
    world.settle();
    assert_eq!(world.claim(1)[0].execution, large);
    assert!(hold(&mut world, "acme/a", 2, 10).is_ok());
}

#[test]
fn under_a_budget_that_was_deleted_nothing_more_is_had_and_what_asks_is_stopped() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    let id = world.submit(&[("acme", 10)], |_| ());
    world.claim(1);
    world.settle();
    let lease = world.claim(1)[0];
    hold(&mut world, "acme", 1, 10).unwrap();
    world.delete("acme");
    world.extend(lease, 1_000_000);
    let free = HoldKey::Free(HoldId::derived(world.bed(1).partition.id(), &[1]));
    let extend = ExtendHold { hold: free, id: "e".into(), amounts: usd(1), at_least: false };
    let refused = world.bed(1).run(Command::ExtendHold(extend));
    assert_eq!(refused, Err(Refusal::BudgetNotFound { path: "acme".into() }));
    world.settle();
    let stop = world.e().heartbeat(lease).unwrap().stop.unwrap();
    assert_eq!(stop.message.as_deref(), Some("there is no budget acme any more"));
    world.e().run(Command::Suspend(Suspend { lease })).unwrap();
    world.settle();
    world.claim(1);
    world.settle();
    let shown = world.e().show(id).execution;
    assert_eq!(shown.state(), State::Failed);
}

#[test]
fn what_is_said_again_of_a_hold_that_is_over_is_answered_the_same_and_makes_no_other() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    hold(&mut world, "acme", 1, 60).unwrap();
    let bed = world.bed(1);
    let id = HoldId::derived(bed.partition.id(), &[1]);
    bed.read_first.insert(key::charge("default", "acme", "c"));
    let charges = vec![("c".to_owned(), Spent::Amounts(usd(40)))];
    let settle = Command::SettleHold(SettleHold { hold: id, charges });
    let booked = |outcome| match outcome {
        Ok(Outcome::Booked(booked)) => booked,
        other => panic!("{other:?}"),
    };
    let settled = |duplicates: &[&str]| {
        let duplicates = duplicates.iter().map(|id| (*id).to_owned()).collect();
        Ok(Outcome::Settled(Settled { duplicates, ..Settled::default() }))
    };
    assert_eq!(bed.run(settle.clone()), settled(&[]));
    // The answer was lost.
    assert_eq!(bed.run(settle), settled(&["c"]));
    let charges =
        [("c", 40), ("c", 41)].map(|(id, amount)| (id.to_owned(), Spent::Amounts(usd(amount)))).into();
    let conflict = Box::new(Refusal::ChargeConflict { charge: "c".into() });
    let other = Command::SettleHold(SettleHold { hold: id, charges });
    assert_eq!(bed.run(other), Err(Refusal::OfCharge { n: 1, refusal: conflict }));
    let charge = |id, name: &str, amount| {
        Command::ChargeHold(ChargeHold { hold: id, id: name.into(), spent: Spent::Amounts(usd(amount)) })
    };
    assert!(booked(bed.run(charge(id, "c", 40))).existed);
    bed.read_first.insert(key::charge("default", "acme", "d"));
    let late = booked(bed.run(charge(id, "d", 5)));
    assert!(late.late && !late.existed, "what was spent is a fact");

    let Ok(Outcome::Held(delayed)) = hold(&mut world, "acme", 1, 60) else { panic!() };
    assert!(delayed.ended && delayed.held.is_zero());
    assert!(matches!(hold(&mut world, "acme", 1, 61), Err(Refusal::HoldConflict { .. })));
    assert_eq!((world.held("acme"), world.used("acme")), (0, 45));
    let bed = world.bed(1);
    let nobody = HoldId::derived(bed.partition.id(), &[9]);
    assert_eq!(bed.run(charge(nobody, "e", 1)), Err(Refusal::HoldNotFound { hold: nobody }));
    // It is forgotten in the end.
    let at = bed.now + ENDED_HOLD_MS;
    let trim = Command::TrimKey(TrimKey { hash: id.0, at });
    bed.run(trim.clone()).unwrap();
    assert!(bed.store.contains_key(&key::ended_hold(id)));
    bed.now = at;
    bed.run(trim).unwrap();
    assert!(
        !bed.store.contains_key(&key::ended_hold(id)) && !bed.store.contains_key(&key::key_trim(at, id.0))
    );
}

#[test]
fn a_hold_with_very_many_extends_is_still_the_one_that_was_asked_for() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 1_000);
    hold(&mut world, "acme", 1, 1).unwrap();
    let free = HoldKey::Free(HoldId::derived(world.bed(1).partition.id(), &[1]));
    for n in 0..EXTENDS_MAX + 3 {
        let extend = ExtendHold { hold: free, id: n.to_string(), amounts: usd(1), at_least: false };
        world.bed(1).run(Command::ExtendHold(extend)).unwrap();
    }
    assert!(hold(&mut world, "acme", 1, 1).is_ok());
}

#[test]
fn every_state_of_a_budget_begins_and_ends_with_one_event_each() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 1_000);
    world.budget("acme/a", 100);
    let told = |world: &mut World, path: &str| -> Vec<EventKind> {
        let name = format!("default\0{path}");
        let own = |event: &&Event| event.budget.as_deref() == Some(&*name);
        let is_state = |kind: &EventKind| {
            use EventKind::*;
            matches!(kind, BudgetExhausted | BudgetOpened | BudgetOvercommitted | BudgetCovered)
                || matches!(kind, BudgetBreached | BudgetCleared)
        };
        let bed = world.bed(1);
        let kinds = bed.events.iter().filter(own).map(|event| event.kind).filter(is_state).collect();
        bed.events.clear();
        kinds
    };
    let states = |world: &mut World| world.bed(1).partition.budget_states().map(|(_, count)| count);
    assert_eq!(states(&mut world), [2, 0, 0, 0]);
    let first = world.submit(&[("acme/a", 60)], |_| ());
    for _ in 0..3 {
        world.submit(&[("acme/a", 60)], |_| ());
    }
    world.claim(1);
    world.settle();
    let lease = world.claim(1)[0];
    assert_eq!((lease.execution, told(&mut world, "acme/a")), (first, vec![]));
    world.claim(3);
    world.settle();
    assert_eq!(told(&mut world, "acme/a"), [EventKind::BudgetExhausted], "once");
    assert!(world.view("acme/a").exhausted && !world.view("acme").exhausted);
    assert_eq!(states(&mut world), [1, 1, 0, 0]);
    // The limit is lowered below what is held.
    world.budget("acme/a", 59);
    world.settle();
    assert_eq!(told(&mut world, "acme/a"), [EventKind::BudgetOvercommitted, EventKind::BudgetOpened]);
    assert_eq!(states(&mut world), [1, 0, 1, 0]);
    world.charge(lease, "c1", 20);
    world.settle();
    assert_eq!(told(&mut world, "acme/a"), []);
    world.charge(lease, "c2", 45);
    world.settle();
    assert_eq!(told(&mut world, "acme/a"), [EventKind::BudgetBreached]);
    assert_eq!(states(&mut world), [1, 0, 0, 1]);
    world.budget("acme/a", 64);
    world.settle();
    assert_eq!(told(&mut world, "acme/a"), [], "65 are used");
    world.budget("acme/a", 65);
    world.settle();
    assert_eq!(told(&mut world, "acme/a"), [EventKind::BudgetCleared, EventKind::BudgetCovered]);
    assert_eq!(told(&mut world, "acme"), []);
    assert_eq!(states(&mut world), [2, 0, 0, 0]);
    world.delete("acme/a");
    assert_eq!(states(&mut world), [1, 0, 0, 0]);
}

#[test]
fn a_period_that_ends_and_a_hold_that_is_over_end_an_overcommitment() {
    let mut world = World::new(&["acme"]);
    world.set("acme", BudgetChange::Put(Box::new(tree_of_days(100)))).unwrap();
    hold(&mut world, "acme", 1, 60).unwrap();
    world.set("acme", BudgetChange::Put(Box::new(tree_of_days(50)))).unwrap();
    assert!(world.bed(1).partition.counters("default", "acme").unwrap().overcommitted == Some(true));
    let id = HoldId::derived(world.bed(1).partition.id(), &[1]);
    world.bed(1).run(Command::ReleaseHold(ReleaseHold { hold: id })).unwrap();
    assert_eq!(world.bed(1).partition.counters("default", "acme").unwrap().overcommitted, None);
    hold(&mut world, "acme", 2, 30).unwrap();
    let (namespace, path, spent) = ("default".into(), "acme".into(), Spent::Amounts(usd(40)));
    let charge = ChargeBudget { namespace, path, id: "c".into(), spent };
    world.bed(1).run(Command::ChargeBudget(charge)).unwrap();
    let is_over =
        |world: &mut World| world.bed(1).partition.counters("default", "acme").unwrap().overcommitted;
    assert_eq!(is_over(&mut world), Some(true));
    let now = world.bed(1).now;
    let end = WindowKind::Day { zone: "UTC".into() }.period(now).end;
    let before = world.bed(1).events.len();
    // The hold is longer than the day.
    let bed = world.bed(1);
    bed.now = end;
    bed.run(Command::Elapse(Elapse)).unwrap();
    assert!(bed.events[before..].iter().any(|event| event.kind == EventKind::BudgetCovered));
}

#[test]
fn what_an_attempt_that_died_left_in_doubt_is_not_dropped_for_being_asked_after() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    world.submit(&[("acme", 60)], |_| ());
    world.claim(1);
    world.settle();
    world.claim(1);
    // Its lease expires while the tree asks whether its hold is still wanted.
    let (namespace, tree) = ("default".to_owned(), "acme".to_owned());
    let ask = Reconcile { namespace, tree, asks: true, unfit: Vec::new() };
    world.bed(1).run(Command::Reconcile(ask)).unwrap();
    world.e().pass(30_000);
    world.settle();
    assert_eq!(world.held("acme"), 60);
    let events = &world.bed(1).events;
    assert!(events.iter().all(|event| event.kind != EventKind::BudgetRepaired), "it is no correction");
}

/// What attempts of a kind have cost, as far as it is learned.
fn learned(world: &mut World) -> Estimate {
    let at = key::estimate("default", "acme", "count");
    let Some(stored) = world.bed(1).store.get(&at) else { return Estimate::default() };
    match Record::decode(&at.bytes, stored).unwrap() {
        Record::Estimate(estimate) => *estimate,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_attempt_that_was_stopped_or_given_back_and_went_on_is_learned_as_one_when_it_is_over() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    let started = |world: &mut World| {
        world.claim(1);
        world.settle();
        let lease = world.claim(1)[0];
        (lease, lease.epoch)
    };
    for n in 1..=ESTIMATED_FROM {
        world.submit(&[("acme", 10)], |_| ());
        let (lease, _) = started(&mut world);
        world.charge(lease, &format!("first-{n}"), 101);
        world.settle();
        world.e().run(Command::Suspend(Suspend { lease })).unwrap();
        world.settle();
        assert_eq!(learned(&mut world).count, n - 1, "what it costs is not known yet");
        world.budget("acme", 1_000 * u64::from(n));
        world.settle();
        let (lease, epoch) = started(&mut world);
        assert_eq!(epoch, 2);
        // It is given back unused, and what is held for it is not used for a while.
        world.e().release(lease).unwrap();
        world.settle();
        world.claim(1);
        world.settle();
        world.pass(UNUSED_MS);
        world.settle();
        assert_eq!(learned(&mut world).count, n - 1, "it goes on");
        let (lease, epoch) = started(&mut world);
        assert_eq!(epoch, 3);
        world.charge(lease, &format!("second-{n}"), 20);
        world.complete(lease);
        world.settle();
        assert_eq!(learned(&mut world).count, n, "once");
        // Nothing is free for the next one once it has spent.
        let used = world.used("acme");
        world.budget("acme", used + 100);
        world.settle();
    }
    // Another attempt begins anew.
    world.submit(&[("acme", 10)], |_| ());
    let (lease, _) = started(&mut world);
    world.charge(lease, "failed", 9);
    world.e().fail(lease, "Broken").unwrap();
    world.settle();
    world.pass(2_000);
    let (lease, _) = started(&mut world);
    world.charge(lease, "again", 1);
    world.complete(lease);
    world.settle();
    let mut alike = Estimate::default();
    (0..ESTIMATED_FROM).for_each(|_| alike.record(&usd(121)));
    alike.record(&usd(9));
    alike.record(&usd(1));
    assert_eq!(learned(&mut world), alike);
}

#[test]
fn what_is_learned_holds_something_under_a_small_limit_too() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 1_000);
    let unnamed = |s: &mut Submission| {
        let used = BudgetUse { path: "acme".into(), hold: None, cap: None, attempt_cap: None };
        s.policy = bed::policy(|policy| policy.budgets = vec![used]);
    };
    for n in 0..ESTIMATED_FROM {
        world.submit(&[], unnamed);
        world.claim(1);
        world.settle();
        let lease = world.claim(1)[0];
        world.charge(lease, &format!("c{n}"), 3);
        world.complete(lease);
        world.settle();
    }
    let mut small = tree_of_days(3);
    small.on_hard = Some(OnHard::Block);
    world.set("acme", BudgetChange::Put(Box::new(small))).unwrap();
    for _ in 0..4 {
        world.submit(&[], unnamed);
    }
    world.claim(4);
    world.settle();
    assert_eq!(world.held("acme"), 3, "one for each, and no more than there is");
    assert_eq!(world.claim(4).len(), 3);
}

#[test]
fn work_that_says_no_amount_takes_a_part_of_what_there_is_and_at_the_last_only_one_starts() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    world.budget("acme/a", 1_000);
    let unnamed = |s: &mut Submission| {
        let used = BudgetUse { path: "acme/a".into(), hold: None, cap: None, attempt_cap: None };
        s.policy = bed::policy(|policy| policy.budgets = vec![used]);
    };
    (0..6).for_each(|_| _ = world.submit(&[], unnamed));
    world.claim(6);
    world.settle();
    let leases = world.claim(6);
    assert_eq!((leases.len(), world.held("acme")), (4, 100), "a quarter each");
    world.charge(leases[0], "c1", 99);
    leases.into_iter().for_each(|lease| world.complete(lease));
    world.settle();
    let leases = world.claim(6);
    world.settle();
    assert_eq!((leases.len(), world.claim(6).len(), world.held("acme")), (1, 0, 1), "99 of 100 are used");
    // Whoever knows better says so, at any level above.
    let some = Budget { default_hold: Some(usd(0)), ..world::budget(200) };
    world.set("acme", BudgetChange::Put(Box::new(some))).unwrap();
    world.complete(leases[0]);
    (0..6).for_each(|_| _ = world.submit(&[], unnamed));
    let mut started = 0;
    for _ in 0..3 {
        started += world.claim(9).len();
        world.settle();
    }
    assert_eq!((started, world.held("acme")), (7, 0));
}

/// One window of days, that has counted nothing yet.
fn tree_of_days(hard: u64) -> Budget {
    let mut budget = world::budget(hard);
    budget.windows[0].kind = WindowKind::Day { zone: "UTC".into() };
    budget
}

#[test]
fn what_is_learned_is_bounded_and_goes_with_the_budget() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 1_000_000);
    for n in 0..300 {
        world.submit(&[("acme", 10)], |s| s.kind = format!("kind-{n}").into());
        world.claim(1);
        world.settle();
        let lease = world.claim(1)[0];
        world.charge(lease, &format!("c{n}"), 3);
        world.complete(lease);
        world.settle();
    }
    let kept = |world: &mut World| {
        let prefix = key::estimate("default", "acme", "");
        let own = |key: &&Key| key.table == prefix.table && key.bytes.starts_with(&prefix.bytes);
        world.bed(1).store.keys().filter(own).count()
    };
    assert_eq!(kept(&mut world), 257, "the rest are learned together");
    world.delete("acme");
    assert_eq!(kept(&mut world), 0);
}
