//! Work that asked for more than there was is stopped, and waits for all that it needs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod bed;
mod world;

use stint_core::command::*;
use stint_core::model::*;
use stint_core::*;
use world::{World, usd};

/// Asks for more on top of what is held; says whether it was given.
fn extend(world: &mut World, lease: LeaseRef, id: &str, amount: u64) -> bool {
    let permits = world.e().run(Command::LeaseBudgets(LeaseBudgets { lease })).unwrap();
    let Outcome::Permits(permits) = permits else { panic!("{permits:?}") };
    let extend = ExtendHold { hold: permits[0].hold, id: id.into(), amounts: usd(amount), at_least: false };
    match world.bed(1).run(Command::ExtendHold(extend)) {
        Ok(Outcome::Extended(answer)) => answer.granted,
        other => panic!("{other:?}"),
    }
}

fn started(world: &mut World) -> LeaseRef {
    world.claim(1);
    world.settle();
    world.claim(1)[0]
}

/// It is told to stop for want of money, and does.
fn park(world: &mut World, lease: LeaseRef) {
    world.settle();
    let stop = world.e().heartbeat(lease).unwrap().stop.expect("it lacks what it asked for");
    assert_eq!(stop.reason, StopReason::Suspend);
    world.e().run(Command::Suspend(Suspend { lease })).unwrap();
    world.settle();
}

#[test]
fn what_was_refused_is_waited_for_and_there_when_it_is_asked_for_again() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    world.submit(&[("acme", 40)], |_| ());
    let other = started(&mut world);
    let id = world.submit(&[("acme", 30)], |_| ());
    let lease = started(&mut world);
    world.charge(lease, "c1", 10);
    world.settle();
    assert!(!extend(&mut world, lease, "e1", 50), "10 used, 20 and 40 held: 30 are free");
    park(&mut world, lease);
    world.claim(1);
    world.settle();
    assert!(world.claim(1).is_empty(), "it would only ask, be refused and stop once more");
    let Reason::Budget { shortfall, .. } = world.e().why(id).reasons[0].clone() else { panic!("blocked") };
    assert_eq!(shortfall.missing, 20, "the 20 that it had, and 50 on top");
    world.complete(other);
    world.settle();
    let again = world.claim(1)[0];
    assert_eq!((again.execution, world.held("acme")), (id, 70));
    assert!(extend(&mut world, again, "e1", 40) && extend(&mut world, again, "e2", 10));
    assert_eq!(world.held("acme"), 70, "it has waited for these");
    assert!(extend(&mut world, again, "e3", 5));
    assert!(extend(&mut world, again, "e1", 40), "said again");
    assert_eq!(world.held("acme"), 75);
    world.charge(again, "c2", 60);
    world.complete(again);
    world.settle();
    assert_eq!((world.held("acme"), world.used("acme")), (0, 70));
}

#[test]
fn what_was_spent_of_a_promise_is_not_given_twice() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    world.submit(&[("acme", 60)], |_| ());
    let other = started(&mut world);
    world.submit(&[("acme", 10)], |_| ());
    let lease = started(&mut world);
    assert!(!extend(&mut world, lease, "e1", 40));
    park(&mut world, lease);
    world.claim(1);
    world.settle();
    world.complete(other);
    world.settle();
    let again = world.claim(1)[0];
    world.charge(again, "c1", 45);
    world.settle();
    assert_eq!((world.held("acme"), world.used("acme")), (5, 45), "of 50");
    assert!(extend(&mut world, again, "e1", 40));
    assert_eq!(world.held("acme"), 40, "5 of it were left, 35 are new");
}

#[test]
fn what_can_never_be_had_ends_it_instead_of_stopping_it_for_ever() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    let id = world.submit(&[("acme", 60)], |_| ());
    let lease = started(&mut world);
    assert!(!extend(&mut world, lease, "e1", 50));
    park(&mut world, lease);
    world.claim(1);
    world.settle();
    assert_eq!(world.e().state(id), State::Failed);
    assert_eq!(world.e().show(id).execution.end.unwrap().error.unwrap().error_type, "hold_too_large");
    assert_eq!(world.held("acme"), 0);
}

#[test]
fn what_spent_more_than_the_limit_waits_and_goes_on() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    let id = world.submit(&[("acme", 10)], |_| ());
    let lease = started(&mut world);
    world.charge(lease, "c1", 300);
    park(&mut world, lease);
    world.claim(1);
    world.settle();
    assert_eq!(world.e().state(id), State::Suspended, "it was spent, and is not to be held once more");
    world.budget("acme", 400);
    world.settle();
    let again = world.claim(1)[0];
    assert_eq!(again.execution, id);
    world.complete(again);
    world.settle();
    assert_eq!((world.held("acme"), world.used("acme")), (0, 300));
}

#[test]
fn money_in_doubt_stays_so_when_its_partition_begins_its_messages_anew() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    world.submit(&[("acme", 60)], |s| s.policy.max_crashes = 0);
    let lease = started(&mut world);
    world.snapshot(1);
    world.pass(30_000);
    assert_eq!(world.e().show(lease.execution).execution.state(), State::Failed);
    // The tree has not heard of it yet, loses something, and each says anew what it has.
    world.roll_back(1);
    world.settle();
    assert_eq!(world.held("acme"), 60, "a call may still be on its way to the bill");
    world.pass(IN_DOUBT_MS + 1);
    world.settle();
    assert_eq!(world.held("acme"), 0);
}
