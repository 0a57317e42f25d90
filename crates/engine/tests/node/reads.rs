//! Commands that wait for cold records: in order, on the newest values, without holding up others.

use std::time::Duration;

use futures_util::future::join_all;
use stint_core::Command;
use stint_core::command::{BeginStep, Complete, Outcome, RecordStep};
use stint_core::model::{State, StepOutcome};
use stint_store::memory::{Call, Fault, FaultPlan, Op, Rates, SeededFaults};

use crate::support::*;

/// Reads take long; commits don't.
#[derive(Debug)]
struct SlowReads(Duration);

impl FaultPlan for SlowReads {
    fn decide(&mut self, op: Op) -> Fault {
        match op.call {
            Call::Get | Call::Range => Fault { before: self.0, ..Fault::default() },
            _ => Fault::default(),
        }
    }
}

/// Commits take long; reads don't.
#[derive(Debug)]
struct SlowCommits(Duration);

impl FaultPlan for SlowCommits {
    fn decide(&mut self, op: Op) -> Fault {
        match op.call {
            Call::Commit => Fault { before: self.0, ..Fault::default() },
            _ => Fault::default(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_waits_for_what_it_saw_and_no_longer() {
    let store = store(true, Some(Box::new(SlowCommits(Duration::from_secs(10)))));
    let running = open(&store, "a").await;
    let began = tokio::time::Instant::now();
    let after = |wait: u64| tokio::time::sleep(Duration::from_secs(wait));
    let first = running.submit(submission(id()));
    let look = async |wait| {
        after(wait).await;
        let seen = running.node.look(HERE, |partition| partition.len()).await.unwrap();
        (seen, began.elapsed().as_secs())
    };
    let second = async {
        after(2).await;
        running.submit(submission(id())).await
    };
    let (_, early, _, late) = tokio::join!(first, look(1), second, look(3));
    assert_eq!((early, late), ((1, 10), (2, 20)));
}

#[tokio::test(start_paused = true)]
async fn an_executions_commands_keep_their_order_while_records_are_read() {
    for seed in 0..20 {
        let rates = Rates { slow: 300, slow_ms_max: 50, rival: 50, always_us_max: 1_000, ..Rates::default() };
        let store = store(false, Some(Box::new(SeededFaults::new(seed, rates))));
        store.calm(true);
        let running = open(&store, "a").await;
        let mut leases = Vec::new();
        for _ in 0..5 {
            running.submit(submission(id())).await;
        }
        leases.extend(running.claim(5).await.into_iter().map(|grant| grant.lease));
        store.calm(false);
        let mut commands = Vec::new();
        for step in ["one", "two", "three"] {
            for lease in &leases {
                let (lease, key) = (*lease, step.to_owned());
                commands.push(Command::BeginStep(BeginStep { lease, key: key.clone() }));
                commands.push(Command::RecordStep(RecordStep { lease, key, output: payload(step) }));
            }
        }
        for lease in &leases {
            commands.push(Command::Complete(Complete { lease: *lease, output: payload("1") }));
        }
        let calls = commands.into_iter().map(|command| running.node.call(HERE, command));
        for answer in join_all(calls).await {
            let right = matches!(
                answer,
                Ok(Outcome::Step(StepOutcome::Run) | Outcome::Done | Outcome::Ended(State::Completed))
            );
            assert!(right, "seed {seed}: {answer:?}");
        }
        store.calm(true);
        agrees(&running, &store).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_read_does_not_wait_for_one() {
    let store = store(true, Some(Box::new(SlowReads(Duration::from_secs(10)))));
    let running = open(&store, "a").await;
    let (first, second) = (id(), id());
    running.submit(submission(first)).await;
    running.submit(submission(second)).await;
    let leases = running.claim(2).await;
    let begin = BeginStep { lease: leases[0].lease, key: "one".to_owned() };
    let slow = running.node.call(HERE, Command::BeginStep(begin));
    let quick = async {
        let began = tokio::time::Instant::now();
        running.complete(leases[1].lease, "1").await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(1));
    };
    let (slow, ()) = tokio::join!(slow, quick);
    assert_eq!(slow, Ok(Outcome::Step(StepOutcome::Run)));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_began_before_a_commit_does_not_bring_old_values_back() {
    let store = store(true, Some(Box::new(SlowReads(Duration::from_millis(100)))));
    let running = open(&store, "a").await;
    running.submit(submission(id())).await;
    let lease = running.claim(1).await[0].lease;
    let begin = |key: &str| Command::BeginStep(BeginStep { lease, key: key.to_owned() });
    let record = |key: &str, text: &str| {
        Command::RecordStep(RecordStep { lease, key: key.to_owned(), output: payload(text) })
    };
    running.node.call(HERE, begin("one")).await.unwrap();
    // "two" is read while "one" gets its result, and then both are asked for again.
    let calls = [begin("two"), record("one", "1"), begin("one"), record("two", "2"), begin("two")];
    let answers = join_all(calls.into_iter().map(|command| running.node.call(HERE, command))).await;
    let results: Vec<bool> =
        answers.iter().map(|a| matches!(a, Ok(Outcome::Step(StepOutcome::Result(_))))).collect();
    assert_eq!(results, [false, false, true, false, true], "{answers:?}");
}
