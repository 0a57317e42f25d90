//! A budget: an agent that calls a paid model is parked when the money is gone, and goes on from its journal when there is
//! more.
//!
//! `cargo run -p stint --example budgeted_agent`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use stint::api::{
    BudgetLimit, BudgetSettings, ExecutionState, Price, PricesRequest, WindowKind, WindowSettings,
};
use stint::{Amounts, Client, Context, Embedded, Failure, Submission, Worker};
use tokio::sync::oneshot;

/// What a call costs: 1,000 tokens read at 5 USD for a million, 200 written at 25, in millionths of a dollar.
const CALL: u64 = 10_000;

/// Turns that the agent wants to take.
const TURNS: u64 = 8;

/// Stands for a provider: it answers in the shape of OpenAI, and counts what it is paid for.
#[derive(Default)]
struct Provider {
    calls: AtomicU64,
}

impl Provider {
    async fn complete(&self, key: &str) -> Result<Value, Failure> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        println!("  paid call {call}, under {key}");
        let usage = json!({"prompt_tokens": 1_000, "completion_tokens": 200});
        Ok(json!({"id": format!("resp-{call}"), "model": "m", "usage": usage}))
    }
}

fn usd(amount: u64) -> Amounts {
    Amounts::of([("usd_micros", amount)])
}

fn worker(client: &Client, provider: Arc<Provider>) -> Result<Worker, stint::Error> {
    Worker::builder(client)
        .handler("agent", move |ctx: Context, (): ()| {
            let provider = Arc::clone(&provider);
            async move {
                for turn in 1..=TURNS {
                    let step = format!("turn-{turn}");
                    ctx.step(&step, || async {
                        // Without the price of a call the attempt ends here, and is parked.
                        ctx.hold(usd(CALL)).await?;
                        let answer = provider.complete(&ctx.step_key(&step)).await?;
                        ctx.charge(&answer).await?;
                        Ok(())
                    })
                    .await?;
                }
                Ok::<_, Failure>(ctx.attempt())
            }
        })
        .build()
}

/// What was paid until the agent was parked, what in the end, and in which attempt it ended.
async fn run() -> Result<(u64, u64, u32), Box<dyn std::error::Error>> {
    let stint = Embedded::in_memory().await?;
    let client = stint.client();
    let price = Price { input: 5_000_000, output: 25_000_000, ..Price::default() };
    let models = BTreeMap::from([("m".to_owned(), price)]);
    client.set_prices(PricesRequest { models, ..PricesRequest::default() }).await?;

    let limit = BudgetLimit { hard: Some(3 * CALL), soft: Vec::new() };
    let limits = BTreeMap::from([("usd_micros".to_owned(), limit)]);
    let window =
        WindowSettings { name: "all".to_owned(), kind: WindowKind::Total, every_ms: None, tz: None, limits };
    let budget = client.budget("acme");
    budget.set(BudgetSettings { windows: vec![window], ..BudgetSettings::default() }).await?;

    let provider = Arc::new(Provider::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let working = tokio::spawn(worker(&client, Arc::clone(&provider))?.run(async {
        let _ = stopped.await;
    }));
    let submission = Submission::new("agent").budget("acme", |budget| budget.hold("usd_micros", CALL));
    let id = client.submit(submission).await?.id;

    // Events say when it is parked.
    let mut events = client.follow(&id);
    while let Some(event) = events.next().await {
        if event?.event == "suspended" {
            break;
        }
    }
    let parked = budget.get().await?.windows[0].used.get("usd_micros");
    println!("parked, with {parked} spent");

    budget.raise("all", usd(TURNS * CALL)).await?;
    let outcome = client.result::<u32>(&id).wait(Duration::from_secs(60)).await?;
    assert_eq!(outcome.state, ExecutionState::Completed);
    let attempt = outcome.into_output()?;
    let spent = budget.get().await?.windows[0].used.get("usd_micros");
    println!(
        "done in attempt {attempt}, with {spent} spent for {} calls",
        provider.calls.load(Ordering::Relaxed)
    );

    drop(stop);
    working.await??;
    stint.close().await;
    Ok((parked, spent, attempt))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    run().await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::{CALL, TURNS};

    #[tokio::test]
    async fn nothing_is_spent_beyond_the_limit_and_nothing_twice() {
        // Parked work has not failed: it is the same attempt.
        assert_eq!(super::run().await.unwrap(), (3 * CALL, TURNS * CALL, 1));
    }
}
