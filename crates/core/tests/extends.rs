//! Extends: asking for more before more is spent.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod bed;

use std::collections::BTreeMap;

use bed::Bed;
use stint_core::command::*;
use stint_core::model::*;
use stint_core::*;

fn usd(amount: u64) -> Amounts {
    Amounts::of([("usd", amount)])
}

fn bed_with_hold(hard: u64, held: u64) -> (Bed, HoldId) {
    let home = budget_home("default", "acme");
    let mut bed = Bed::at(home);
    let limits = BTreeMap::from([("usd".to_owned(), Limit { hard: Some(hard), soft: None })]);
    let window = Window { name: "total".into(), kind: WindowKind::Total, limits };
    let budget = Budget { windows: vec![window], ..Budget::default() };
    let change = BudgetChange::Put(Box::new(budget));
    let set = SetBudget { namespace: "default".into(), path: "acme".into(), change };
    bed.run(Command::SetBudget(set)).unwrap();
    let id = HoldId::derived(home, b"hold");
    let hold = HoldBudget {
        id,
        namespace: "default".into(),
        path: "acme".into(),
        amounts: usd(held),
        ttl_ms: 60_000,
    };
    bed.run(Command::HoldBudget(hold)).unwrap();
    (bed, id)
}

fn extend(bed: &mut Bed, hold: HoldId, id: &str, amount: u64, at_least: bool) -> bool {
    let extend = ExtendHold { hold: HoldKey::Free(hold), id: id.into(), amounts: usd(amount), at_least };
    match bed.run(Command::ExtendHold(extend)) {
        Ok(Outcome::Extended(answer)) => answer.granted,
        other => panic!("{other:?}"),
    }
}

fn held(bed: &mut Bed) -> u64 {
    let show = ShowBudget { namespace: "default".into(), path: "acme".into() };
    match bed.run(Command::ShowBudget(show)) {
        Ok(Outcome::Budget(view)) => view.held.get("usd"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_no_is_answered_the_same_when_it_is_asked_again() {
    let (mut bed, hold) = bed_with_hold(100, 30);
    let mut ask = || {
        let hold = HoldKey::Free(hold);
        let extend = ExtendHold { hold, id: "1".into(), amounts: usd(71), at_least: false };
        match bed.run(Command::ExtendHold(extend)) {
            Ok(Outcome::Extended(answer)) => answer,
            other => panic!("{other:?}"),
        }
    };
    let first = ask();
    assert_eq!(first.shortfall.as_ref().map(|short| short.missing), Some(1));
    assert!(!first.granted && !first.capped, "a limit is in the way, and no cap");
    assert_eq!(ask(), first);
}

#[test]
fn what_is_asked_for_at_least_adds_only_what_the_hold_lacks() {
    let (mut bed, hold) = bed_with_hold(100, 30);
    assert!(extend(&mut bed, hold, "1", 20, true));
    assert_eq!(held(&mut bed), 30, "it has more already");
    assert!(extend(&mut bed, hold, "2", 50, true));
    assert_eq!(held(&mut bed), 50);
    assert!(extend(&mut bed, hold, "2", 50, true), "asked again");
    assert_eq!(held(&mut bed), 50);
    assert!(extend(&mut bed, hold, "3", 50, false));
    assert_eq!(held(&mut bed), 100);
    assert!(!extend(&mut bed, hold, "4", 101, true));
    assert!(extend(&mut bed, hold, "5", 100, true), "all that there is, is held");
    assert_eq!(held(&mut bed), 100);
}

#[test]
fn more_of_one_thing_is_not_refused_for_the_want_of_another() {
    let (mut bed, hold) = bed_with_hold(100, 30);
    let mut budget = bed.partition.budget("default", "acme").unwrap().clone();
    budget.windows[0].limits.insert("calls".into(), Limit { hard: Some(0), soft: None });
    let put = BudgetChange::Put(Box::new(budget));
    let set = SetBudget { namespace: "default".into(), path: "acme".into(), change: put };
    bed.run(Command::SetBudget(set)).unwrap();
    assert!(extend(&mut bed, hold, "1", 20, false), "it asks for no calls");
    assert_eq!(held(&mut bed), 50);
}
