//! Budgets by themselves: windows, limits, holds without a lease, charges by path, the ledger and its reconciler.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod bed;
mod tree;
mod world;

use std::collections::BTreeMap;

use stint_core::command::*;
use stint_core::model::*;
use stint_core::*;
use tree::{Tree, windowed};
use world::{budget, usd};

const HOUR: Millis = 3_600_000;
const DAY: Millis = 24 * HOUR;

#[test]
fn a_charge_counts_at_every_level_once_per_id() {
    let mut tree = Tree::with("acme", budget(1_000));
    tree.put("acme/search", budget(500));
    tree.put("acme/search/agent-7", budget(100));
    let spent = || Spent::Amounts(usd(30));
    let first = tree.charge_as("acme/search/agent-7", "r-1", spent()).unwrap();
    let again = tree.charge_as("acme/search/agent-7", "r-1", spent()).unwrap();
    assert_eq!((first.existed, again.existed, again.seq), (false, true, first.seq));
    let other = tree.charge_as("acme/search/agent-7", "r-1", Spent::Amounts(usd(31)));
    assert_eq!(other, Err(Refusal::ChargeConflict { charge: "r-1".into() }));
    tree.charge("acme/search", 5);
    assert_eq!(["acme", "acme/search", "acme/search/agent-7"].map(|path| tree.used(path)), [35, 35, 30]);
    let unknown = tree.charge_as("acme/else", "r-2", spent());
    assert_eq!(unknown, Err(Refusal::BudgetNotFound { path: "acme/else".into() }));
    assert_eq!(tree.ledger().iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn spend_is_recorded_in_full_above_the_limit_and_the_breach_latches() {
    let mut tree = Tree::with("acme", budget(100));
    tree.charge("acme", 90);
    let booked = tree.charge("acme", 90);
    assert_eq!((booked.breached, booked.over.unwrap().missing), (true, 80));
    assert_eq!(tree.used("acme"), 180);
    tree.charge("acme", 5);
    assert_eq!((tree.said(EventKind::BudgetBreached), tree.view("acme").breaches), (1, 1));
    assert!(matches!(tree.hold(1, 1), Err(Refusal::BudgetExhausted(_))));
    let limits = BTreeMap::from([("usd".to_owned(), 185)]);
    tree.change("acme", BudgetChange::Raise { window: "total".into(), limits }).unwrap();
    assert!(!tree.view("acme").breached);
    assert!(matches!(tree.hold(1, 1), Err(Refusal::BudgetExhausted(_))), "nothing is free all the same");
}

#[test]
fn a_lowered_limit_overcommits_and_stops_nobody() {
    let mut tree = Tree::with("acme", budget(100));
    tree.hold(1, 80).unwrap();
    tree.put("acme", budget(50));
    let view = tree.view("acme");
    assert_eq!((view.overcommitted, view.breached), (true, false));
    assert!(matches!(tree.hold(2, 1), Err(Refusal::BudgetExhausted(_))));
    assert!(matches!(tree.hold(2, 51), Err(Refusal::HoldTooLarge(_))));
}

#[test]
fn holds_are_given_once_extended_settled_and_expire_into_doubt() {
    let mut tree = Tree::with("acme", budget(100));
    let held = tree.hold(1, 60).unwrap();
    assert_eq!(tree.hold(1, 60), Ok(held.clone()), "the same request is the same hold");
    assert!(matches!(tree.hold(1, 61), Err(Refusal::HoldConflict { .. })));
    let extend = |id: &str, amount| {
        Command::ExtendHold(ExtendHold {
            hold: HoldKey::Free(held.id),
            id: id.into(),
            amounts: usd(amount),
            at_least: false,
        })
    };
    let granted = |outcome| match outcome {
        Ok(Outcome::Extended(ExtendAnswer { granted, .. })) => granted,
        other => panic!("{other:?}"),
    };
    assert!(granted(tree.bed.run(extend("e1", 40))));
    assert!(granted(tree.bed.run(extend("e1", 40))), "once");
    assert!(!granted(tree.bed.run(extend("e2", 1))));
    assert_eq!(tree.view("acme").held.get("usd"), 100);
    let charges = vec![("s1".to_owned(), Spent::Amounts(usd(70)))];
    tree.bed.run(Command::SettleHold(SettleHold { hold: held.id, charges })).unwrap();
    assert_eq!((tree.used("acme"), tree.view("acme").holds), (70, 0));

    let forgotten = tree.hold(2, 30).unwrap();
    tree.bed.pass(1_000);
    assert_eq!(tree.view("acme").held.get("usd"), 30, "in doubt");
    let charge = ChargeHold { hold: forgotten.id, id: "late".into(), spent: Spent::Amounts(usd(10)) };
    tree.bed.run(Command::ChargeHold(charge)).unwrap();
    assert_eq!((tree.used("acme"), tree.view("acme").held.get("usd")), (80, 20));
    tree.bed.pass(IN_DOUBT_MS);
    assert_eq!(tree.view("acme").holds, 0);
}

#[test]
fn a_new_period_begins_by_itself_and_a_refund_counts_in_the_old_one() {
    let mut tree = Tree::with("acme", windowed(WindowKind::Day { zone: "Europe/Berlin".into() }, 100));
    tree.charge("acme", 100);
    assert!(tree.hold(1, 1).is_err());
    let end = tree.view("acme").windows[0].end.unwrap();
    tree.bed.pass(end - tree.bed.now - 1);
    assert_eq!(tree.used("acme"), 100);
    tree.bed.pass(1);
    assert_eq!(tree.used("acme"), 0, "nobody had to do anything");
    tree.hold(1, 60).unwrap();
    tree.charge("acme", 40);
    let refund = Refund {
        namespace: "default".into(),
        path: "acme".into(),
        id: "back".into(),
        charge_id: "c1".into(),
        amounts: usd(30),
    };
    tree.bed.run(Command::Refund(refund.clone())).unwrap();
    tree.bed.run(Command::Refund(refund.clone())).unwrap();
    assert_eq!(tree.used("acme"), 40, "it counts yesterday");
    let more = Refund { id: "more".into(), amounts: usd(71), ..refund };
    assert_eq!(tree.bed.run(Command::Refund(more)), Err(Refusal::RefundTooLarge { charge: "c1".into() }));
    assert_eq!(tree.reconcile(true, false).1, []);
}

#[test]
fn a_rolling_window_never_counts_too_little() {
    let mut tree = Tree::with("acme", windowed(WindowKind::Rolling { every_ms: HOUR }, 100));
    let mut charges: Vec<(Millis, u64)> = Vec::new();
    for n in 0..200 {
        tree.bed.pass(97_000);
        tree.charge("acme", n % 7 + 1);
        charges.push((tree.bed.now, n % 7 + 1));
        let now = tree.bed.now;
        let least: u64 = charges.iter().filter(|(at, _)| *at > now - HOUR).map(|(_, amount)| amount).sum();
        let most: u64 = charges.iter().filter(|(at, _)| *at > now - HOUR - HOUR / 30).map(|(_, n)| n).sum();
        let used = tree.used("acme");
        assert!((least..=most).contains(&used), "{least} {used} {most}");
    }
    assert_eq!(tree.reconcile(false, false).1, []);
}

#[test]
fn who_waits_is_granted_when_the_period_ends() {
    let mut tree = Tree::with("acme", windowed(WindowKind::Rolling { every_ms: HOUR }, 100));
    tree.charge("acme", 101);
    assert!(tree.view("acme").breached);
    tree.bed.pass(HOUR + HOUR / 30);
    assert!(!tree.view("acme").breached);
    assert_eq!(tree.said(EventKind::BudgetCleared), 1, "the clock has said so");
}

#[test]
fn top_ups_are_consumed_first_the_earliest_expiry_before_others() {
    let mut tree = Tree::with("acme", budget(100));
    tree.charge("acme", 50);
    tree.top_up("late", 30, Some(2 * DAY));
    tree.top_up("soon", 20, Some(DAY));
    tree.top_up("soon", 20, Some(DAY));
    assert_eq!(tree.hold(1, 101), Err(Refusal::BudgetExhausted(Box::new(exhausted(150, 50, 0, 1)))));
    tree.charge("acme", 25);
    let left = |tree: &mut Tree| -> Vec<(String, u64)> {
        let view = tree.view("acme");
        view.windows[0].top_ups.iter().map(|t| (t.id.clone(), t.left.get("usd"))).collect()
    };
    assert_eq!(left(&mut tree), [("late".to_owned(), 25)]);
    tree.bed.pass(2 * DAY);
    assert_eq!(left(&mut tree), [], "only what was not consumed has gone");
    assert!(tree.hold(1, 50).is_ok());
    assert!(matches!(tree.hold(2, 1), Err(Refusal::BudgetExhausted(_))));
    assert_eq!(tree.ledger().iter().filter(|(_, e)| e.kind == EntryKind::TopUp).count(), 2);
}

fn exhausted(limit: u64, used: u64, held: u64, missing: u64) -> Shortfall {
    let (path, window, dimension) = ("acme".into(), "total".into(), "usd".into());
    Shortfall { path, window, dimension, limit, used, held, missing, resets_at: None }
}

#[test]
fn a_top_up_pays_what_was_spent_beyond_the_limit() {
    let mut tree = Tree::with("acme", budget(100));
    tree.charge("acme", 110);
    tree.top_up("t", 30, None);
    assert!(!tree.view("acme").breached);
    assert!(tree.hold(1, 20).is_ok());
    assert!(tree.hold(2, 1).is_err());
}

#[test]
fn what_a_period_leaves_is_carried_over_if_so_asked() {
    let mut day = windowed(WindowKind::Day { zone: "UTC".into() }, 100);
    day.carry_over = Some(true);
    let mut tree = Tree::with("acme", day);
    tree.charge("acme", 30);
    tree.bed.pass(DAY);
    assert!(tree.hold(1, 170).is_ok(), "a hundred, and seventy of yesterday");
    assert!(tree.hold(2, 1).is_err());
    let carried = tree.ledger().into_iter().filter(|(_, e)| e.kind == EntryKind::CarryOver);
    assert_eq!(carried.map(|(_, e)| e.amounts).collect::<Vec<_>>(), [usd(70)]);
}

#[test]
fn soft_limits_are_told_once_per_period() {
    let mut day = windowed(WindowKind::Day { zone: "UTC".into() }, 100);
    let soft = Some(vec![Soft::Percent(50), Soft::Amount(80)]);
    day.windows[0].limits.insert("usd".into(), Limit { hard: Some(100), soft });
    let mut tree = Tree::with("acme", day);
    let told = |tree: &mut Tree, amount| {
        let before = tree.said(EventKind::BudgetSoftLimit);
        tree.charge("acme", amount);
        tree.said(EventKind::BudgetSoftLimit) - before
    };
    assert_eq!([49, 1, 10, 25].map(|amount| told(&mut tree, amount)), [0, 1, 0, 1]);
    tree.bed.pass(DAY);
    assert_eq!(told(&mut tree, 85), 2);
}

#[test]
fn a_shadow_budget_only_watches() {
    let mut tree = Tree::with("acme", Budget { shadow: Some(true), ..budget(10) });
    assert!(tree.hold(1, 50).is_ok());
    tree.charge("acme", 50);
    assert!(tree.view("acme").breached);
    assert_eq!(tree.said(EventKind::BudgetBreached), 1);
}

#[test]
fn a_window_of_another_kind_starts_anew_and_its_recount_knows() {
    let mut tree = Tree::with("acme", budget(100));
    tree.charge("acme", 60);
    tree.put("acme", windowed(WindowKind::Day { zone: "UTC".into() }, 100));
    assert_eq!(tree.used("acme"), 0);
    tree.charge("acme", 5);
    assert_eq!((tree.used("acme"), tree.reconcile(true, false).1), (5, vec![]));
}

#[test]
fn deleting_is_refused_while_money_is_held_unless_forced() {
    let mut tree = Tree::with("acme", budget(1_000));
    tree.put("acme/search", budget(100));
    let id = HoldId::derived(tree.bed.partition.id(), b"h");
    let (namespace, path) = ("default".to_owned(), "acme/search".to_owned());
    let hold =
        HoldBudget { id, namespace: namespace.clone(), path: path.clone(), amounts: usd(10), ttl_ms: 60_000 };
    tree.bed.run(Command::HoldBudget(hold)).unwrap();
    let mut delete = DeleteBudget { namespace, path: path.clone(), force: false };
    let held = Err(Refusal::BudgetHeld { path, holds: 1 });
    assert_eq!(tree.bed.run(Command::DeleteBudget(delete.clone())), held);
    delete.force = true;
    tree.bed.run(Command::DeleteBudget(delete.clone())).unwrap();
    let charge = |id: &str| {
        Command::ChargeHold(ChargeHold { hold: id_of(&id), id: id.into(), spent: Spent::Amounts(usd(4)) })
    };
    fn id_of(_: &&str) -> HoldId {
        HoldId::derived(budget_home("default", "acme"), b"h")
    }
    tree.bed.run(charge("late")).unwrap();
    assert_eq!(tree.used("acme"), 4, "it counts for the level above");
    delete.path = "acme".into();
    tree.bed.run(Command::DeleteBudget(delete)).unwrap();
    let Ok(Outcome::Booked(booked)) = tree.bed.run(charge("later")) else { panic!() };
    assert!(booked.quarantined);
    assert_eq!(tree.ledger().last().unwrap().1.kind, EntryKind::Quarantined);
}

#[test]
fn usage_without_a_price_is_refused_or_kept_aside_and_never_nothing() {
    let mut tree = Tree::with("acme", budget(1_000));
    let usage = || {
        Spent::Usage(Usage {
            model: "m-1".into(),
            input_tokens: 10,
            cached_input_tokens: 0,
            cache_write_tokens: 0,
            output_tokens: 5,
            calls: 1,
        })
    };
    let unknown = Err(Refusal::PriceUnknown { model: "m-1".into() });
    assert_eq!(tree.charge_as("acme", "r", usage()), unknown);
    let prices = |tree: &mut Tree, table: PriceTable| {
        let at = key::prices("default");
        let record = Record::Prices(Box::new(table));
        tree.bed.store.insert(at.clone(), record.encode().into());
        tree.bed.partition.put(&at, Some(record));
    };
    let mut table = PriceTable { version: 1, unpriced: Unpriced::Quarantine, models: BTreeMap::new() };
    prices(&mut tree, table.clone());
    let aside = tree.charge_as("acme", "r", usage()).unwrap();
    assert!(aside.quarantined);
    assert!(tree.charge_as("acme", "r", usage()).unwrap().existed);
    table.version = 2;
    table
        .models
        .insert("m-1".into(), Price { input: 1_000_000, output: 2_000_000, call: 3, ..Price::default() });
    prices(&mut tree, table);
    let priced = tree.charge_as("acme", "r", usage()).unwrap();
    assert_eq!((priced.quarantined, priced.existed), (false, false));
    let used = tree.view("acme").windows[0].used.clone();
    assert_eq!((used.get("usd_micros"), used.get("output_tokens")), (23, 5));
    assert_eq!(tree.ledger().last().unwrap().1.prices, Some(2));
    assert!(tree.charge_as("acme", "r", usage()).unwrap().existed);
}

#[test]
fn a_drift_is_found_repaired_once_and_said() {
    let mut tree = Tree::with("acme", budget(1_000));
    tree.put("acme/search", budget(500));
    for _ in 0..5 {
        tree.charge("acme/search", 10);
    }
    assert_eq!(tree.reconcile(false, false), (2, vec![]));
    assert_eq!(tree.reconcile(false, false), (0, vec![]), "unchanged budgets are left alone");
    tree.charge("acme/search", 10);
    assert_eq!(tree.reconcile(false, false).1, []);
    tree.drift("acme/search", 900);
    let drift = Drift {
        path: "acme/search".into(),
        window: "total".into(),
        period: 0,
        of: DriftOf::Used,
        counted: usd(900),
        ledger: usd(60),
    };
    assert_eq!(tree.reconcile(false, true), (1, vec![drift.clone()]), "only said");
    assert_eq!(tree.used("acme/search"), 900);
    assert_eq!(tree.reconcile(false, false).1, [drift]);
    assert_eq!((tree.used("acme/search"), tree.said(EventKind::BudgetRepaired)), (60, 1));
    let repair = tree.ledger().pop().unwrap().1;
    assert_eq!((repair.kind, repair.less), (EntryKind::Repair, Some(usd(840))));
    assert_eq!(tree.reconcile(true, false).1, [], "a repair is not summed");
    tree.drift("acme", 1);
    assert_eq!(tree.reconcile(true, false).1.len(), 1);
    assert_eq!(tree.used("acme"), 60);
}

#[test]
fn only_what_changed_is_counted_where_the_rest_was_compared() {
    let mut tree = Tree::with("acme", budget(100_000));
    let paths: Vec<String> = (0..450).map(|n| format!("acme/b{n:03}")).collect();
    for path in &paths {
        tree.put(path, budget(500));
        tree.charge(path, 1);
    }
    let read = |tree: &mut Tree, unverified: Unverified| match tree.bed.run(Command::Unverified(unverified)) {
        Ok(Outcome::Unverified(recount)) => *recount,
        other => panic!("{other:?}"),
    };
    let all = Unverified { namespace: "default".into(), tree: "acme".into(), ..Unverified::default() };
    let verify = |tree: &mut Tree, mut recount: Recount| {
        let from = recount.from;
        for (seq, entry) in tree.ledger().into_iter().filter(|(seq, _)| *seq > from) {
            recount.add(seq, &entry);
        }
        let strangers = std::mem::take(&mut recount.strangers);
        for recount in recount.parts() {
            let verified = tree.bed.run(Command::Verify(Verify { recount, dry_run: false }));
            assert_eq!(verified, Ok(Outcome::Reconciled(Vec::new())));
        }
        strangers
    };
    let mut recount = read(&mut tree, all.clone());
    assert!(recount.len() < 451, "a part of them at a time");
    while let Some(after) = recount.next.take() {
        recount.join(read(&mut tree, Unverified { after: Some(after), ..all.clone() }));
    }
    assert_eq!(recount.len(), 451);
    let compared = Some(recount.upto);
    verify(&mut tree, recount);
    tree.charge("acme/b007", 1);
    let since = Unverified { compared, ..all.clone() };
    let mut recount = read(&mut tree, since.clone());
    while let Some(after) = recount.next.take() {
        recount.join(read(&mut tree, Unverified { after: Some(after), ..since.clone() }));
    }
    assert_eq!(recount.len(), 2, "it and the root");
    assert!(verify(&mut tree, recount).is_empty());
    // A sum that an entry never reached looks as it did when it was compared: the entry tells.
    let compared = Some(tree.ledger().last().unwrap().0);
    tree.charge("acme/b008", 3);
    tree.drift("acme/b008", 1);
    let mut recount = read(&mut tree, Unverified { compared, ..all.clone() });
    while let Some(after) = recount.next.take() {
        recount.join(read(&mut tree, Unverified { compared, after: Some(after), ..all.clone() }));
    }
    assert_eq!(verify(&mut tree, recount), ["acme/b008".to_owned()].into());
    assert_eq!(tree.reconcile(false, false).1.len(), 1);
    assert_eq!(tree.used("acme/b008"), 4);
}

#[test]
fn what_is_taken_off_beyond_what_was_used_is_made_up_for_by_what_is_spent_next() {
    for kind in [WindowKind::Total, WindowKind::Rolling { every_ms: 3_600_000 }] {
        let mut tree = Tree::with("acme", tree::windowed(kind, 10));
        let adjust = |tree: &mut Tree, id: &str, more, less| {
            let (namespace, path) = ("default".to_owned(), "acme".to_owned());
            let (more, less) = (usd(more), usd(less));
            let adjust = Adjust { namespace, path, id: id.into(), more, less, reason: None };
            tree.bed.run(Command::Adjust(adjust)).unwrap();
        };
        tree.charge("acme", 1);
        adjust(&mut tree, "typo", 0, 5);
        assert_eq!(tree.used("acme"), 0);
        adjust(&mut tree, "untypo", 5, 0);
        assert_eq!(tree.used("acme"), 1, "as the ledger says");
        adjust(&mut tree, "again", 0, 5);
        assert!(tree.hold(1, 11).is_err(), "it is no raise");
        // In a rolling window also what is spent in another of its steps.
        tree.bed.pass(120_000);
        tree.charge("acme", 7);
        assert_eq!((tree.used("acme"), tree.reconcile(true, false).1), (3, vec![]));
        let at = key::counters("default", "acme");
        let mut counters = tree.bed.partition.counters("default", "acme").unwrap().clone();
        counters.windows[0].periods[0].owed = Some(usd(6));
        let record = Record::Counters(Box::new(counters));
        tree.bed.store.insert(at.clone(), record.encode().into());
        tree.bed.partition.put(&at, Some(record));
        assert!(!tree.reconcile(false, false).1.is_empty());
        assert_eq!((tree.used("acme"), tree.reconcile(true, false).1), (3, vec![]));
    }
}

#[test]
fn a_latch_that_is_not_as_it_should_be_is_set_right_though_the_sums_are() {
    let mut tree = Tree::with("acme", budget(10));
    tree.charge("acme", 11);
    assert_eq!(tree.reconcile(false, false).1, []);
    let at = key::counters("default", "acme");
    let mut counters = tree.bed.partition.counters("default", "acme").unwrap().clone();
    counters.breached = None;
    let record = Record::Counters(Box::new(counters));
    tree.bed.store.insert(at.clone(), record.encode().into());
    tree.bed.partition.put(&at, Some(record));
    assert_eq!(tree.said(EventKind::BudgetBreached), 1);
    assert_eq!(tree.reconcile(false, false), (1, vec![]));
    assert_eq!(tree.said(EventKind::BudgetBreached), 2);
    assert_eq!(tree.reconcile(false, false), (0, vec![]));
}

#[test]
fn an_entry_that_is_missing_is_not_taken_for_nothing_spent() {
    let mut tree = Tree::with("acme", budget(1_000));
    for _ in 0..5 {
        tree.charge("acme", 10);
    }
    let before = tree.bed.store.clone();
    for gone in [1, 3, 5] {
        tree.bed.store = before.clone();
        tree.bed.store.remove(&key::entry("default", "acme", gone));
        for dry_run in [true, false] {
            let Err(Refusal::Corrupt(reason)) = tree.recount(true, dry_run) else { panic!("{gone}") };
            assert_eq!(reason, format!("entry {gone} of the ledger of acme is missing"));
        }
        assert_eq!(tree.used("acme"), 50);
    }
    tree.bed.store = before;
    assert_eq!(tree.reconcile(true, false), (1, vec![]));
}

#[test]
fn a_recount_is_not_applied_where_entries_that_it_read_were_lost_since() {
    let mut tree = Tree::with("acme", budget(1_000));
    tree.charge("acme", 10);
    let before = tree.bed.store.clone();
    tree.charge("acme", 10);
    let unverified = Unverified { namespace: "default".into(), tree: "acme".into(), ..Unverified::default() };
    let Ok(Outcome::Unverified(mut recount)) = tree.bed.run(Command::Unverified(unverified)) else {
        panic!()
    };
    tree.ledger().iter().for_each(|(seq, entry)| recount.add(*seq, entry));
    tree.bed.store = before;
    tree.bed.partition = tree.bed.rebuilt();
    let verify = Command::Verify(Verify { recount: *recount, dry_run: false });
    assert_eq!(tree.bed.run(verify), Ok(Outcome::LedgerMoved));
    tree.charge("acme", 7);
    assert_eq!((tree.reconcile(false, false).1, tree.used("acme")), (vec![], 17));
}

#[test]
fn a_recount_applies_its_difference_to_what_the_counters_are_by_then() {
    let mut tree = Tree::with("acme", budget(1_000));
    tree.charge("acme", 10);
    tree.drift("acme", 500);
    let unverified = Unverified { namespace: "default".into(), tree: "acme".into(), ..Unverified::default() };
    let Ok(Outcome::Unverified(mut recount)) = tree.bed.run(Command::Unverified(unverified)) else {
        panic!()
    };
    tree.charge("acme", 7);
    for (seq, entry) in tree.ledger() {
        recount.add(seq, &entry);
    }
    tree.bed.run(Command::Verify(Verify { recount: *recount, dry_run: false })).unwrap();
    assert_eq!(tree.used("acme"), 17);
    assert_eq!(tree.reconcile(true, false).1, []);
}

#[test]
fn amounts_that_do_not_fit_are_refused_and_change_nothing() {
    let mut tree = Tree::with("acme", Budget { windows: budget(0).windows, ..Budget::default() });
    tree.charge("acme", u64::MAX);
    let over = tree.charge_as("acme", "over", Spent::Amounts(usd(1)));
    assert_eq!(over, Err(Refusal::AmountOverflow { dimension: "usd".into() }));
    assert_eq!((tree.used("acme"), tree.ledger().len()), (u64::MAX, 1));
}

#[test]
fn the_same_charge_at_another_path_is_another_charge() {
    let mut tree = Tree::with("acme", budget(100));
    for path in ["acme/a", "acme/b"] {
        tree.put(path, budget(100));
    }
    let spent = || Spent::Amounts(usd(5));
    assert!(!tree.charge_as("acme/a", "r-1", spent()).unwrap().existed);
    assert!(tree.charge_as("acme/a", "r-1", spent()).unwrap().existed);
    // Also where no budget is, and where one is above it.
    for path in ["acme/b", "acme", "acme/none"] {
        let other = tree.charge_as(path, "r-1", spent());
        assert_eq!(other, Err(Refusal::ChargeConflict { charge: "r-1".into() }), "{path}");
    }
    assert_eq!((tree.used("acme"), tree.used("acme/a"), tree.used("acme/b")), (5, 5, 0));
}
