//! Workers whose replies get lost, over a store that is slow, conflicts and loses replies: each piece of work still
//! runs once, in one attempt, because no lease is lost and none is held by two.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use stint_api::{Answer, ExchangeLease, ExchangeReply, ExchangeResult, ExecutionState};
use stint_store::memory::{MemoryConfig, MemoryStore, Rates, SeededFaults, StoreClock};

use crate::bed::{Bed, START_MS, Worker, pass};

const TASKS: usize = 120;
const WORKERS: usize = 5;

/// Who holds which execution, by the workers' own word.
#[derive(Default)]
struct Ledger {
    holders: BTreeMap<String, usize>,
    done: BTreeSet<String>,
    /// Nothing more is submitted.
    all_in: bool,
}

/// A worker that runs what it is given for a while, and sometimes does not get to read what it is told.
struct Careless {
    number: usize,
    worker: Worker,
    dice: StdRng,
    ledger: Arc<Mutex<Ledger>>,
    /// Leases it knows of, with their executions.
    held: BTreeMap<String, String>,
    /// Results that were said and not answered yet.
    ending: BTreeSet<String>,
}

impl Careless {
    async fn run(mut self) {
        let mut quiet = 0;
        while quiet < 3 || !self.ledger.lock().unwrap().all_in {
            let finishing: Vec<String> =
                self.held.keys().filter(|_| self.dice.random_bool(0.6)).cloned().collect();
            self.ending.extend(finishing);
            let request = self.request();
            let reply = self.send(&request).await;
            let Some(reply) = reply else { continue };
            // Who asked for nothing has heard nothing.
            let quiets = u32::from(request.max > 0);
            quiet = if reply.leases.is_empty() && reply.answers.is_empty() { quiet + quiets } else { 0 };
            // Sometimes the reply never reaches the worker, and the next exchange follows all the same.
            if self.dice.random_bool(0.15) {
                continue;
            }
            self.read(&reply);
        }
    }

    fn request(&mut self) -> stint_api::ExchangeRequest {
        let complete = |lease: &String| -> ExchangeResult {
            serde_json::from_value(serde_json::json!({ "lease": lease, "complete": { "output": 1 } }))
                .unwrap()
        };
        let results = self.ending.iter().map(complete).collect();
        let listed = self.held.keys().filter(|lease| !self.ending.contains(*lease));
        let leases = listed.map(|lease| ExchangeLease { lease: lease.clone(), progress: None }).collect();
        let max = self.dice.random_range(0..6);
        let wait_ms = self.dice.random_range(0..4) * 700;
        self.worker.next(|request| {
            request.results = results;
            request.leases = leases;
            request.max = max;
            request.wait_ms = wait_ms;
        })
    }

    /// Sends an exchange, gives up on it half-way now and then, and sends it again until it is answered.
    async fn send(&mut self, request: &stint_api::ExchangeRequest) -> Option<ExchangeReply> {
        for _ in 0..50 {
            let call = self.worker.engine.exchange(request.clone());
            let patience = match self.dice.random_range(0..10) {
                0 => Duration::from_millis(self.dice.random_range(0..30)),
                _ => Duration::from_secs(120),
            };
            match tokio::time::timeout(patience, call).await {
                Ok(Ok(reply)) => return Some(reply),
                Ok(Err(_)) => pass(50).await,
                Err(_) => {
                    // It goes on with a newer one instead, as after a crash of the connection.
                    if self.dice.random_bool(0.5) {
                        return None;
                    }
                }
            }
        }
        panic!("an exchange was refused fifty times");
    }

    fn read(&mut self, reply: &ExchangeReply) {
        self.worker.request.seen = reply.n;
        let mut ledger = self.ledger.lock().unwrap();
        for answer in &reply.answers {
            let Some(execution) = self.held.remove(&answer.lease) else { continue };
            assert!(matches!(answer.answer, Answer::Done(_)), "{answer:?}");
            self.ending.remove(&answer.lease);
            assert_eq!(ledger.holders.remove(&execution), Some(self.number));
            assert!(ledger.done.insert(execution));
        }
        for lease in &reply.leases {
            if self.held.contains_key(&lease.lease) {
                continue;
            }
            let execution = lease.execution.id.clone();
            assert_eq!(lease.attempt, 1, "{execution}");
            let other = ledger.holders.insert(execution.clone(), self.number);
            assert_eq!(other, None, "{execution} is held twice");
            self.held.insert(lease.lease.clone(), execution);
        }
    }
}

async fn history(seed: u64) {
    let rates = Rates {
        unavailable: 20,
        lost_request: 20,
        lost_reply: 30,
        repeat: 10,
        rival: 30,
        too_old: 100,
        slow: 200,
        slow_ms_max: 40,
        always_us_max: 2_000,
        ..Rates::default()
    };
    let config = MemoryConfig {
        clock: StoreClock::Virtual(START_MS),
        faults: Some(Box::new(SeededFaults::new(seed, rates))),
        ..MemoryConfig::default()
    };
    let bed = Bed::on(MemoryStore::new(config)).await;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let workers: Vec<_> = (0..WORKERS)
        .map(|number| {
            let careless = Careless {
                number,
                worker: Worker::new(&bed, &format!("w{number}")),
                dice: StdRng::seed_from_u64(seed * 100 + number as u64),
                ledger: ledger.clone(),
                held: BTreeMap::new(),
                ending: BTreeSet::new(),
            };
            tokio::spawn(careless.run())
        })
        .collect();
    let mut ids = BTreeSet::new();
    let mut dice = StdRng::seed_from_u64(seed);
    for number in 0..TASKS {
        let key = stint_api::RequestKey::parse(&format!("client.{number}")).unwrap();
        let id = loop {
            match bed.engine.submit(crate::bed::work(), Some(key.clone())).await {
                Ok(reply) => break reply.id,
                Err(_) => pass(50).await,
            }
        };
        ids.insert(id);
        pass(dice.random_range(0..60)).await;
    }
    ledger.lock().unwrap().all_in = true;
    for worker in workers {
        worker.await.unwrap();
    }
    let mut open = Vec::new();
    for id in &ids {
        let shown = bed.engine.execution("default", id).await.unwrap();
        assert!(shown.attempts.len() <= 1, "{shown:?}");
        if shown.state != ExecutionState::Completed {
            open.push((id.clone(), shown.state));
        }
    }
    // What a worker took along when it left is running or was given back; nothing else is open.
    assert!(
        open.iter().all(|(_, state)| matches!(state, ExecutionState::Running | ExecutionState::Ready)),
        "{open:?}"
    );
    assert!(open.len() <= WORKERS * 6, "{open:?}");
    assert_eq!(ids.len(), TASKS);
}

#[tokio::test(start_paused = true)]
async fn no_lease_is_lost_or_held_twice() {
    for seed in 0..8 {
        eprintln!("seed {seed}");
        history(seed).await;
    }
}
