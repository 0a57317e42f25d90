//! Property test: whatever happens in whatever order, no slot is lost or given twice, ready work and a claim that can
//! take it never miss each other, and better work elsewhere is not passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use stint_core::command::{ClaimFilter, Grant};
use stint_core::model::{Capabilities, Group, Requirement, Spec, Worker};
use stint_core::{ExecutionId, LeaseRef, LeaseToken, Millis, PartitionId, ReadyGroup};
use tokio::sync::Notify;

use super::board::{Asked, Board, Standing, Wanted};
use super::index::SLACK_MS;
use super::{Change, ClaimId, GrantedLease, Reservation};

/// What can happen. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Park {
        filter: usize,
        max: usize,
    },
    HandOver {
        claim: usize,
        max: usize,
    },
    End {
        claim: usize,
    },
    Submit {
        partition: u8,
        group: usize,
        order: Millis,
        count: usize,
    },
    /// Somebody else takes work away: a cancel, another node.
    TakeAway {
        partition: u8,
        group: usize,
    },
    /// A partition runs the reservation that it was sent.
    Serve {
        which: usize,
    },
    Commit {
        which: usize,
    },
    /// A conflict: leases are undone, and all that is ready is said again.
    Undo {
        which: usize,
    },
    Stop {
        claim: usize,
    },
    /// A lease's slot is kept instead: its work needs permits, and is ready again when they are there.
    Ask {
        which: usize,
    },
    Answer {
        which: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..4_usize, 1..5_usize).prop_map(|(filter, max)| Step::Park { filter, max }),
        1 => (any::<usize>(), 1..5_usize).prop_map(|(claim, max)| Step::HandOver { claim, max }),
        1 => any::<usize>().prop_map(|claim| Step::End { claim }),
        1 => any::<usize>().prop_map(|claim| Step::Stop { claim }),
        5 => (0..3_u8, 0..4_usize, 0..5_000_i64, 1..4_usize)
            .prop_map(|(partition, group, order, count)| Step::Submit { partition, group, order, count }),
        1 => (0..3_u8, 0..4_usize).prop_map(|(partition, group)| Step::TakeAway { partition, group }),
        5 => any::<usize>().prop_map(|which| Step::Serve { which }),
        5 => any::<usize>().prop_map(|which| Step::Commit { which }),
        1 => any::<usize>().prop_map(|which| Step::Undo { which }),
        2 => any::<usize>().prop_map(|which| Step::Ask { which }),
        2 => any::<usize>().prop_map(|which| Step::Answer { which }),
    ];
    prop::collection::vec(step, 1..80)
}

fn groups() -> Vec<Arc<Group>> {
    [("a", "x", ""), ("a", "x", "gpu"), ("a", "y", ""), ("b", "x", "")]
        .into_iter()
        .map(|(lane, kind, requires)| {
            let requires = Requirement::parse(requires).into_iter().collect();
            Arc::new(Group { namespace: "n".into(), lane: lane.into(), kind: kind.into(), requires })
        })
        .collect()
}

fn filters() -> Vec<Arc<ClaimFilter>> {
    [
        (vec!["a"], vec![], vec![]),
        (vec!["a"], vec!["x"], vec!["gpu"]),
        (vec!["a", "b"], vec![], vec![]),
        (vec!["b"], vec![], vec!["gpu"]),
    ]
    .into_iter()
    .map(|(lanes, kinds, capabilities): (Vec<&str>, Vec<&str>, Vec<&str>)| {
        Arc::new(ClaimFilter {
            namespace: "n".into(),
            lanes: lanes.into_iter().map(Arc::from).collect(),
            kinds: kinds.into_iter().map(Arc::from).collect(),
            capabilities: Capabilities::parse(capabilities),
        })
    })
    .collect()
}

/// A piece of work: its group, order and number.
type Leased = (usize, Millis, u64);

/// The partitions, as far as the hub could know, and the hub.
#[derive(Default)]
struct World {
    board: Board,
    /// Ready work: partition, group, then order and number.
    ready: BTreeMap<(PartitionId, usize), BTreeSet<(Millis, u64)>>,
    /// Reservations on their way to a partition.
    sent: Vec<(PartitionId, Reservation)>,
    /// Leases in batches that are not committed.
    leased: Vec<(PartitionId, ClaimId, Vec<Leased>)>,
    /// Slots kept for answers.
    asking: Vec<ClaimId>,
    /// Slots outstanding by claim, counted by the partitions.
    outstanding: BTreeMap<ClaimId, usize>,
    claims: BTreeMap<ClaimId, Wanted>,
    /// The most that each claim has ever wanted: when it is handed over it may want less than is under way.
    most: BTreeMap<ClaimId, usize>,
    got: BTreeSet<u64>,
    last: u64,
}

impl World {
    fn send(&mut self, asked: Asked) {
        for (partition, reservation) in asked {
            *self.outstanding.entry(reservation.claim).or_default() += reservation.max;
            self.sent.push((partition, reservation));
        }
    }

    fn run_all(&mut self, partition: PartitionId, offered: Vec<Reservation>) {
        for reservation in offered {
            *self.outstanding.entry(reservation.claim).or_default() += reservation.max;
            self.run(partition, &reservation);
        }
    }

    fn change(&self, partition: PartitionId, group: usize) -> Change {
        let all = groups();
        let ready = self.ready.get(&(partition, group)).filter(|queue| !queue.is_empty());
        let ready = ready.and_then(|queue| {
            Some(ReadyGroup { group: all[group].clone(), best: queue.first()?.0, count: queue.len() })
        });
        Change::new(all[group].clone(), ready)
    }

    fn offer(&mut self, partition: PartitionId, changed: impl IntoIterator<Item = usize>) {
        let changes: Vec<Change> = changed.into_iter().map(|group| self.change(partition, group)).collect();
        let offered = self.board.offer(partition, &changes);
        self.run_all(partition, offered);
    }

    /// Runs a claim as core does: the best that matches, up to its slots, not beyond its order.
    fn run(&mut self, partition: PartitionId, reservation: &Reservation) {
        let all = groups();
        let mut leases = Vec::new();
        while leases.len() < reservation.max {
            let best = (0..all.len())
                .filter(|group| reservation.filter.matches(&all[*group]))
                .filter_map(|group| Some((*self.ready.get(&(partition, group))?.first()?, group)))
                .min();
            let Some(((order, number), group)) = best.filter(|((order, _), _)| *order <= reservation.until)
            else {
                break;
            };
            self.ready.get_mut(&(partition, group)).unwrap().remove(&(order, number));
            leases.push((group, order, number));
        }
        let unfilled = reservation.max - leases.len();
        let mut changed: BTreeSet<usize> = leases.iter().map(|(group, _, _)| *group).collect();
        changed.extend((0..all.len()).filter(|group| reservation.groups.contains(&all[*group])));
        if !leases.is_empty() {
            self.leased.push((partition, reservation.claim, leases));
        }
        self.offer(partition, changed);
        self.give_up(reservation.claim, unfilled);
    }

    fn give_up(&mut self, claim: ClaimId, slots: usize) {
        if slots > 0 {
            *self.outstanding.get_mut(&claim).unwrap() -= slots;
            let asked = self.board.unused(claim, slots);
            self.send(asked);
        }
    }

    fn step(&mut self, step: Step) {
        let pick = |which: usize, len: usize| (len > 0).then(|| which % len.max(1));
        let claim = |world: &Self, which| world.claims.keys().nth(pick(which, world.claims.len())?).copied();
        match step {
            Step::Park { filter, max } => {
                self.last += 1;
                let token = LeaseToken(u128::from(self.last).to_be_bytes());
                let wanted =
                    Wanted { token, worker: Worker::default(), filter: filters()[filter].clone(), max };
                let best = self.best_for(&wanted.filter);
                let (id, asked) = self.board.park(wanted.clone(), Arc::new(Notify::new()));
                self.most.insert(id, wanted.max);
                self.claims.insert(id, wanted);
                if self.sent.is_empty() {
                    self.check_priority(best, &asked);
                }
                self.send(asked);
            }
            Step::HandOver { claim: which, max } => {
                let Some(id) = claim(self, which) else { return };
                let wanted = Wanted { max, ..self.claims[&id].clone() };
                if let Some(asked) = self.board.hand_over(id, &wanted, &Arc::new(Notify::new())) {
                    let most = self.most.entry(id).or_default();
                    *most = wanted.max.max(*most);
                    self.claims.insert(id, wanted);
                    self.send(asked);
                }
            }
            Step::End { claim: which } => {
                let Some(id) = claim(self, which) else { return };
                self.claims.remove(&id);
                let (leases, beyond) = self.board.end(id);
                self.asking.retain(|claim| *claim != id);
                // Nobody gets the same lease twice, and what nobody gets is given back.
                for lease in leases.iter().map(|lease| lease.grant.lease).chain(beyond) {
                    assert!(self.got.insert(number(lease)));
                }
            }
            Step::Stop { claim: which } => {
                if let Some(id) = claim(self, which) {
                    self.board.stop_waiting(id);
                }
            }
            Step::Submit { partition, group, order, count } => {
                let partition = PartitionId(partition);
                for _ in 0..count {
                    self.last += 1;
                    self.ready.entry((partition, group)).or_default().insert((order, self.last));
                }
                self.offer(partition, [group]);
            }
            Step::TakeAway { partition, group } => {
                let partition = PartitionId(partition);
                if let Some(queue) = self.ready.get_mut(&(partition, group)) {
                    queue.pop_first();
                }
                self.offer(partition, [group]);
            }
            Step::Serve { which } => {
                let Some(which) = pick(which, self.sent.len()) else { return };
                let (partition, reservation) = self.sent.remove(which);
                self.run(partition, &reservation);
            }
            Step::Commit { which } => {
                let Some(which) = pick(which, self.leased.len()) else { return };
                let (partition, claim, leases) = self.leased.remove(which);
                *self.outstanding.get_mut(&claim).unwrap() -= leases.len();
                let granted =
                    leases.iter().map(|(group, _, number)| granted(partition, *group, *number)).collect();
                for lease in self.board.fulfil(claim, granted) {
                    assert!(!self.claims.contains_key(&claim));
                    assert!(self.got.insert(number(lease)));
                }
            }
            Step::Ask { which } => {
                let Some(which) = pick(which, self.leased.len()) else { return };
                let (_, claim, leases) = self.leased.remove(which);
                *self.outstanding.get_mut(&claim).unwrap() -= leases.len();
                if self.claims.contains_key(&claim) {
                    self.asking.extend(leases.iter().map(|_| claim));
                }
                self.board.asks(claim, leases.len());
            }
            Step::Answer { which } => {
                let Some(which) = pick(which, self.asking.len()) else { return };
                let claim = self.asking.remove(which);
                let asked = self.board.answered(claim, 1);
                self.send(asked);
            }
            Step::Undo { which } => {
                let Some(which) = pick(which, self.leased.len()) else { return };
                let (partition, claim, leases) = self.leased.remove(which);
                let slots = leases.len();
                for (group, order, number) in leases {
                    self.ready.entry((partition, group)).or_default().insert((order, number));
                }
                let ready: Vec<ReadyGroup> =
                    (0..groups().len()).filter_map(|group| self.change(partition, group).ready).collect();
                let offered = self.board.restate(partition, ready);
                self.run_all(partition, offered);
                self.give_up(claim, slots);
            }
        }
    }

    fn best_for(&self, filter: &ClaimFilter) -> BTreeMap<PartitionId, Millis> {
        let all = groups();
        let mut best: BTreeMap<PartitionId, Millis> = BTreeMap::new();
        for ((partition, group), queue) in &self.ready {
            if filter.matches(&all[*group])
                && let Some((order, _)) = queue.first()
            {
                let known = best.entry(*partition).or_insert(*order);
                *known = (*known).min(*order);
            }
        }
        best
    }

    /// The partition asked first has work within the slack of the best, and none goes further than that beyond what
    /// is best elsewhere.
    fn check_priority(&self, best: BTreeMap<PartitionId, Millis>, asked: &Asked) {
        let Some(first) = best.values().min() else {
            assert!(asked.is_empty());
            return;
        };
        let (partition, reservation) = asked.first().expect("there is work for it");
        assert!(best[partition] <= first + SLACK_MS);
        let elsewhere = best.iter().filter(|(other, _)| *other != partition).map(|(_, best)| *best).min();
        assert!(reservation.until <= elsewhere.map_or(Millis::MAX, |best| best + SLACK_MS));
    }

    fn check(&self) {
        for (id, wanted) in &self.claims {
            let (reserved, asking, leases, waits) =
                self.board.slots(*id).expect("a claim that was not ended");
            assert_eq!(reserved, self.outstanding.get(id).copied().unwrap_or(0), "{id:?}");
            let kept = self.asking.iter().filter(|claim| *claim == id).count();
            assert_eq!(asking, kept, "{id:?}");
            assert!(reserved + asking + leases <= self.most[id], "{id:?} gets more than it wants");
            if reserved == 0 && leases > 0 {
                assert_eq!(
                    self.board.standing(*id),
                    Standing::HasLeases,
                    "{id:?} waits for permits of others"
                );
            }
            if waits {
                // One that was handed over may have got more than it now wants.
                assert!(
                    reserved + asking + leases >= wanted.max || !self.board.knows_work(*id),
                    "{id:?} waits beside work"
                );
            }
        }
    }

    /// Lets everything under way end. Then nothing that is ready stands beside a claim that could take it.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.sent.is_empty() {
                self.step(Step::Serve { which: 0 });
            } else if !self.leased.is_empty() {
                self.step(Step::Commit { which: 0 });
            } else if !self.asking.is_empty() {
                self.step(Step::Answer { which: 0 });
            } else {
                break;
            }
            self.check();
        }
        assert!(
            self.sent.is_empty() && self.leased.is_empty() && self.asking.is_empty(),
            "it goes round in circles"
        );
        for (id, wanted) in &self.claims {
            let (reserved, asking, leases, waits) = self.board.slots(*id).unwrap();
            assert_eq!((reserved, asking), (0, 0));
            assert!(leases == 0 || self.board.standing(*id) == Standing::HasLeases);
            if waits && leases < wanted.max {
                assert!(self.best_for(&wanted.filter).is_empty(), "{id:?} waits beside work");
            }
        }
    }
}

fn granted(partition: PartitionId, group: usize, number: u64) -> GrantedLease {
    let lease = LeaseRef {
        execution: ExecutionId::fresh(0, partition, u128::from(number)),
        epoch: 1,
        token: LeaseToken([0; 16]),
    };
    let grant = Grant {
        lease,
        attempt: 1,
        ttl_ms: 1,
        renewed_at: 0,
        group: groups()[group].clone(),
        priority: 0,
        submitted_at: 0,
        deadline: None,
        attempt_timeout_ms: None,
        journal: false,
        held: Vec::new(),
    };
    GrantedLease { grant, spec: Spec::default(), input: Bytes::new(), steps: Vec::new() }
}

fn number(lease: LeaseRef) -> u64 {
    let mut last = [0; 8];
    last.copy_from_slice(&lease.execution.0[8..]);
    u64::from_be_bytes(last)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slots_and_work_never_miss_each_other(steps in steps()) {
        let mut world = World::default();
        for step in steps {
            world.step(step);
            world.check();
        }
        world.settle();
    }
}
