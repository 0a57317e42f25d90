//! The permit protocol (`docs/PERMITS.md`): executions in one partition, budgets in others, messages between them, and everything
//! that may happen on the way, in any order.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod bed;
mod world;

use proptest::prelude::*;
use stint_core::command::*;
use stint_core::model::*;
use world::{World, usd};

#[test]
fn one_budget_asks_waits_and_starts_in_order() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    let first = world.submit(&[("acme", 60)], |_| ());
    let second = world.submit(&[("acme", 60)], |s| s.priority = -1);
    let third = world.submit(&[("acme", 10)], |s| s.priority = -2);
    assert!(world.claim(3).is_empty(), "nothing starts before its permits");
    world.settle();
    let lease = world.claim(3);
    assert_eq!(lease.iter().map(|lease| lease.execution).collect::<Vec<_>>(), [first]);
    assert_eq!(world.e().partition.execution(second).unwrap().state(), State::Ready);
    let why = world.e().why(second);
    assert_eq!(why.state, "blocked");
    let Reason::Budget { shortfall, .. } = &why.reasons[0] else { panic!("{why:?}") };
    assert_eq!((shortfall.missing, shortfall.held, shortfall.limit), (20, 60, 100));
    // The third would fit, and does not overtake.
    assert_eq!(world.e().why(third).state, "blocked");
    world.charge(lease[0], "c1", 30);
    world.complete(lease[0]);
    world.settle();
    assert_eq!(world.used("acme"), 30);
    let leases = world.claim(3);
    assert_eq!(leases.iter().map(|lease| lease.execution).collect::<Vec<_>>(), [second, third]);
    assert_eq!(world.held("acme"), 70);
    world.complete(leases[0]);
    world.complete(leases[1]);
    world.settle();
    assert_eq!((world.held("acme"), world.used("acme")), (0, 30));
}

#[test]
fn a_permit_that_no_lease_uses_goes_back() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    world.submit(&[("acme", 60)], |_| ());
    world.claim(1);
    world.settle();
    assert_eq!(world.held("acme"), 60);
    world.pass(UNUSED_MS);
    world.settle();
    assert_eq!(world.held("acme"), 0);
    world.claim(1);
    world.settle();
    assert_eq!(world.claim(1).len(), 1, "it asks again");
}

#[test]
fn several_budgets_are_never_held_while_one_is_waited_for() {
    let mut world = World::new(&["acme", "team"]);
    world.budget("acme", 100);
    world.budget("team", 10);
    let blocking = world.submit(&[("team", 10)], |_| ());
    world.claim(1);
    world.settle();
    let lease = world.claim(1)[0];
    assert_eq!(lease.execution, blocking);
    let both = world.submit(&[("acme", 60), ("team", 5)], |_| ());
    world.claim(1);
    world.settle();
    assert_eq!(world.held("acme"), 0, "it waits for the team's, holding nothing");
    assert_eq!(world.e().why(both).state, "blocked");
    world.complete(lease);
    world.settle();
    let leases = world.claim(1);
    assert_eq!(leases[0].execution, both);
    assert_eq!((world.held("acme"), world.held("team")), (60, 5));
    world.charge(leases[0], "c", 3);
    world.settle();
    assert_eq!((world.used("acme"), world.used("team")), (3, 3));
    world.complete(leases[0]);
    world.settle();
    assert_eq!((world.held("acme"), world.held("team")), (0, 0));
}

#[test]
fn a_breach_stops_what_runs_and_a_raise_lets_it_go_on() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    let id = world.submit(&[("acme", 10)], |_| ());
    world.claim(1);
    world.settle();
    let lease = world.claim(1)[0];
    world.charge(lease, "c1", 101);
    world.settle();
    assert_eq!(world.e().heartbeat(lease).unwrap().stop.unwrap().reason, StopReason::Suspend);
    assert!(world.view("acme").breached);
    world.e().run(Command::Suspend(Suspend { lease })).unwrap();
    assert_eq!(world.e().state(id), State::Suspended);
    world.claim(1);
    world.settle();
    assert!(world.claim(1).is_empty(), "a breach latches");
    world.budget("acme", 200);
    world.settle();
    assert!(!world.view("acme").breached);
    let again = world.claim(1)[0];
    assert_eq!((again.execution, again.epoch), (id, 2));
    assert_eq!(world.e().show(id).execution.attempt, 1, "the same attempt");
    world.complete(again);
    world.settle();
    assert_eq!((world.held("acme"), world.used("acme")), (0, 101));
}

#[test]
fn money_of_an_attempt_that_died_is_in_doubt_until_its_time_is_over() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    world.submit(&[("acme", 60)], |s| s.policy.retry.max_attempts = 1);
    world.claim(1);
    world.settle();
    let lease = world.claim(1)[0];
    world.charge(lease, "c1", 10);
    world.settle();
    world.pass(30_000);
    world.settle();
    assert_eq!((world.held("acme"), world.used("acme")), (50, 10), "its lease is over, the money still held");
    world.charge(lease, "c2", 20);
    world.settle();
    assert_eq!((world.held("acme"), world.used("acme")), (30, 30), "a late charge comes out of it");
    world.charge(lease, "c2", 20);
    world.settle();
    assert_eq!(world.used("acme"), 30, "once");
    world.pass(IN_DOUBT_MS);
    world.settle();
    assert_eq!(world.held("acme"), 0);
    world.charge(lease, "c3", 5);
    world.settle();
    assert_eq!(world.used("acme"), 35, "spend is a fact");
}

#[test]
fn a_step_that_has_a_result_ends_the_doubt_about_the_leases_that_began_it() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 1_000);
    world.submit(&[("acme", 60)], |_| ());
    let mut leases = Vec::new();
    for crashes in 0..3 {
        world.claim(1);
        world.settle();
        leases.push(world.claim(1)[0]);
        let lease = leases[crashes];
        world.e().begin(lease, "call").unwrap();
        if crashes < 2 {
            world.pass(30_000);
            world.settle();
        }
    }
    assert_eq!(world.held("acme"), 180, "two are in doubt");
    let (spent, step) = (Spent::Amounts(usd(20)), Some("call".to_owned()));
    world
        .e()
        .run(Command::ChargeLease(ChargeLease { lease: leases[2], id: "c1".into(), spent, step }))
        .unwrap();
    world.e().record(leases[2], "call", "1").unwrap();
    world.settle();
    assert_eq!((world.held("acme"), world.used("acme")), (60, 20), "what it spent came out of the doubt");
}

#[test]
fn work_given_back_unfinished_leaves_its_money_in_doubt_and_goes_on_as_the_same_attempt() {
    for stopped in [false, true] {
        let mut world = World::new(&["acme"]);
        world.budget("acme", 1_000);
        let id = world.submit(&[("acme", 60)], |s| s.policy.budgets[0].attempt_cap = Some(usd(70)));
        world.claim(1);
        world.settle();
        let lease = world.claim(1)[0];
        world.charge(lease, "c1", 20);
        if stopped {
            world.e().cancel(id, 1_000).unwrap();
        }
        let release = || Command::Release(Release { lease, unfinished: true });
        let ended = world.e().run(release()).unwrap();
        assert_eq!(world.e().run(release()), Ok(ended), "said again");
        world.settle();
        assert_eq!((world.held("acme"), world.used("acme")), (40, 20), "its last call may still be billed");
        world.charge(lease, "c2", 15);
        world.settle();
        assert_eq!((world.held("acme"), world.used("acme")), (25, 35));
        world.pass(IN_DOUBT_MS);
        world.settle();
        assert_eq!(world.held("acme"), 0);
        if stopped {
            assert_eq!(world.e().state(id), State::Cancelled);
            continue;
        }
        world.claim(1);
        world.settle();
        let next = world.claim(1)[0];
        assert_eq!(world.e().show(id).execution.attempt, 1);
        world.charge(next, "c3", 36);
        let stop = world.e().heartbeat(next).unwrap().stop.expect("the attempt has spent 71 of 70");
        assert_eq!(stop.reason, StopReason::BudgetFail);
    }
}

#[test]
fn an_attempt_that_fails_with_a_step_broken_off_leaves_its_money_in_doubt() {
    for (unfinished, last) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut world = World::new(&["acme"]);
        world.budget("acme", 1_000);
        world.submit(&[("acme", 60)], |_| ());
        world.claim(1);
        world.settle();
        let lease = world.claim(1)[0];
        world.charge(lease, "c1", 20);
        let error = ErrorInfo { error_type: "Broken".into(), message: String::new(), details: None };
        let retry = last.then_some(false);
        let fail = || {
            let error = error.clone();
            Command::Fail(Fail { lease, error, retry, retry_after_ms: None, unfinished })
        };
        let ended = world.e().run(fail()).unwrap();
        assert_eq!(world.e().run(fail()), Ok(ended), "said again");
        world.settle();
        let held = if unfinished { 40 } else { 0 };
        assert_eq!((world.held("acme"), world.used("acme")), (held, 20), "{unfinished} {last}");
        world.charge(lease, "c2", 15);
        world.pass(IN_DOUBT_MS);
        world.settle();
        assert_eq!((world.held("acme"), world.used("acme")), (0, 35));
    }
}

#[test]
fn what_fails_when_it_is_stopped_for_a_cap_fails_for_the_cap() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 1_000);
    let id = world.submit(&[("acme", 10)], |s| s.policy.budgets[0].cap = Some(usd(20)));
    world.claim(1);
    world.settle();
    let lease = world.claim(1)[0];
    world.charge(lease, "c1", 21);
    world.settle();
    world.e().fail_as(lease, "Broken", None, None).unwrap();
    let error = world.e().show(id).execution.end.unwrap().error.unwrap();
    assert_eq!(error.error_type, "cap_exceeded");
    assert!(error.message.starts_with("cap ") && error.message.contains("Broken"), "{}", error.message);
}

#[test]
fn a_late_charge_of_what_was_resumed_and_given_back_counts_for_its_attempt() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    let id = world.submit(&[("acme", 60)], |s| s.policy.budgets[0].attempt_cap = Some(usd(150)));
    world.claim(1);
    world.settle();
    let first = world.claim(1)[0];
    world.charge(first, "c1", 101);
    world.settle();
    world.e().run(Command::Suspend(Suspend { lease: first })).unwrap();
    world.budget("acme", 1_000);
    world.settle();
    world.claim(1);
    world.settle();
    let resumed = world.claim(1)[0];
    world.e().run(Command::Release(Release { lease: resumed, unfinished: true })).unwrap();
    world.charge(resumed, "c2", 40);
    world.settle();
    world.claim(1);
    world.settle();
    let again = world.claim(1)[0];
    assert_eq!(world.e().show(id).execution.attempt, 1, "the same attempt");
    world.charge(again, "c3", 10);
    let stop = world.e().heartbeat(again).unwrap().stop.expect("the attempt has spent 151 of 150");
    assert_eq!(stop.reason, StopReason::BudgetFail);
}

#[test]
fn a_worker_that_speaks_late_ends_the_doubt() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    world.submit(&[("acme", 60)], |s| s.policy.max_crashes = 0);
    world.claim(1);
    world.settle();
    let lease = world.claim(1)[0];
    world.pass(30_000);
    world.settle();
    assert_eq!(world.held("acme"), 60);
    world.charge(lease, "c1", 15);
    assert_eq!(world.e().complete(lease, "1"), Ok(Outcome::SettledLate));
    assert_eq!(world.e().complete(lease, "1"), Err(Refusal::LeaseLost));
    world.settle();
    assert_eq!((world.held("acme"), world.used("acme")), (0, 15));
}

#[test]
fn what_can_never_fit_fails_and_so_does_what_names_no_budget() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 100);
    let large = world.submit(&[("acme", 101)], |_| ());
    let nowhere = world.submit(&[("acme/gone", 1)], |_| ());
    for id in [large, nowhere] {
        world.claim(1);
        world.settle();
        world.claim(1);
        world.settle();
        assert_eq!(world.e().state(id), State::Failed);
    }
    let error = |world: &mut World, id| world.e().show(id).execution.end.unwrap().error.unwrap().error_type;
    assert_eq!(error(&mut world, large), "hold_too_large");
    assert_eq!(error(&mut world, nowhere), "budget_not_found");
}

#[test]
fn caps_count_over_all_attempts_and_end_the_execution() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 1_000);
    let id = world.submit(&[("acme", 50)], |s| s.policy.budgets[0].cap = Some(usd(100)));
    for (n, spent) in [(1, 60), (2, 41)] {
        world.claim(1);
        world.settle();
        let lease = world.claim(1)[0];
        world.charge(lease, &format!("c{n}"), spent);
        world.settle();
        if n == 1 {
            world.e().fail_as(lease, "Broken", None, Some(0)).unwrap();
        } else {
            let stop = world.e().heartbeat(lease).unwrap().stop.unwrap();
            assert_eq!(stop.reason, StopReason::BudgetFail);
            world.pass(STOP_GRACE_MS);
        }
        world.settle();
    }
    let end = world.e().show(id).execution.end.unwrap();
    assert_eq!(end.error.unwrap().error_type, "cap_exceeded");
    assert_eq!(world.used("acme"), 101);
}

#[test]
fn what_has_used_a_cap_up_is_not_started_again() {
    let mut world = World::new(&["acme"]);
    world.budget("acme", 1_000);
    let capped = |world: &mut World, of_attempt: bool| {
        world.submit(&[("acme", 50)], |s| {
            let used = &mut s.policy.budgets[0];
            let cap = if of_attempt { &mut used.attempt_cap } else { &mut used.cap };
            *cap = Some(usd(100));
        })
    };
    let spend = |world: &mut World| {
        world.claim(1);
        world.settle();
        let lease = world.claim(1)[0];
        let id = format!("{}", lease.execution);
        world.charge(lease, &id, 100);
        world.settle();
        world.e().fail_as(lease, "Broken", None, Some(0)).unwrap();
        world.settle();
    };
    let id = capped(&mut world, false);
    spend(&mut world);
    assert_eq!(world.e().state(id), State::Ready);
    assert!(world.claim(1).is_empty());
    let end = world.e().show(id).execution.end.unwrap();
    assert_eq!(end.error.unwrap().error_type, "cap_exceeded");
    // Another attempt has a cap of its own, and a whole hold.
    capped(&mut world, true);
    spend(&mut world);
    world.claim(1);
    world.settle();
    assert_eq!((world.claim(1).len(), world.held("acme")), (1, 50));
}

#[test]
fn a_refusal_on_old_news_ends_no_permit() {
    let mut world = World::new(&["acme"]);
    world.snapshot(1);
    world.budget("acme", 100);
    world.submit(&[("acme", 60)], |_| ());
    world.claim(1);
    world.send(0, 1, false);
    world.send(1, 0, false);
    let lease = world.claim(1)[0];
    // The tree loses the hold, the budget and what it was asked; asked once more it knows no such budget.
    world.roll_back(1);
    world.settle();
    assert_eq!(world.e().heartbeat(lease).unwrap().stop, None, "what runs runs on");
    world.budget("acme", 100);
    assert_eq!(world.held("acme"), 60, "its hold stands again");
    world.complete(lease);
    world.settle();
    assert_eq!(world.held("acme"), 0);
}

/// What may happen.
#[derive(Clone, Debug)]
enum Op {
    Submit { both: bool, hold: u64, priority: i8 },
    Claim { max: usize },
    Charge { lease: usize, amount: u64, id: u8 },
    Complete { lease: usize },
    Fail { lease: usize },
    Suspended { lease: usize },
    Release { lease: usize, unfinished: bool },
    Cancel { which: usize },
    Pause { which: usize, paused: bool },
    Priority { which: usize, priority: i8 },
    Send { from: usize, to: usize, heard: bool },
    Limit { tree: usize, limit: u64 },
    Delete { tree: usize },
    Extend { lease: usize, amount: u64 },
    AskAfter { tree: usize },
    Pass { ms: i64 },
    Snapshot { which: usize },
    RollBack { which: usize },
}

fn op(losses: bool) -> impl Strategy<Value = Op> {
    let usual = prop_oneof![
        4 => (any::<bool>(), 0..60u64, -2..3i8).prop_map(|(both, hold, priority)| Op::Submit { both, hold, priority }),
        6 => (1..4usize).prop_map(|max| Op::Claim { max }),
        4 => (0..8usize, 0..40u64, 0..20u8).prop_map(|(lease, amount, id)| Op::Charge { lease, amount, id }),
        2 => (0..8usize).prop_map(|lease| Op::Complete { lease }),
        1 => (0..8usize).prop_map(|lease| Op::Fail { lease }),
        1 => (0..8usize).prop_map(|lease| Op::Suspended { lease }),
        1 => (0..8usize, any::<bool>()).prop_map(|(lease, unfinished)| Op::Release { lease, unfinished }),
        1 => (0..8usize).prop_map(|which| Op::Cancel { which }),
        1 => (0..8usize, any::<bool>()).prop_map(|(which, paused)| Op::Pause { which, paused }),
        1 => (0..8usize, -2..3i8).prop_map(|(which, priority)| Op::Priority { which, priority }),
        12 => (0..3usize, 0..3usize, any::<bool>()).prop_map(|(from, to, heard)| Op::Send { from, to, heard }),
        1 => (0..2usize, 20..150u64).prop_map(|(tree, limit)| Op::Limit { tree, limit }),
        1 => (0..8usize, 1..30u64).prop_map(|(lease, amount)| Op::Extend { lease, amount }),
        1 => (0..2usize).prop_map(|tree| Op::AskAfter { tree }),
        2 => prop_oneof![Just(10), Just(1_100), Just(5_100), Just(31_000), Just(61_000)].prop_map(|ms| Op::Pass { ms }),
    ];
    let lost = prop_oneof![
        1 => (0..2usize).prop_map(|tree| Op::Delete { tree }),
        1 => (0..3usize).prop_map(|which| Op::Snapshot { which }),
        1 => (0..3usize).prop_map(|which| Op::RollBack { which }),
    ];
    let share = if losses { 4 } else { 0 };
    prop_oneof![44 => usual.boxed(), share => lost.boxed()].boxed()
}

const TREES: [&str; 2] = ["acme", "team"];

fn apply(world: &mut World, op: &Op) {
    let lease =
        |world: &World, n: usize| (!world.leases.is_empty()).then(|| world.leases[n % world.leases.len()]);
    match *op {
        Op::Submit { both, hold, priority } => {
            let uses: &[(&str, u64)] =
                if both { &[("acme", hold), ("team", hold)] } else { &[("acme", hold)] };
            world.submit(uses, |s| s.priority = priority);
        }
        Op::Claim { max } => _ = world.claim(max),
        Op::Charge { lease: n, amount, id } => {
            if let Some(lease) = lease(world, n) {
                world.charge(lease, &format!("{}/{id}/{amount}", lease.execution), amount);
            }
        }
        Op::Complete { lease: n } => {
            if let Some(lease) = lease(world, n)
                && world.e().complete(lease, "1").is_ok()
            {
                world.spoken.insert(lease);
            }
        }
        Op::Fail { lease: n } => {
            if let Some(lease) = lease(world, n)
                && world.e().fail(lease, "Broken").is_ok()
            {
                world.spoken.insert(lease);
            }
        }
        Op::Suspended { lease: n } => {
            if let Some(lease) = lease(world, n) {
                world.says(lease, Command::Suspend(Suspend { lease }));
            }
        }
        Op::Release { lease: n, unfinished } => {
            if let Some(lease) = lease(world, n) {
                let release = Command::Release(Release { lease, unfinished });
                if unfinished {
                    // A call that was broken off may still be billed. It may be over already.
                    _ = world.e().run(release);
                } else {
                    world.says(lease, release);
                }
            }
        }
        Op::Cancel { which } => _ = world.execution(which).map(|id| world.e().cancel(id, 1_000)),
        Op::Pause { which, paused } => {
            let action = if paused { Action::Pause } else { Action::Resume };
            _ = world.execution(which).map(|id| world.e().act(id, action));
        }
        Op::Priority { which, priority } => {
            _ = world.execution(which).map(|id| world.e().act(id, Action::Priority(priority)));
        }
        Op::Send { from, to, heard } => world.send(from, to, heard),
        Op::Limit { tree, limit } => world.budget(TREES[tree], limit),
        Op::Delete { tree } => world.delete(TREES[tree]),
        Op::Extend { lease: n, amount } => _ = lease(world, n).map(|lease| world.extend(lease, amount)),
        Op::AskAfter { tree } => world.ask_after(tree),
        Op::Pass { ms } => world.pass(ms),
        Op::Snapshot { which } => world.snapshot(which),
        Op::RollBack { which } => world.roll_back(which),
    }
}

/// No faults any more: everything that was begun comes to its end, and nothing is left of it.
fn rest(world: &mut World) {
    world.compare_all();
    world.settle();
    for tree in TREES {
        world.budget(tree, 1_000_000);
    }
    for id in world.executions.clone() {
        // It may have ended, or have been lost.
        _ = world.e().cancel(id, 0);
    }
    for _ in 0..3 {
        world.settle();
        world.pass(70_000);
    }
    world.settle();
    for (n, tree) in TREES.iter().enumerate() {
        let bed = world.bed(n + 1);
        assert_eq!(bed.partition.holds().count(), 0, "{tree} still holds");
        assert_eq!(bed.partition.waiters().count(), 0, "somebody still waits at {tree}");
    }
    for id in &world.executions {
        let open = world.beds[0].partition.execution(*id);
        let pending = open.is_some_and(|e| e.spending.as_deref().is_some_and(Spending::is_pending));
        assert!(!pending, "{id} still has permits");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever happens, in whatever order messages are taken: nothing is newly held beyond what the limit leaves, whatever was
    /// charged or lowered before; doubt lasts for its time; every charge counts once; and nothing is left at the end.
    #[test]
    fn permits_end_once_and_never_exceed_the_limit(ops in proptest::collection::vec(op(false), 1..80)) {
        let mut world = World::new(&TREES);
        for tree in TREES {
            world.budget(tree, 100);
        }
        world.strict = true;
        for op in &ops {
            apply(&mut world, op);
        }
        world.strict = false;
        rest(&mut world);
        world.check_books();
    }

    /// Trees that lose what they were told, whenever they do, know it again: every charge counts once.
    #[test]
    fn what_a_tree_lost_is_told_again(ops in proptest::collection::vec(op(true), 1..80)) {
        let mut world = World::new(&TREES);
        for tree in TREES {
            world.budget(tree, 100);
        }
        (0..3).for_each(|which| world.snapshot(which));
        let of_trees = |op: &&Op| !matches!(op, Op::Delete { .. } | Op::RollBack { which: 0 });
        for op in ops.iter().filter(of_trees) {
            apply(&mut world, op);
        }
        rest(&mut world);
        world.check_books();
    }

    /// The same with lost writes on every side and budgets that are deleted: nothing is left at the end.
    #[test]
    fn nothing_is_left_after_losses(ops in proptest::collection::vec(op(true), 1..80)) {
        let mut world = World::new(&TREES);
        for tree in TREES {
            world.budget(tree, 100);
        }
        for op in &ops {
            apply(&mut world, op);
        }
        rest(&mut world);
    }
}
