//! An agent that never has enough: one process, one conversation, one call of the provider after the other. It says on
//! standard output under which key it is about to call, so that its parent can choose the moment to kill it.

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stint::{Amounts, Client, Context, Failure, Worker};

use super::super::provider::{MODEL, PRICE};
use crate::commands::connection::block_on;
use crate::signals::{self, Interrupts};

/// The handlers' kind.
pub(super) const KIND: &str = "runaway-agent";

/// The longest answer it asks for, in tokens.
const ANSWER_TOKENS: u64 = 400;

/// More than any of its prompts has, in tokens.
const PROMPT_TOKENS: u64 = 200;

/// The most that one of its calls can cost, in millionths of a dollar: what it holds before each.
pub(super) const CALL_USD_MICROS: u64 =
    (PROMPT_TOKENS * PRICE.input + ANSWER_TOKENS * PRICE.output).div_ceil(1_000_000) + PRICE.call;

/// What goes before the key of a call.
pub(super) const CALLS: &str = "calls ";

/// What an agent is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Goal {
    /// What to think about.
    pub(super) goal: String,
    /// Where the provider is.
    pub(super) provider: String,
}

/// What a call came to, as the journal keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Turn {
    response: String,
}

/// What an agent's process is told.
#[derive(clap::Args)]
pub(crate) struct AgentArgs {
    #[arg(long)]
    server: String,
    #[arg(long)]
    name: String,
    #[arg(long)]
    with_parent: bool,
}

pub(crate) fn run_agent(args: AgentArgs) -> Result<()> {
    block_on(async {
        let client = Client::connect(args.server)?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        let worker = Worker::builder(&client)
            .name(args.name)
            .slots(1)
            .handler(KIND, move |ctx, goal: Goal| think(ctx, goal, http.clone()))
            .build()?;
        let mut interrupts = Interrupts::listen()?;
        let with_parent = args.with_parent;
        worker
            .run(async move {
                if with_parent {
                    signals::parent_gone().await;
                } else {
                    interrupts.heard().await;
                }
            })
            .await?;
        Ok(())
    })
}

/// Thinks for as long as somebody pays for it.
async fn think(ctx: Context, goal: Goal, http: reqwest::Client) -> Result<(), Failure> {
    let mut last = String::new();
    for turn in 1_u64.. {
        let step = format!("turn-{turn}");
        // The same in every attempt: a provider that has answered already answers the same, and charges nothing.
        let key = ctx.step_key(&step);
        let prompt = json!({
            "model": MODEL,
            "max_tokens": ANSWER_TOKENS,
            "messages": [
                {"role": "system", "content": "Never stop."},
                {"role": "user", "content": format!("{} Turn {turn}, after {last}.", goal.goal)},
            ],
        });
        let asked: Turn = ctx
            .step(&step, || async {
                ctx.hold(Amounts::of([("usd_micros", CALL_USD_MICROS)])).await?;
                say(&format!("{CALLS}{key}"));
                let answer = call(&http, &goal.provider, &key, &prompt).await?;
                ctx.charge(&answer).await?;
                let response = answer.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                Ok(Turn { response })
            })
            .await?;
        last = asked.response;
    }
    Ok(())
}

async fn call(http: &reqwest::Client, provider: &str, key: &str, prompt: &Value) -> Result<Value, Failure> {
    let request = http.post(format!("{provider}/v1/chat/completions")).header("idempotency-key", key);
    Ok(request.json(prompt).send().await?.error_for_status()?.json().await?)
}

/// A parent that is gone hears nothing, which is no reason to panic: this process ends with it anyway.
fn say(what: &str) {
    let _ = writeln!(std::io::stdout(), "{what}");
}
