//! Events are followed over streams that break, for as long as the execution lives.

// Tests may unwrap; the lint only knows test functions, not what they call.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use stint::testing::TestEngine;
use stint::transport::{EventStream, InProcess, Reply, Request, SendError, Target, Transport};
use stint::{Client, Randomness, Submission};

const HOUR: Duration = Duration::from_secs(3_600);

/// A way to an engine on which no stream lives longer than an hour: somebody in between closes it.
#[derive(Debug)]
struct Hourly(InProcess);

impl Transport for Hourly {
    fn send<'a>(
        &'a self,
        request: &'a Request,
        key: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Reply, SendError>> {
        self.0.send(request, key)
    }

    fn follow<'a>(
        &'a self,
        of: &'a Target,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<EventStream, SendError>> {
        Box::pin(async move {
            let events = self.0.follow(of, after).await?;
            let events: EventStream = Box::pin(events.take_until(tokio::time::sleep(HOUR)));
            Ok(events)
        })
    }
}

#[tokio::test]
async fn an_execution_that_is_silent_for_a_day_is_followed_over_every_break() {
    let stint = TestEngine::start().await;
    let transport = Arc::new(Hourly(InProcess::new(stint.engine().clone())));
    let client = Client::builder().transport(transport).randomness(Randomness::from_seed(3)).build().unwrap();
    let id = client.submit(Submission::new("job").delay(24 * HOUR)).await.unwrap().id;
    let following = tokio::spawn(client.follow(&id).map(|event| event.map(|event| event.event)).collect());
    stint.advance(24 * HOUR).await;
    client.cancel(&id, Default::default()).await.unwrap();
    let heard: Vec<Result<String, _>> = following.await.unwrap();
    let heard: Vec<String> = heard.into_iter().map(Result::unwrap).collect();
    assert_eq!((heard.first().unwrap().as_str(), heard.last().unwrap().as_str()), ("submitted", "cancelled"));
}

#[tokio::test]
async fn what_was_replayed_is_followed_past_its_first_end() {
    let stint = TestEngine::start().await;
    let client = stint.client();
    let id = client.submit(Submission::new("job")).await.unwrap().id;
    client.cancel(&id, Default::default()).await.unwrap();
    client.replay(&id, Default::default()).await.unwrap();
    let following = tokio::spawn(client.follow(&id).map(|event| event.unwrap().event).collect());
    stint.settle().await;
    client.cancel(&id, Default::default()).await.unwrap();
    let heard: Vec<String> = following.await.unwrap();
    assert_eq!(heard.iter().filter(|event| *event == "cancelled").count(), 2, "{heard:?}");
    // Whoever knows the end already hears that it is the end.
    let end = client.events(&id).await.unwrap().last().unwrap().cursor.clone();
    assert!(client.follow_from(&id, end).all().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_wait_may_be_without_end() {
    let stint = TestEngine::start().await;
    let client = stint.client();
    let id = client.submit(Submission::new("job").queue_ttl(HOUR)).await.unwrap().id;
    let patient = client.clone().with_deadline(Duration::MAX);
    let outcome = patient.result::<()>(&id).wait(Duration::MAX).await.unwrap();
    assert!(outcome.state.is_terminal());
}
