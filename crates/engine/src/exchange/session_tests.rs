//! Conversations, case by case.

use std::sync::Arc;
use std::time::Duration;

use stint_api::ExchangeReply;
use stint_core::{ExecutionId, LeaseRef, LeaseToken, PartitionId};
use tokio::time::Instant;

use super::session::{Begun, New, Said, Session};

const TTL: Duration = Duration::from_secs(30);

fn lease(number: u128) -> LeaseRef {
    let execution = ExecutionId::fresh(0, PartitionId(1), number);
    LeaseRef { execution, epoch: 1, token: LeaseToken([number as u8; 16]) }
}

/// A worker's side of the table below.
#[derive(Default)]
struct Speech {
    n: u64,
    seen: u64,
    listed: Vec<u128>,
    progressed: Vec<u128>,
    ended: Vec<u128>,
    stepped: Vec<u128>,
}

fn say(session: &mut Session, speech: &Speech, now: Instant) -> Begun {
    let leases = |numbers: &[u128]| numbers.iter().map(|number| lease(*number)).collect::<Vec<_>>();
    let listed = speech.listed.iter().map(|number| (lease(*number), speech.progressed.contains(number)));
    let (ended, stepped) = (leases(&speech.ended), leases(&speech.stepped));
    let listed: Vec<_> = listed.collect();
    let said = Said { n: speech.n, seen: speech.seen, listed: &listed, ended: &ended, stepped: &stepped };
    session.begin(&said, now)
}

fn new(begun: Begun) -> New {
    match begun {
        Begun::New(new) => new,
        other => panic!("{other:?}"),
    }
}

/// Begins exchange `n` and answers it with these leases.
fn answer(session: &mut Session, n: u64, seen: u64, listed: &[u128], gives: &[u128], now: Instant) -> New {
    let begun = new(say(session, &Speech { n, seen, listed: listed.to_vec(), ..Speech::default() }, now));
    for number in gives {
        session.gave(n, lease(*number), TTL, now);
    }
    session.made(n, &Arc::new(ExchangeReply { n, ..ExchangeReply::default() }));
    begun
}

#[tokio::test(start_paused = true)]
async fn the_same_number_again_has_the_same_reply() {
    let now = Instant::now();
    let mut session = Session::new(now);
    answer(&mut session, 1, 0, &[], &[7], now);
    for _ in 0..2 {
        match say(&mut session, &Speech { n: 1, ..Speech::default() }, now) {
            Begun::Again(reply) => assert_eq!(reply.n, 1),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_number_while_it_is_under_way_waits_for_its_reply() {
    let now = Instant::now();
    let mut session = Session::new(now);
    let speech = Speech { n: 1, ..Speech::default() };
    new(say(&mut session, &speech, now));
    let Begun::UnderWay(made) = say(&mut session, &speech, now) else { panic!("it is under way") };
    let made = made.notified_owned();
    session.made(1, &Arc::default());
    made.await;
    assert!(matches!(say(&mut session, &speech, now), Begun::Again(_)));
}

#[tokio::test(start_paused = true)]
async fn one_that_was_abandoned_is_new_again() {
    let now = Instant::now();
    let mut session = Session::new(now);
    let speech = Speech { n: 1, ..Speech::default() };
    new(say(&mut session, &speech, now));
    session.abandoned(1);
    new(say(&mut session, &speech, now));
}

#[tokio::test(start_paused = true)]
async fn replies_that_were_not_read_are_said_again() {
    let now = Instant::now();
    let mut session = Session::new(now);
    answer(&mut session, 1, 0, &[], &[1], now);
    let second = answer(&mut session, 2, 0, &[], &[2], now);
    assert_eq!(second.unread.iter().map(|reply| reply.n).collect::<Vec<_>>(), [1]);
    assert!(second.unlisted.is_empty());
    let third = answer(&mut session, 3, 1, &[1], &[], now);
    assert_eq!(third.unread.iter().map(|reply| reply.n).collect::<Vec<_>>(), [2]);
    let fourth = answer(&mut session, 4, 3, &[1, 2], &[], now);
    assert!(fourth.unread.is_empty() && fourth.unlisted.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_read_of_and_is_not_listed_is_given_back_once() {
    let now = Instant::now();
    let mut session = Session::new(now);
    answer(&mut session, 1, 0, &[], &[1, 2, 3], now);
    let second = answer(&mut session, 2, 1, &[2], &[], now);
    assert_eq!(second.unlisted, [lease(1), lease(3)]);
    assert!(answer(&mut session, 3, 2, &[2], &[], now).unlisted.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_not_given_back_before_its_reply_was_read() {
    let now = Instant::now();
    let mut session = Session::new(now);
    answer(&mut session, 1, 0, &[], &[1], now);
    assert!(answer(&mut session, 2, 0, &[], &[], now).unlisted.is_empty());
    assert_eq!(answer(&mut session, 3, 2, &[], &[], now).unlisted, [lease(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ends_or_has_a_step_is_as_good_as_listed() {
    let now = Instant::now();
    let mut session = Session::new(now);
    answer(&mut session, 1, 0, &[], &[1, 2], now);
    let speech = Speech { n: 2, seen: 1, ended: vec![1], stepped: vec![2], ..Speech::default() };
    assert!(new(say(&mut session, &speech, now)).unlisted.is_empty());
    // The answer to the end is not read: the worker may list it, and hears nothing of it.
    session.made(2, &Arc::default());
    let third = answer(&mut session, 3, 1, &[1, 2], &[], now + TTL);
    assert_eq!((third.renew, third.unlisted.len()), (vec![1], 0));
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_a_plain_claim_is_kept_while_it_is_listed_and_never_given_back() {
    let now = Instant::now();
    let mut session = Session::new(now);
    let first = answer(&mut session, 1, 0, &[9], &[], now);
    assert_eq!(first.renew, [0]);
    assert!(!session.renewed(lease(9), TTL, TTL, now));
    assert!(session.renewed(lease(9), TTL, TTL, now));
    assert!(answer(&mut session, 2, 1, &[], &[], now).unlisted.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_node_gave_is_renewed_by_its_whole_time() {
    let now = Instant::now();
    let mut session = Session::new(now);
    assert_eq!(answer(&mut session, 7, 6, &[9], &[], now).renew, [0]);
    // Core wrote nothing, since the other node had renewed it a little less than a third of its time ago.
    session.renewed(lease(9), TTL * 7 / 10, TTL, now);
    assert_eq!(answer(&mut session, 8, 7, &[9], &[], now + TTL / 20).renew, [0]);
}

#[tokio::test(start_paused = true)]
async fn a_listed_lease_is_renewed_when_a_fourth_of_its_time_is_over_or_its_worker_has_more_to_say() {
    let now = Instant::now();
    let mut session = Session::new(now);
    answer(&mut session, 1, 0, &[], &[1, 2], now);
    assert!(answer(&mut session, 2, 1, &[1, 2], &[], now + TTL / 5).renew.is_empty());
    let speech = Speech { n: 3, seen: 2, listed: vec![1, 2], progressed: vec![2], ..Speech::default() };
    assert_eq!(new(say(&mut session, &speech, now + TTL / 5)).renew, [1]);
    session.made(3, &Arc::default());
    let due = now + TTL / 4;
    assert_eq!(answer(&mut session, 4, 3, &[1, 2], &[], due).renew, [0, 1]);
    session.renewed(lease(1), TTL, TTL, due);
    // Core wrote nothing: what is left is what counts.
    session.renewed(lease(2), TTL * 3 / 4, TTL, due);
    assert_eq!(answer(&mut session, 5, 4, &[1, 2], &[], due + TTL / 6).renew, [1]);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_comes_after_a_newer_one_gets_nothing_new() {
    let now = Instant::now();
    let mut session = Session::new(now);
    answer(&mut session, 5, 0, &[], &[], now);
    assert!(matches!(say(&mut session, &Speech { n: 4, ..Speech::default() }, now), Begun::Late));
    answer(&mut session, 6, 5, &[], &[], now);
    assert!(matches!(say(&mut session, &Speech { n: 5, ..Speech::default() }, now), Begun::Late));
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_asked_to_stop_once_unless_nobody_heard_it() {
    let now = Instant::now();
    let mut session = Session::new(now);
    answer(&mut session, 1, 0, &[], &[1], now);
    let speech = |n| Speech { n, seen: 1, listed: vec![1], ..Speech::default() };
    new(say(&mut session, &speech(2), now));
    assert!(session.tell_to_stop(2, lease(1), 500));
    assert!(!session.tell_to_stop(2, lease(1), 500));
    session.abandoned(2);
    new(say(&mut session, &speech(2), now));
    assert!(session.tell_to_stop(2, lease(1), 500));
    // Less time is news, more is not.
    assert!(!session.tell_to_stop(2, lease(1), 600));
    assert!(session.tell_to_stop(2, lease(1), 400));
}

#[tokio::test(start_paused = true)]
async fn replies_that_nobody_reads_are_kept_in_bounds() {
    let now = Instant::now();
    let mut session = Session::new(now);
    for n in 1..100 {
        answer(&mut session, n, 0, &[], &[], now);
    }
    assert!(answer(&mut session, 100, 0, &[], &[], now).unread.len() <= 8);
}
