//! Charges: each is booked once by its id and none is lost, whoever says it, how often, and whatever prices do meanwhile.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod bed;
mod world;

use std::collections::BTreeMap;

use stint_core::command::*;
use stint_core::model::*;
use stint_core::*;
use world::{World, usd};

fn usage(tokens: u64) -> Spent {
    Spent::Usage(Usage {
        model: "gpt-x".into(),
        input_tokens: tokens,
        cached_input_tokens: 0,
        cache_write_tokens: 0,
        output_tokens: 0,
        calls: 1,
    })
}

fn priced(world: &mut World, input: u64, unpriced: Unpriced) {
    let price = Price { input, ..Price::default() };
    let models = BTreeMap::from([("gpt-x".to_owned(), price)]).into_iter().filter(|_| input > 0).collect();
    // Prices are copied from a partition of their own; here each has been told already.
    let table = PriceTable { version: input, unpriced, models };
    for bed in &mut world.beds {
        let (at, record) = (key::prices("default"), Record::Prices(Box::new(table.clone())));
        bed.store.insert(at.clone(), record.encode().into());
        bed.partition.put(&at, Some(record));
    }
}

fn running(world: &mut World) -> LeaseRef {
    world.submit(&[("acme", 10)], |_| ());
    world.claim(1);
    world.settle();
    world.claim(1)[0]
}

/// As an engine that has read what may be there: records the charge, and books it directly.
fn charge(world: &mut World, lease: LeaseRef, id: &str, spent: Spent) -> Result<(Charged, Booked), Refusal> {
    world.e().read_first.insert(key::lease_charge(lease.execution, id));
    let charge = ChargeLease { lease, id: id.into(), spent, step: None };
    let Outcome::Charged(charged) = world.e().run(Command::ChargeLease(charge))? else { panic!() };
    let (_, sent) = charged.sent[0].clone();
    world.bed(1).read_first.insert(key::charge("default", "acme", id));
    let booked = world.bed(1).run(Command::BookCharge(BookCharge { charge: sent }));
    world.settle();
    let Outcome::Booked(booked) = booked? else { panic!() };
    Ok((*charged, booked))
}

fn by_path(world: &mut World, id: &str, spent: Spent) -> Result<Booked, Refusal> {
    let charge = ChargeBudget { namespace: "default".into(), path: "acme".into(), id: id.into(), spent };
    world.bed(1).read_first.insert(key::charge("default", "acme", id));
    match world.bed(1).run(Command::ChargeBudget(charge))? {
        Outcome::Booked(booked) => Ok(booked),
        other => panic!("{other:?}"),
    }
}

/// The tree's entries: what each is and how much.
fn ledger(world: &mut World) -> Vec<(EntryKind, u64)> {
    let prefix = key::ledger("default", "acme");
    let store = &world.bed(1).store;
    let own =
        store.iter().filter(|(key, _)| key.table == prefix.table && key.bytes.starts_with(&prefix.bytes));
    let entries = own.map(|(_, value)| minicbor::decode::<Entry>(value).unwrap());
    entries.map(|entry| (entry.kind, entry.amounts.get("usd") + entry.amounts.get(USD_MICROS))).collect()
}

fn world() -> World {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 1_000);
    world
}

#[test]
fn an_id_that_stands_for_another_charge_of_the_tree_loses_no_money() {
    let mut world = world();
    let first = running(&mut world);
    let second = running(&mut world);
    charge(&mut world, first, "r-1", Spent::Amounts(usd(5))).unwrap();
    for again in [false, true] {
        let (charged, booked) = charge(&mut world, second, "r-1", Spent::Amounts(usd(7))).unwrap();
        assert_eq!((charged.existed, booked.existed), (again, again));
        assert!(booked.quarantined, "it is said to whoever says it, each time");
    }
    assert_eq!(ledger(&mut world), [(EntryKind::Charge, 5), (EntryKind::Quarantined, 7)]);
    assert_eq!(world.used("acme"), 5);
    let events = &world.bed(1).events;
    assert_eq!(events.iter().filter(|event| event.kind == EventKind::ChargeQuarantined).count(), 1);
}

#[test]
fn a_charge_whose_id_cannot_be_read_is_kept_aside() {
    let mut world = world();
    let lease = running(&mut world);
    let at = key::charge("default", "acme", "r-1");
    world.bed(1).store.insert(at.clone(), vec![0xff].into());
    world.e().read_first.insert(key::lease_charge(lease.execution, "r-1"));
    world.bed(1).read_first.insert(at);
    let charge = ChargeLease { lease, id: "r-1".into(), spent: Spent::Amounts(usd(5)), step: None };
    world.e().run(Command::ChargeLease(charge)).unwrap();
    world.settle();
    assert_eq!(ledger(&mut world), [(EntryKind::Quarantined, 5)]);
    let events = &world.bed(1).events;
    assert_eq!(events.iter().filter(|event| event.kind == EventKind::ChargeQuarantined).count(), 1);
}

#[test]
fn the_same_charge_of_another_execution_is_told_as_a_duplicate() {
    let mut world = world();
    let first = running(&mut world);
    let second = running(&mut world);
    let (_, booked) = charge(&mut world, first, "r-1", Spent::Amounts(usd(5))).unwrap();
    assert!(!booked.elsewhere);
    let (charged, booked) = charge(&mut world, second, "r-1", Spent::Amounts(usd(5))).unwrap();
    assert_eq!((charged.existed, booked.existed, booked.elsewhere), (false, true, true));
    assert_eq!(ledger(&mut world), [(EntryKind::Charge, 5)]);
}

#[test]
fn usage_said_again_is_known_by_what_was_said_and_not_by_what_it_costs() {
    let mut world = world();
    let lease = running(&mut world);
    priced(&mut world, 1_000_000, Unpriced::Refuse);
    assert_eq!(charge(&mut world, lease, "r-1", usage(3)).unwrap().0.amounts.get(USD_MICROS), 3);
    by_path(&mut world, "p-1", usage(4)).unwrap();
    // Another price, and then none.
    for input in [2_000_000, 0] {
        priced(&mut world, input, Unpriced::Refuse);
        let (charged, booked) = charge(&mut world, lease, "r-1", usage(3)).unwrap();
        assert_eq!((charged.existed, charged.amounts.get(USD_MICROS)), (true, 3));
        assert!(booked.existed && !booked.quarantined);
        let booked = by_path(&mut world, "p-1", usage(4)).unwrap();
        assert_eq!((booked.existed, booked.amounts.get(USD_MICROS)), (true, 4));
        let conflict = |id: &str| Err(Refusal::ChargeConflict { charge: id.into() });
        assert_eq!(charge(&mut world, lease, "r-1", usage(30)).map(|_| ()), conflict("r-1"));
        assert_eq!(by_path(&mut world, "p-1", usage(40)).map(|_| ()), conflict("p-1"));
    }
    // Who has not read what may be there finds it all the same.
    world.e().read_first.clear();
    let again = ChargeLease { lease, id: "r-1".into(), spent: usage(3), step: None };
    assert!(
        matches!(world.e().run(Command::ChargeLease(again)), Ok(Outcome::Charged(charged)) if charged.existed)
    );
    assert_eq!(ledger(&mut world), [(EntryKind::Charge, 3), (EntryKind::Charge, 4)]);
}

#[test]
fn usage_kept_aside_is_booked_by_a_price_or_by_amounts_and_once() {
    let mut world = world();
    let lease = running(&mut world);
    priced(&mut world, 0, Unpriced::Quarantine);
    assert!(charge(&mut world, lease, "r-1", usage(3)).unwrap().1.quarantined);
    assert!(by_path(&mut world, "p-1", usage(4)).unwrap().quarantined);
    assert!(charge(&mut world, lease, "r-2", usage(5)).unwrap().1.quarantined);
    for again in [false, true] {
        let (charged, booked) = charge(&mut world, lease, "r-1", Spent::Amounts(usd(30))).unwrap();
        assert_eq!((charged.existed, charged.quarantined, booked.quarantined), (again, false, false));
        assert_eq!(by_path(&mut world, "p-1", Spent::Amounts(usd(40))).unwrap().existed, again);
    }
    // That it would be refused now does not undo that it was kept.
    priced(&mut world, 0, Unpriced::Refuse);
    assert!(charge(&mut world, lease, "r-2", usage(5)).unwrap().0.quarantined);
    priced(&mut world, 1_000_000, Unpriced::Refuse);
    assert!(!charge(&mut world, lease, "r-2", usage(5)).unwrap().1.quarantined);
    let booked: Vec<u64> = ledger(&mut world)
        .into_iter()
        .filter(|(kind, _)| *kind == EntryKind::Charge)
        .map(|(_, n)| n)
        .collect();
    assert_eq!(booked, [30, 40, 5]);
}

#[test]
fn a_price_that_no_number_holds_is_an_overflow() {
    let mut world = world();
    priced(&mut world, u64::MAX, Unpriced::Refuse);
    let overflow = Refusal::AmountOverflow { dimension: USD_MICROS.into() };
    assert_eq!(by_path(&mut world, "p-1", usage(u64::MAX)), Err(overflow));
}
