//! Two nodes on one store: a call goes once to the node that works on its partition.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use stint_core::command::{Claim, Complete, Outcome, Replay, Submit};
use stint_core::model::State;
use stint_core::{Command, Millis, PartitionId};
use stint_engine::{CallError, EngineConfig, Node, Peers};
use stint_store::NodeId;

use crate::support::*;

/// The way from one node to one other.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    pub(crate) to: Mutex<Option<(NodeId, Node)>>,
    calls: AtomicU64,
    /// Answers get lost, and what the calls brought has been done by the time that is noticed.
    loses: AtomicBool,
}

impl Peers for Wire {
    fn call(
        &self,
        to: NodeId,
        partition: PartitionId,
        command: Command,
    ) -> BoxFuture<'_, Option<Result<Outcome, CallError>>> {
        self.calls.fetch_add(1, Relaxed);
        let node = self.to.lock().unwrap().clone().filter(|(id, _)| *id == to).map(|(_, node)| node);
        let loses = self.loses.load(Relaxed);
        Box::pin(async move {
            let node = node?;
            let answer = node.call_here(partition, command).await;
            if !loses {
                return Some(answer);
            }
            let claim =
                Claim { token: token(), worker: worker(0), filter: filter(), max: 1, until: Millis::MAX };
            let Ok(Outcome::Leased(grants, _)) = node.call_here(partition, Command::Claim(claim)).await
            else {
                panic!("there is work")
            };
            let complete = Complete { lease: grants[0].lease, output: payload("1") };
            node.call_here(partition, Command::Complete(complete)).await.unwrap();
            None
        })
    }
}

async fn pair(level_of_b: u32) -> (Running, Running, Arc<Wire>) {
    let store = store(false, None);
    let wire = Arc::new(Wire::default());
    let a = open(&store.handle(1), "a").await;
    a.submit(submission(id())).await;
    *wire.to.lock().unwrap() = Some((EngineConfig::node_id("a"), a.node.clone()));
    let config = EngineConfig { peers: Some(wire.clone()), level: level_of_b, ..config("b") };
    let b = try_open(&store.handle(2), config).await.unwrap();
    (a, b, wire)
}

#[tokio::test(start_paused = true)]
async fn after_two_conflicts_the_other_node_is_asked() {
    let (a, b, wire) = pair(stint_core::LEVEL).await;
    b.node.opened().await;
    for _ in 0..5 {
        a.submit(submission(id())).await;
        b.show(a.claim(1).await[0].lease.execution).await;
    }
    assert!(wire.calls.load(Relaxed) >= 2);
    let before = b.node.stats().conflicts;
    let last = id();
    b.submit(submission(last)).await;
    assert_eq!(b.node.stats().conflicts, before);
    // A node that can't be reached is not waited for: the same command runs here.
    *wire.to.lock().unwrap() = None;
    assert!(b.submit(submission(last)).await.existed);
    assert!(b.node.stats().conflicts > before);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_too_old_forwards_instead_of_opening() {
    let (a, b, wire) = pair(stint_core::LEVEL - 1).await;
    let id = id();
    while b.try_submit(submission(id)).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(wire.calls.load(Relaxed) > 0);
    assert_eq!(a.show(id).await.execution.state(), State::Ready);
}

#[tokio::test(start_paused = true)]
async fn what_ran_elsewhere_does_not_run_again_when_only_its_answer_was_lost() {
    let (a, b, wire) = pair(stint_core::LEVEL).await;
    b.node.opened().await;
    a.complete(a.claim(1).await[0].lease, "0").await.unwrap();
    let asked = id();
    for command in [
        Command::Submit(Submit { items: vec![submission(asked)] }),
        Command::Replay(Replay {
            namespace: "default".into(),
            id: asked,
            from_step: None,
            steps: Vec::new(),
            request: None,
        }),
    ] {
        // Two conflicts, and the other is asked.
        for _ in 0..3 {
            a.submit(submission(id())).await;
            let lease = a.claim(1).await[0].lease;
            a.complete(lease, "0").await.unwrap();
            b.show(lease.execution).await;
        }
        let before = wire.calls.load(Relaxed);
        wire.loses.store(true, Relaxed);
        b.node.call(HERE, command).await.unwrap();
        wire.loses.store(false, Relaxed);
        assert_eq!(wire.calls.load(Relaxed), before + 1);
        assert_eq!(a.show(asked).await.execution.state(), State::Completed);
    }
    assert_eq!(a.show(asked).await.execution.attempt, 2);
}
