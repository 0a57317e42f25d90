//! The hub, case by case.

use std::sync::Arc;

use stint_core::command::ClaimFilter;
use stint_core::model::{Capabilities, Group, Requirement, Worker};
use stint_core::{LeaseToken, Millis, PartitionId, ReadyGroup};
use tokio::sync::Notify;

use super::board::{Board, Standing, Wanted};
use super::{Change, ClaimId};

fn group(lane: &str, kind: &str, requires: &[&str]) -> Arc<Group> {
    let requires = requires.iter().map(|r| Requirement::parse(r).unwrap()).collect();
    Arc::new(Group { namespace: "n".into(), lane: lane.into(), kind: kind.into(), requires })
}

fn wanted(lane: &str, capabilities: &[&str], max: usize) -> Wanted {
    let filter = ClaimFilter {
        namespace: "n".into(),
        lanes: vec![lane.into()],
        kinds: Vec::new(),
        capabilities: Capabilities::parse(capabilities.iter().copied()),
    };
    Wanted { token: LeaseToken([1; 16]), worker: Worker::default(), filter: Arc::new(filter), max }
}

fn ready(group: &Arc<Group>, best: Millis, count: usize) -> Change {
    Change::new(group.clone(), Some(ReadyGroup { group: group.clone(), best, count }))
}

fn park(board: &mut Board, wanted: Wanted) -> (ClaimId, Vec<(PartitionId, usize, Millis)>) {
    let (id, asked) = board.park(wanted, Arc::new(Notify::new()));
    (id, asked.into_iter().map(|(partition, asked)| (partition, asked.max, asked.until)).collect())
}

#[test]
fn a_claim_fills_from_the_partition_with_most_work_among_equals() {
    let (mut board, work) = (Board::default(), group("a", "x", &[]));
    for (partition, best, count) in [(1, 500, 2), (2, 0, 1), (3, 900, 5), (4, 1_500, 100)] {
        assert!(board.offer(PartitionId(partition), &[ready(&work, best, count)]).is_empty());
    }
    let (_, asked) = park(&mut board, wanted("a", &[], 4));
    assert_eq!(asked, [(PartitionId(3), 4, 1_000)]);
}

#[test]
fn a_claim_with_more_slots_goes_on_to_the_next_partition() {
    let (mut board, work) = (Board::default(), group("a", "x", &[]));
    for (partition, count) in [(1, 2), (2, 3), (3, 1)] {
        _ = board.offer(PartitionId(partition), &[ready(&work, 0, count)]);
    }
    let (_, asked) = park(&mut board, wanted("a", &[], 10));
    let asked: Vec<_> = asked.into_iter().map(|(partition, max, _)| (partition.0, max)).collect();
    assert_eq!(asked, [(2, 3), (1, 2), (3, 1)]);
}

#[test]
fn better_work_is_taken_first_however_much_there_is_elsewhere() {
    let (mut board, work) = (Board::default(), group("a", "x", &[]));
    _ = board.offer(PartitionId(1), &[ready(&work, 0, 1_000)]);
    _ = board.offer(PartitionId(2), &[ready(&work, -600_000, 1)]);
    let (_, asked) = park(&mut board, wanted("a", &[], 1));
    assert_eq!(asked, [(PartitionId(2), 1, 1_000)]);
}

#[test]
fn equal_claims_are_served_in_the_order_they_came() {
    let (mut board, work) = (Board::default(), group("a", "x", &[]));
    let claims: Vec<_> = (0..3).map(|_| park(&mut board, wanted("a", &[], 1)).0).collect();
    let reserved = board.offer(PartitionId(1), &[ready(&work, 0, 2)]);
    let reserved: Vec<_> = reserved.into_iter().map(|reservation| reservation.claim).collect();
    assert_eq!(reserved, &claims[..2]);
}

#[test]
fn a_worker_that_is_preferred_comes_before_one_that_waits_longer() {
    let (mut board, work) = (Board::default(), group("a", "x", &[]));
    park(&mut board, wanted("a", &["gpu"], 1));
    let (best, _) = park(&mut board, wanted("a", &["gpu", "near"], 1));
    let change = Change { prefer: vec!["near".into(), "gpu".into()], ..ready(&work, 0, 1) };
    assert_eq!(board.offer(PartitionId(1), &[change])[0].claim, best);
}

#[test]
fn work_that_a_worker_can_not_do_is_not_offered_to_it() {
    let mut board = Board::default();
    park(&mut board, wanted("a", &["gpu"], 1));
    for group in [group("b", "x", &[]), group("a", "x", &["tpu"])] {
        assert!(board.offer(PartitionId(1), &[ready(&group, 0, 1)]).is_empty());
    }
    assert_eq!(board.offer(PartitionId(1), &[ready(&group("a", "y", &["gpu"]), 0, 1)]).len(), 1);
}

#[test]
fn a_claim_whose_time_is_over_takes_what_is_known_and_nothing_that_comes() {
    let (mut board, work) = (Board::default(), group("a", "x", &[]));
    let (id, _) = park(&mut board, wanted("a", &[], 1));
    assert_eq!(board.offer(PartitionId(1), &[ready(&work, 0, 1)]).len(), 1);
    _ = board.offer(PartitionId(2), &[ready(&work, 0, 1)]);
    board.stop_waiting(id);
    assert_eq!(board.standing(id), Standing::Waits);
    _ = board.offer(PartitionId(1), &[Change::new(work.clone(), None)]);
    assert_eq!(board.unused(id, 1)[0].0, PartitionId(2));
    _ = board.offer(PartitionId(2), &[Change::new(work.clone(), None)]);
    assert!(board.unused(id, 1).is_empty());
    assert_eq!(board.standing(id), Standing::Settled);
    assert!(board.offer(PartitionId(2), &[ready(&work, 0, 1)]).is_empty());
}

#[test]
fn asking_one_partition_twice_takes_another_token() {
    let (mut board, work) = (Board::default(), group("a", "x", &[]));
    let (id, _) = park(&mut board, wanted("a", &[], 2));
    let first = board.offer(PartitionId(1), &[ready(&work, 0, 1)]);
    let second = board.offer(PartitionId(1), &[ready(&work, 0, 1)]);
    assert_eq!((first[0].claim, second[0].claim), (id, id));
    assert_eq!(first[0].token, LeaseToken([1; 16]));
    assert_ne!(first[0].token, second[0].token);
}

#[test]
fn a_closed_hub_settles_all_claims_and_takes_no_others() {
    let (mut board, work) = (Board::default(), group("a", "x", &[]));
    let (before, _) = park(&mut board, wanted("a", &[], 1));
    board.close();
    let (after, _) = park(&mut board, wanted("a", &[], 1));
    assert!(board.offer(PartitionId(1), &[ready(&work, 0, 5)]).is_empty());
    assert_eq!([before, after].map(|id| board.standing(id)), [Standing::Settled; 2]);
}

/// The work of a claim, counted in what it looks at, not in time.
#[test]
fn what_a_claim_can_not_serve_costs_it_nothing() {
    let mut board = Board::default();
    for n in 0..1_000 {
        let other = group("a", &format!("kind-{n}"), &["tpu"]);
        _ = board.offer(PartitionId(1), &[ready(&other, 0, 100)]);
    }
    let served = group("a", "x", &[]);
    _ = board.offer(PartitionId(1), &[ready(&served, 0, 1_000_000)]);
    let (id, asked) = park(&mut board, wanted("a", &[], 1));
    assert_eq!(asked.len(), 1);
    assert_eq!(board.groups_looked_at(id), 1);
}
