//! Lists: whatever happened before, shelves give what a filter and a sort over all executions give.

#![allow(clippy::unwrap_used)]

mod bed;

use bed::{Bed, policy, requires};
use proptest::prelude::*;
use stint_core::command::*;
use stint_core::find::{Filter, Position, StateFilter, Summary};
use stint_core::model::*;
use stint_core::*;

#[derive(Clone, Debug)]
enum Op {
    Submit {
        namespace: u8,
        lane: u8,
        kind: u8,
        gpu: bool,
        delay: i64,
    },
    Claim {
        lane: u8,
    },
    Complete,
    Fail,
    Cancel {
        n: usize,
    },
    Act {
        n: usize,
        action: Action,
    },
    Replay {
        n: usize,
    },
    Lane {
        lane: u8,
        mode: LaneMode,
    },
    Pass {
        ms: i64,
    },
    Shelve {
        most: usize,
    },
    Unshelve,
    /// Submits, and takes it back.
    Undo,
}

fn op() -> impl Strategy<Value = Op> {
    let n = 0..1_000usize;
    let action = prop_oneof![
        Just(Action::Pause),
        Just(Action::Resume),
        Just(Action::Revoke),
        (-3..=3i8).prop_map(Action::Priority)
    ];
    let mode = prop_oneof![Just(LaneMode::Open), Just(LaneMode::Paused), Just(LaneMode::Draining)];
    prop_oneof![
        10 => (0..2u8, 0..3u8, 0..2u8, any::<bool>(), prop_oneof![Just(0i64), 1..5_000i64]).prop_map(
            |(namespace, lane, kind, gpu, delay)| Op::Submit { namespace, lane, kind, gpu, delay }),
        5 => (0..3u8).prop_map(|lane| Op::Claim { lane }),
        2 => Just(Op::Complete),
        2 => Just(Op::Fail),
        1 => n.clone().prop_map(|n| Op::Cancel { n }),
        3 => (n.clone(), action).prop_map(|(n, action)| Op::Act { n, action }),
        1 => n.prop_map(|n| Op::Replay { n }),
        1 => (0..3u8, mode).prop_map(|(lane, mode)| Op::Lane { lane, mode }),
        3 => prop_oneof![Just(0i64), 1..3_000i64].prop_map(|ms| Op::Pass { ms }),
        4 => (1..6usize).prop_map(|most| Op::Shelve { most }),
        1 => Just(Op::Unshelve),
        2 => Just(Op::Undo),
    ]
}

fn filter() -> impl Strategy<Value = Filter> {
    let state = prop_oneof![
        Just(StateFilter::Is(State::Scheduled)),
        Just(StateFilter::Is(State::Ready)),
        Just(StateFilter::Is(State::Running)),
        Just(StateFilter::Is(State::Failed)),
        Just(StateFilter::Blocked),
        Just(StateFilter::Never),
    ];
    let time = || proptest::option::weighted(0.3, 0..10_000i64);
    let some = |of: std::ops::Range<u8>| proptest::option::weighted(0.4, of);
    (
        0..2u8,
        proptest::option::of(state),
        some(0..3),
        some(0..2),
        proptest::bool::weighted(0.1),
        time(),
        time(),
    )
        .prop_map(|(namespace, state, lane, kind, error, since, until)| Filter {
            state,
            lane: lane.map(|lane| name(lane).into()),
            kind: kind.map(|kind| kind.to_string().into()),
            error_type: error.then(|| "Broken".to_owned()),
            since: since.map(|since| bed::START + since),
            until: until.map(|until| bed::START + until),
            ..Filter::all(space(namespace))
        })
}

fn name(lane: u8) -> &'static str {
    ["default", "a", "b"][usize::from(lane)]
}

fn space(namespace: u8) -> &'static str {
    ["default", "theirs"][usize::from(namespace)]
}

#[derive(Default)]
struct Run {
    ids: Vec<ExecutionId>,
    leases: Vec<LeaseRef>,
}

impl Run {
    fn id(&self, n: usize) -> Option<ExecutionId> {
        self.ids.get(n.checked_rem(self.ids.len())?).copied()
    }

    fn apply(&mut self, bed: &mut Bed, op: &Op) {
        match op {
            Op::Submit { namespace, lane, kind, gpu, delay } => self.ids.push(bed.submit(|s| {
                (s.namespace, s.lane) = (space(*namespace).into(), name(*lane).into());
                s.kind = kind.to_string().into();
                s.requires = if *gpu { requires(&["gpu"]) } else { vec![] };
                s.delay_ms = Some(*delay);
                s.policy = policy(|p| p.queue_ttl_ms = Some(9_000));
            })),
            Op::Claim { lane } => {
                let grants = bed.claim_as(|c| c.filter.lanes = vec![name(*lane).into()]);
                self.leases.extend(grants.iter().map(|grant| grant.lease));
            }
            Op::Complete => _ = self.leases.pop().map(|lease| bed.complete(lease, "1")),
            Op::Fail => _ = self.leases.pop().map(|lease| bed.fail(lease, "Broken")),
            Op::Cancel { n } => _ = self.id(*n).map(|id| bed.cancel(id, 1_000)),
            Op::Act { n, action } => _ = self.id(*n).map(|id| bed.act(id, *action)),
            Op::Replay { n } => _ = self.id(*n).map(|id| bed.replay(id, None)),
            Op::Lane { lane, mode } => bed.own_lane(name(*lane), |settings| {
                // What drains takes no submissions, and these must be taken.
                settings.mode = if *mode == LaneMode::Draining { LaneMode::Open } else { *mode };
            }),
            Op::Pass { ms } => bed.pass(*ms),
            Op::Shelve { most } => _ = bed.partition.shelve(*most),
            Op::Unshelve => bed.partition.unshelve(),
            Op::Undo => {
                let mut txn = Txn::default();
                let item = bed.submission();
                bed.run_in(&mut txn, &Command::Submit(Submit { items: vec![item] })).unwrap();
                txn.undo(&mut bed.partition);
                bed.check();
            }
        }
    }
}

/// What there is, without any index.
fn plainly(bed: &Bed, filter: &Filter, before: Option<Position>) -> Vec<Summary> {
    let live = bed.store.keys().filter(|key| key.table == Table::Live && key.bytes.first() == Some(&b'x'));
    let ids = live.map(|key| ExecutionId(key.bytes[1..].try_into().unwrap()));
    let mut found: Vec<Summary> = ids
        .map(|id| {
            let execution = bed.partition.execution(id).unwrap();
            let mode = bed.partition.lane(&execution.group.namespace, &execution.group.lane).mode;
            Summary::of(execution, mode)
        })
        .filter(|one| filter.matches(one) && before.is_none_or(|before| one.by_submission() < before))
        .collect();
    found.sort_by_key(|one| std::cmp::Reverse(one.by_submission()));
    found
}

proptest! {
    #[test]
    fn a_list_is_a_filter_and_a_sort(
        ops in proptest::collection::vec(op(), 1..80),
        filters in proptest::collection::vec(filter(), 1..8),
        page in 1..5usize,
    ) {
        let mut bed = Bed::new();
        let mut run = Run::default();
        for op in &ops {
            run.apply(&mut bed, op);
        }
        while !bed.partition.shelve(2) {}
        bed.check();
        for filter in &filters {
            let all = plainly(&bed, filter, None);
            prop_assert_eq!(bed.partition.list(filter, None, usize::MAX), Some(all.clone()));
            prop_assert_eq!(bed.partition.count(filter, u64::MAX), Some(all.len() as u64));
            prop_assert_eq!(bed.partition.count(filter, 2), Some(all.len().min(2) as u64));
            let mut paged = Vec::new();
            let mut before = None;
            loop {
                let next = bed.partition.list(filter, before, page).unwrap();
                before = next.last().map(Summary::by_submission);
                prop_assert!(next.len() <= page);
                if next.is_empty() {
                    break;
                }
                paged.extend(next);
            }
            prop_assert_eq!(paged, all);
            let middle = Some((bed::START + 2_000, ExecutionId([0; 16])));
            prop_assert_eq!(bed.partition.list(filter, middle, usize::MAX), Some(plainly(&bed, filter, middle)));
        }
    }
}

#[test]
fn nothing_is_listed_before_everything_is_there() {
    let mut bed = Bed::new();
    for _ in 0..5 {
        bed.submit(|_| ());
    }
    let all = Filter::all("default");
    assert_eq!(bed.partition.list(&all, None, 10), None);
    assert!(!bed.partition.shelve(2) && !bed.partition.shelve(2));
    assert_eq!((bed.partition.list(&all, None, 10), bed.partition.count(&all, 9)), (None, None));
    bed.submit(|_| ());
    while !bed.partition.shelve(2) {}
    assert_eq!(bed.partition.list(&all, None, 10).map(|page| page.len()), Some(6));
    bed.partition.unshelve();
    assert_eq!(bed.partition.list(&all, None, 10), None);
}
