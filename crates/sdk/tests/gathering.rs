//! Submissions that are made at once travel together, and each has its own answer.

// Tests may unwrap; the lint only knows test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use stint::testing::TestEngine;
use stint::transport::{InProcess, Reply, Request, SendError, Transport};
use stint::{Client, Randomness, Submission};

/// A way to an engine that takes a while, and counts what goes by.
#[derive(Debug)]
struct Slow {
    engine: InProcess,
    requests: AtomicUsize,
}

impl Transport for Slow {
    fn send<'a>(
        &'a self,
        request: &'a Request,
        key: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Reply, SendError>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.engine.send(request, key).await
        })
    }

    fn gathers(&self) -> bool {
        true
    }
}

fn slow(stint: &TestEngine) -> (Arc<Slow>, Client) {
    let engine = InProcess::new(stint.engine().clone());
    let slow = Arc::new(Slow { engine, requests: AtomicUsize::new(0) });
    let transport: Arc<dyn Transport> = slow.clone();
    let client = Client::builder().transport(transport).randomness(Randomness::from_seed(3)).build().unwrap();
    (slow, client)
}

#[tokio::test]
async fn many_at_once_are_few_requests() {
    let stint = TestEngine::start().await;
    let (slow, client) = slow(&stint);
    let all = join_all((0..2_500_u32).map(|n| client.submit(Submission::new("job").input(&n)))).await;
    let ids: BTreeSet<String> = all.into_iter().map(|submitted| submitted.unwrap().id).collect();
    assert_eq!(ids.len(), 2_500);
    // Four alone, then full batches.
    let requests = slow.requests.load(Ordering::Relaxed);
    assert!((7..=8).contains(&requests), "{requests}");
}

#[tokio::test]
async fn one_after_the_other_waits_for_nobody() {
    let stint = TestEngine::start().await;
    let (slow, client) = slow(&stint);
    let begin = stint.now();
    for n in 0..10_u32 {
        client.submit(Submission::new("job").input(&n)).await.unwrap();
    }
    assert_eq!(stint.now().duration_since(begin).unwrap(), Duration::from_millis(100));
    assert_eq!(slow.requests.load(Ordering::Relaxed), 10);
}

#[tokio::test]
async fn each_has_its_own_answer() {
    let stint = TestEngine::start().await;
    let (_, client) = slow(&stint);
    let submission = |n: i32| match n {
        // Out of range: refused before anything is done.
        40 => Submission::new("job").priority(1_000),
        // In the same batch, another body under a key that is taken.
        50 | 51 => Submission::new("job").input(&n).idempotency_key("fifty"),
        _ => Submission::new("job").priority(n % 100),
    };
    let all = join_all((0..100).map(|n| client.submit(submission(n)))).await;
    let refused: Vec<_> = all
        .iter()
        .enumerate()
        .filter_map(|(n, submitted)| match submitted {
            Err(stint::Error::Refused(problem)) => {
                Some((n, problem.code.as_str(), problem.field.clone().unwrap_or_default()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert_eq!(refused[0], (40, "invalid_field", "priority".to_owned()));
    assert_eq!(refused[1].1, "idempotency_conflict");
    assert_eq!(all.iter().filter(|submitted| submitted.is_ok()).count(), 98);
}

#[tokio::test]
async fn who_gives_up_spoils_nothing_for_the_others() {
    let stint = TestEngine::start().await;
    let (_, client) = slow(&stint);
    // The four that go alone are given up while they are under way, and so are some of those that wait.
    let client = &client;
    let mut submissions: Vec<_> = (0..20_u32)
        .map(|n| Box::pin(async move { (n, client.submit(Submission::new("job").input(&n)).await) }))
        .collect();
    for submission in &mut submissions {
        assert!(futures_util::poll!(submission.as_mut()).is_pending());
    }
    submissions.drain(0..8);
    for (n, submitted) in join_all(submissions).await {
        submitted.unwrap_or_else(|error| panic!("{n}: {error}"));
    }
    client.submit(Submission::new("job")).await.unwrap();
}

#[tokio::test]
async fn who_wants_to_be_alone_is() {
    let stint = TestEngine::start().await;
    let engine = InProcess::new(stint.engine().clone());
    let slow = Arc::new(Slow { engine, requests: AtomicUsize::new(0) });
    let transport: Arc<dyn Transport> = slow.clone();
    let client = Client::builder().transport(transport).each_alone().build().unwrap();
    for submitted in join_all((0..50).map(|_| client.submit(Submission::new("job")))).await {
        submitted.unwrap();
    }
    assert_eq!(slow.requests.load(Ordering::Relaxed), 50);
}
