//! Steps: a call that costs money is made once, although the process that made it crashes.
//!
//! `cargo run -p stint --example paid_steps`

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stint::{Client, Context, Embedded, Failure, Submission, Worker};
use tokio::sync::{Notify, oneshot};

/// Stands for a provider that sends a bill for every call. A real one is given the key, so that even a call whose
/// answer never arrived is not charged twice.
#[derive(Default)]
struct Provider {
    calls: AtomicU32,
}

impl Provider {
    async fn complete(&self, prompt: &str, idempotency_key: &str) -> Result<String, Failure> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        println!("  paid call {call}: `{prompt}` under {idempotency_key}");
        Ok(format!("an essay about {prompt}"))
    }
}

/// Writes and then files an essay. The first process to run it crashes between the two.
fn worker(
    client: &Client,
    provider: Arc<Provider>,
    crash: Option<Arc<Notify>>,
) -> Result<Worker, stint::Error> {
    Worker::builder(client)
        .handler("essay", move |ctx: Context, topic: String| {
            let (provider, crash) = (Arc::clone(&provider), crash.clone());
            async move {
                println!("attempt {}", ctx.attempt());
                let key = ctx.step_key("write");
                let essay = ctx.step("write", || provider.complete(&topic, &key)).await?;
                let words = ctx.step("count", || async { Ok(essay.split(' ').count()) }).await?;
                if let Some(crash) = crash {
                    crash.notify_one();
                    std::future::pending::<()>().await;
                }
                Ok::<_, Failure>((essay, words))
            }
        })
        .build()
}

async fn run() -> Result<u32, Box<dyn std::error::Error>> {
    let stint = Embedded::in_memory().await?;
    let client = stint.client();
    let provider = Arc::new(Provider::default());

    // A short lease: how soon others notice that a worker is gone.
    let submission = Submission::new("essay").input("rain").lease_ttl(Duration::from_secs(1));
    let id = client.submit(submission).await?.id;

    let crash = Arc::new(Notify::new());
    let doomed = worker(&client, Arc::clone(&provider), Some(Arc::clone(&crash)))?;
    let doomed = tokio::spawn(doomed.run(std::future::pending()));
    crash.notified().await;
    doomed.abort();
    println!("the first worker is gone");

    let (stop, stopped) = oneshot::channel::<()>();
    let second = worker(&client, Arc::clone(&provider), None)?;
    let second = tokio::spawn(second.run(async {
        let _ = stopped.await;
    }));
    let outcome = client.result::<(String, usize)>(&id).wait(Duration::from_secs(60)).await?;
    let (essay, words) = outcome.into_output()?;
    let calls = provider.calls.load(Ordering::Relaxed);
    println!("`{essay}`, {words} words, for {calls} paid call");

    drop(stop);
    second.await??;
    stint.close().await;
    Ok(calls)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    run().await.map(drop)
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn the_provider_is_paid_once() {
        assert_eq!(super::run().await.unwrap(), 1);
    }
}
