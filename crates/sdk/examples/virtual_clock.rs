//! Testing what takes days, in no time: the engine in memory, under a clock that the test moves.
//!
//! `cargo run -p stint --features testing --example virtual_clock`, or copy the tests at the end.

use std::time::Duration;

use stint::api::{ExecutionState, Retry};
use stint::testing::TestEngine;
use stint::{Client, Context, Failure, Submission, Worker};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What is tested: an invoice is sent after three days, and tried again every hour while the mail server is away.
fn invoice(customer: &str) -> Submission {
    let retry = Retry::fixed(5, HOUR).without_jitter();
    Submission::new("invoice").input(customer).delay(3 * DAY).retry(retry)
}

fn worker(client: &Client) -> Result<Worker, stint::Error> {
    Worker::builder(client)
        .handler("invoice", async |ctx: Context, customer: String| {
            if ctx.attempt() < 3 {
                return Err(Failure::new("mail_server_away", "connection refused"));
            }
            Ok(format!("sent to {customer}"))
        })
        .build()
}

async fn run() -> Result<(), stint::Error> {
    let stint = TestEngine::start().await;
    let client = stint.client();
    let working = stint.work(worker(client)?);
    let id = client.submit(invoice("Ada")).await?.id;

    stint.advance(3 * DAY - Duration::from_millis(1)).await;
    assert_eq!(client.execution(&id).await?.attempts.len(), 0);
    stint.advance(Duration::from_millis(1)).await;
    assert_eq!(client.execution(&id).await?.attempts.len(), 1);

    stint.advance(HOUR).await;
    assert_eq!(client.execution(&id).await?.state, ExecutionState::Scheduled);
    stint.advance(HOUR).await;
    let sent = client.result::<String>(&id).wait(Duration::ZERO).await?.into_output()?;
    assert_eq!(sent, "sent to Ada");
    println!("three days and two hours later: {sent}");
    working.stop().await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), stint::Error> {
    run().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_invoice_is_sent_in_time() {
        run().await.unwrap();
    }

    #[tokio::test]
    async fn an_invoice_gives_up_after_its_deadline() {
        let stint = TestEngine::start().await;
        let client = stint.client();
        // Nobody works: the deadline counts from the submission.
        let id = client.submit(invoice("Ada").deadline(4 * DAY)).await.unwrap().id;
        stint.advance(4 * DAY - Duration::from_millis(1)).await;
        assert_eq!(client.execution(&id).await.unwrap().state, ExecutionState::Ready);
        stint.advance(Duration::from_millis(1)).await;
        assert_eq!(client.execution(&id).await.unwrap().state, ExecutionState::Expired);
    }
}
