//! The plain way: submit, lease, complete; and what a restart finds.

use stint_core::command::Outcome;
use stint_core::model::State;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn work_is_submitted_leased_and_completed() {
    for exclusive in [true, false] {
        let store = store(exclusive, None);
        let running = open(&store, "a").await;
        let id = id();
        assert_eq!(running.submit(submission(id)).await.state, State::Ready);
        assert!(running.submit(submission(id)).await.existed);
        let grants = running.claim(5).await;
        assert_eq!(grants.len(), 1);
        assert_eq!(running.complete(grants[0].lease, "1").await, Ok(Outcome::Ended(State::Completed)));
        assert_eq!(running.complete(grants[0].lease, "1").await, Ok(Outcome::Ended(State::Completed)));
        assert_eq!(running.show(id).await.execution.state(), State::Completed);
        running.node.drain().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let store = store(true, None);
    let running = open(&store.handle(1), "a").await;
    let (open_id, done) = (id(), id());
    running.submit(submission(done)).await;
    let grants = running.claim(1).await;
    running.complete(grants[0].lease, "1").await.unwrap();
    running.submit(submission(open_id)).await;
    drop(running);

    let running = open(&store.handle(2), "a").await;
    assert_eq!(running.show(done).await.execution.state(), State::Completed);
    assert_eq!(running.claim(9).await[0].lease.execution, open_id);
}

#[tokio::test(start_paused = true)]
async fn an_idle_node_leaves_the_store_alone() {
    let store = store(true, None);
    let running = open(&store, "a").await;
    running.submit(submission(id())).await;
    let before = stint_store::Store::counters(&store).commits;
    tokio::time::sleep(std::time::Duration::from_secs(3_600)).await;
    assert_eq!(stint_store::Store::counters(&store).commits, before);
}
