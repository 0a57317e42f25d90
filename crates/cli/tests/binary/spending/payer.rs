//! One process that spends: a worker which pays for calls of the provider, and is killed in the middle of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stint::{Amounts, Client, Context, Failure, Worker};
use stint_test_support::{Process, ProcessBuilder};

/// What a process is told: where server and provider are, and its name.
const TOLD: &str = "STINT_TEST_PAYER";

/// The handlers' kind.
pub(super) const KIND: &str = "pay";

/// Errands at the same time in one process.
pub(super) const SLOTS: usize = 4;

/// More than any call here costs, in millionths of a dollar: 200 tokens asked, 400 answered, and the call itself.
pub(super) const CALL: u64 = 200 * 5 + 400 * 25 + 100;

/// What stands before a call on standard output.
const CALLS: &str = "calls ";

#[derive(Serialize, Deserialize)]
struct Told {
    server: String,
    provider: String,
    name: String,
}

/// A piece of work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Errand {
    /// Its number; the provider knows its calls by it.
    pub(super) number: u64,
    /// How many calls it takes.
    pub(super) calls: u32,
    /// The budgets that it names.
    pub(super) paths: Vec<String>,
    /// Whether it makes sure of the money before each call, as it should.
    pub(super) asks_first: bool,
    /// The call after which its first attempt fails, though it was charged.
    pub(super) fails_after: Option<u32>,
}

impl Errand {
    /// What the provider is to know a call by: the same in every attempt, and none of Stint's own names.
    pub(super) fn key(&self, call: u32) -> String {
        format!("errand-{}/{call}", self.number)
    }
}

/// A process to be; it is this test program, told to run `errands_are_run` and nothing else.
pub(super) fn process(server: &str, provider: &str, name: &str) -> ProcessBuilder {
    let told = Told { server: server.to_owned(), provider: provider.to_owned(), name: name.to_owned() };
    Process::builder(std::env::current_exe().unwrap())
        .args(["--exact", "spending::payer::errands_are_run", "--nocapture"])
        .env(TOLD, serde_json::to_string(&told).unwrap())
}

/// Waits until a process is about to make its `more`th call from now.
pub(super) fn await_calls(payer: &Process, more: usize, patience: Duration) {
    let calls = |lines: &[String]| lines.iter().filter(|line| line.starts_with(CALLS)).count();
    let before = calls(&payer.lines());
    payer.wait_for(patience, |lines| (calls(lines) >= before + more).then_some(())).unwrap();
}

/// What a process runs until it is killed. As a test among others it is told nothing, and has nothing to do.
#[tokio::test]
async fn errands_are_run() {
    let Ok(told) = std::env::var(TOLD) else { return };
    let Told { server, provider, name } = serde_json::from_str(&told).unwrap();
    let client = Client::connect(server).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let worker = Worker::builder(&client)
        .name(name)
        .slots(SLOTS)
        .handler(KIND, move |ctx, errand: Errand| run(ctx, errand, http.clone(), provider.clone()))
        .build()
        .unwrap();
    worker.run(std::future::pending()).await.unwrap();
}

/// Makes its calls, each in a step and with its price held before. The result is how many tokens were answered.
async fn run(ctx: Context, errand: Errand, http: reqwest::Client, provider: String) -> Result<u64, Failure> {
    let mut tokens = 0;
    for call in 0..errand.calls {
        tokens += ctx
            .step(&format!("call-{call}"), || async {
                if errand.asks_first {
                    for path in &errand.paths {
                        ctx.hold_at(path, Amounts::of([("usd_micros", CALL)])).await?;
                    }
                }
                let answer = ask(&http, &provider, &errand.key(call)).await?;
                ctx.charge(&answer).await?;
                if errand.fails_after == Some(call) && ctx.attempt() == 1 {
                    return Err(Failure::new("bad_luck", "the answer was lost")
                        .retry_after(Duration::from_millis(10)));
                }
                Ok(answer["usage"]["completion_tokens"].as_u64().unwrap_or(0))
            })
            .await?;
    }
    Ok(tokens)
}

async fn ask(http: &reqwest::Client, provider: &str, key: &str) -> Result<Value, Failure> {
    println!("{CALLS}{key}");
    let body = json!({
        "model": "stand-in-1",
        "max_tokens": 400,
        "messages": [
            {"role": "system", "content": "You spend what there is. ".repeat(4)},
            {"role": "user", "content": format!("What now, {key}?")},
        ],
    });
    let request = http.post(format!("{provider}/v1/chat/completions")).header("idempotency-key", key);
    Ok(request.json(&body).send().await?.error_for_status()?.json().await?)
}
