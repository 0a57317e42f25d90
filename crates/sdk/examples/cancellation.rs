//! Cancelling: running code is told why, has a grace period to tidy up in, and is stopped if it does not.
//!
//! `cargo run -p stint --example cancellation`

use std::sync::Arc;
use std::time::Duration;

use stint::api::{CancelRequest, ExecutionState};
use stint::{Context, Embedded, Failure, Submission, Worker};
use tokio::sync::{Notify, oneshot};

/// Works until it is done or asked to stop.
async fn crawl(ctx: Context, started: Arc<Notify>) -> Result<u32, Failure> {
    started.notify_one();
    let mut pages = 0;
    loop {
        tokio::select! {
            stopping = ctx.cancelled() => {
                println!("asked to stop ({}), with {:?} left", stopping.reason, stopping.grace);
                println!("saved {pages} pages");
                // Whatever a handler that was asked to stop returns is its attempt's end.
                return Err(Failure::new("stopped", format!("after {pages} pages")));
            }
            () = next_page() => pages += 1,
        }
    }
}

async fn next_page() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

async fn run() -> Result<Vec<ExecutionState>, Box<dyn std::error::Error>> {
    let stint = Embedded::in_memory().await?;
    let client = stint.client();
    let started = Arc::new(Notify::new());
    let (polite, deaf) = (Arc::clone(&started), Arc::clone(&started));
    let worker = Worker::builder(&client)
        .handler("crawl", move |ctx: Context, (): ()| crawl(ctx, Arc::clone(&polite)))
        .handler("deaf", move |_: Context, (): ()| {
            deaf.notify_one();
            // Never asks; it is dropped at this await when the grace period is over.
            std::future::pending::<Result<(), Failure>>()
        })
        .build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let working = tokio::spawn(worker.run(async {
        let _ = stopped.await;
    }));

    let mut ends = Vec::new();
    for kind in ["crawl", "deaf"] {
        let id = client.submit(Submission::new(kind)).await?.id;
        started.notified().await;
        let request = CancelRequest {
            reason: Some("no longer needed".to_owned()),
            grace_ms: Some(200),
            ..CancelRequest::default()
        };
        let asked = client.cancel(&id, request.clone()).await?;
        println!("{kind}: {} when asked", asked.state);
        // Cancelling twice is fine.
        let _ = client.cancel(&id, request).await;
        let outcome = client.result::<()>(&id).wait(Duration::from_secs(60)).await?;
        println!("{kind}: {}", outcome.state);
        ends.push(outcome.state);
    }

    drop(stop);
    working.await??;
    stint.close().await;
    Ok(ends)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    run().await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_are_cancelled() {
        assert_eq!(run().await.unwrap(), [ExecutionState::Cancelled; 2]);
    }
}
