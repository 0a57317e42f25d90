//! SIGKILL of the server, again and again, under load, with a checker that knows every acknowledged call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use stint::api::{AttemptOutcome, ExecutionState};
use stint::{Client, Context, Failure, Submission, Worker};
use stint_test_support::free_port;
use tempfile::tempdir;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::{PATIENCE, serve};

/// How often the server is killed.
const KILLS: usize = 20;

/// Clients that submit, each one task after the other.
const SUBMITTERS: u64 = 12;

const STEPS: u32 = 3;

/// With everything alive something happens much sooner than this.
const STANDSTILL: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Task {
    number: u64,
}

/// Everything that was seen from outside, and what must not be seen any more.
#[derive(Default)]
struct Checker {
    seen: Mutex<Seen>,
    news: Notify,
}

#[derive(Default)]
struct Seen {
    /// Calls that were acknowledged, of all kinds.
    acknowledged: usize,
    /// Execution by task number, from the submission's answer.
    submitted: BTreeMap<u64, String>,
    /// Executions whose handler has been seen, by task number.
    ran: BTreeMap<u64, BTreeSet<String>>,
    /// Steps whose result was acknowledged.
    recorded: BTreeSet<(String, u32)>,
    /// Executions that were seen completed.
    completed: BTreeSet<String>,
    violations: Vec<String>,
}

impl Checker {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    fn acknowledge(&self, note: impl FnOnce(&mut Seen)) {
        let mut seen = self.lock();
        note(&mut seen);
        seen.acknowledged += 1;
        drop(seen);
        self.news.notify_waiters();
    }

    async fn until(&self, acknowledged: usize, client: &Client) {
        loop {
            let news = self.news.notified();
            if self.lock().acknowledged >= acknowledged {
                return;
            }
            if tokio::time::timeout(STANDSTILL, news).await.is_err() {
                panic!("nothing goes on: {}", self.open(client).await);
            }
        }
    }

    /// What the server says about everything that was submitted and not seen completed.
    async fn open(&self, client: &Client) -> String {
        let (submitted, completed) = {
            let seen = self.lock();
            (seen.submitted.clone(), seen.completed.clone())
        };
        let mut said = String::new();
        for id in submitted.into_values().filter(|id| !completed.contains(id)) {
            let (execution, why) = (client.execution(&id).await, client.why(&id).await);
            said.push_str(&format!("\n{execution:?}\n  {why:?}"));
        }
        said
    }
}

async fn handle(checker: Arc<Checker>, ctx: Context, task: Task) -> Result<u64, Failure> {
    let id = ctx.execution_id().to_owned();
    {
        let mut seen = checker.lock();
        seen.ran.entry(task.number).or_default().insert(id.clone());
        if seen.completed.contains(&id) {
            let violation = format!("{id} runs after it was completed");
            seen.violations.push(violation);
        }
    }
    let mut sum = task.number;
    for step in 0..STEPS {
        sum += ctx
            .step(&format!("step-{step}"), || async {
                // That this one may run means that the one before is recorded.
                checker.acknowledge(|seen| {
                    if let Some(before) = step.checked_sub(1) {
                        seen.recorded.insert((id.clone(), before));
                    }
                    if seen.recorded.contains(&(id.clone(), step)) {
                        seen.violations.push(format!("{id} runs step {step} again"));
                    }
                });
                tokio::task::yield_now().await;
                Ok(u64::from(step))
            })
            .await?;
    }
    Ok(sum)
}

/// Submits and awaits, one task after the other, until told to stop.
async fn submit(checker: Arc<Checker>, client: Client, first: u64, stop: watch::Receiver<bool>) {
    let mut number = first;
    while !*stop.borrow() {
        let submission = Submission::new("task").input(&Task { number }).max_crashes(1_000);
        let id = client.submit(submission).await.unwrap().id;
        checker.acknowledge(|seen| {
            seen.submitted.insert(number, id.clone());
        });
        let outcome = client.result::<u64>(id.as_str()).wait(PATIENCE).await.unwrap();
        assert_eq!((outcome.state, outcome.output), (ExecutionState::Completed, Some(number + 3)), "{id}");
        checker.acknowledge(|seen| {
            seen.completed.insert(id);
        });
        number += SUBMITTERS;
    }
}

/// Sends the same submission twice under one key; both answers must name the same execution.
async fn submit_twice(checker: Arc<Checker>, address: String, first: u64, stop: watch::Receiver<bool>) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut number = first;
    while !*stop.borrow() {
        let body = serde_json::json!({"kind": "task", "input": {"number": number}, "max_crashes": 1_000});
        let send = async || -> Option<String> {
            let request = http
                .post(format!("{address}/v1/executions"))
                .header("idempotency-key", format!("twice.{number}"));
            let reply = request.json(&body).send().await.ok()?;
            let reply: serde_json::Value = reply.json().await.ok()?;
            Some(reply.get("id")?.as_str()?.to_owned())
        };
        let mut answers = Vec::new();
        while answers.len() < 2 {
            answers.extend(send().await);
            tokio::task::yield_now().await;
        }
        let [one, two] = [&answers[0], &answers[1]].map(Clone::clone);
        checker.acknowledge(|seen| {
            if one != two {
                seen.violations.push(format!("one key made {one} and {two}"));
            }
            seen.submitted.insert(number, one);
        });
        number += SUBMITTERS;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_done_twice() {
    let dir = tempdir().unwrap();
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    let (mut server, address) = serve(&dir, &listen);
    let checker = Arc::new(Checker::default());
    let client = || Client::builder().address(&address).deadline(PATIENCE).build().unwrap();
    let (stop, stopped) = watch::channel(false);
    let (end, _) = watch::channel(false);
    let mut workers = JoinSet::new();
    for _ in 0..3 {
        let handler = Arc::clone(&checker);
        let worker = Worker::builder(&client())
            .slots(8)
            .handler("task", move |ctx, task: Task| handle(Arc::clone(&handler), ctx, task))
            .build()
            .unwrap();
        let mut end = end.subscribe();
        workers.spawn(worker.run(async move {
            let _ = end.wait_for(|end| *end).await;
        }));
    }
    let mut submitters = JoinSet::new();
    for first in 1..SUBMITTERS {
        submitters.spawn(submit(Arc::clone(&checker), client(), first, stopped.clone()));
    }
    submitters.spawn(submit_twice(Arc::clone(&checker), address.clone(), SUBMITTERS, stopped));

    let mut random = StdRng::seed_from_u64(20);
    for _ in 0..KILLS {
        let now = checker.lock().acknowledged;
        checker.until(now + random.random_range(5..150), &client()).await;
        server.kill();
        server = serve(&dir, &listen).0;
    }
    let now = checker.lock().acknowledged;
    checker.until(now + 100, &client()).await;
    stop.send(true).unwrap();
    while let Some(ended) = submitters.join_next().await {
        ended.unwrap();
    }

    let submitted = checker.lock().submitted.clone();
    for (number, id) in &submitted {
        let outcome = client().result::<u64>(id.as_str()).wait(PATIENCE).await.unwrap();
        assert_eq!((outcome.state, outcome.output), (ExecutionState::Completed, Some(number + 3)), "{id}");
        let attempts = client().execution(id).await.unwrap().attempts;
        let completed = attempts.iter().filter(|a| a.outcome == Some(AttemptOutcome::Completed)).count();
        assert_eq!(completed, 1, "{id}: {attempts:?}");
    }
    end.send(true).unwrap();
    while let Some(ended) = workers.join_next().await {
        ended.unwrap().unwrap();
    }
    let seen = checker.lock();
    assert_eq!(seen.violations, Vec::<String>::new());
    for (number, ids) in &seen.ran {
        assert_eq!(ids.len(), 1, "task {number} became {ids:?}");
    }
    assert!(submitted.len() > KILLS, "only {} tasks", submitted.len());
    drop(server);
}
