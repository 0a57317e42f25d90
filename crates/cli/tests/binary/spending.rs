//! SIGKILL of workers and server, again and again, while they spend: at the end the books of an auditor, who knows only the
//! provider's bill, say of every budget what Stint says, to the unit.
//!
//! `STINT_KILL_SECONDS` is how long the killing goes on, and `STINT_KILL_SEED` what it is drawn from.

mod books;
mod payer;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use stint::api::{
    Budget, BudgetLimit, BudgetSettings, BudgetState, BudgetWindow, ExecutionState, LedgerRequest, Price,
    PricesRequest, WindowKind, WindowSettings,
};
use stint::{Amounts, Client, Retry, Submission};
use stint_test_support::{Flavour, Process, Server, free_port};
use tempfile::{TempDir, tempdir};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::runs::Bed;
use crate::{PATIENCE, stint};
use books::Books;
use payer::{CALL, Errand, KIND, SLOTS};

/// Worker processes.
const PAYERS: usize = 8;

/// Errands under way at any time: half as many again as can run.
const ERRANDS: u64 = 48;

/// A look at all budgets, as often as that.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// More than everything here can cost.
const ENOUGH: u64 = 1_000_000_000;

/// Trees of three levels, their leaves, and the limits from the root down. Who spends of `loose` does not ask first.
const TREES: [(&str, &[&str], [u64; 3]); 3] = [
    ("acme/search", &["a", "b", "c"], [300_000, 250_000, 120_000]),
    ("beta/ops", &["a", "b"], [250_000, 200_000, 120_000]),
    ("loose/lab", &["a", "b"], [80_000, 60_000, 40_000]),
];

/// How long, and by which dice.
#[derive(Clone, Copy)]
struct Storm {
    length: Duration,
    seed: u64,
}

/// Whom it strikes.
struct Cast {
    store: String,
    listen: String,
    address: String,
    provider: String,
    errands: Arc<Mutex<BTreeMap<u64, Errand>>>,
    /// Budgets were breached so often, by their own word.
    breaches: AtomicU64,
}

/// What it was, for whoever reads the test's output.
#[derive(Debug, Default)]
struct Toll {
    payers: u32,
    servers: u32,
    looks: u32,
    raises: u32,
}

impl Storm {
    fn of_environment() -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
        let length = Duration::from_secs(number("STINT_KILL_SECONDS").unwrap_or(15));
        Self { length, seed: number("STINT_KILL_SEED").unwrap_or(18) }
    }
}

impl Cast {
    fn serve(&self) -> Process {
        let server =
            stint().args(["serve", "--store", &self.store, "--listen", &self.listen]).spawn().unwrap();
        server.wait_for_line(PATIENCE, |line| line.starts_with("stint listening on ")).unwrap();
        server
    }

    fn client(&self) -> Client {
        Client::builder().address(&self.address).deadline(PATIENCE).build().unwrap()
    }

    fn payer(&self, name: &str) -> Process {
        payer::process(&self.address, &self.provider, name).spawn().unwrap()
    }

    /// Prices as the provider's, and all budgets.
    async fn found(&self, storm: Storm) {
        let client = self.client();
        let price = Price {
            input: 5_000_000,
            cached_input: Some(500_000),
            output: 25_000_000,
            call: 100,
            ..Price::default()
        };
        let models = BTreeMap::from([("stand-in-1".to_owned(), price)]);
        client.set_prices(PricesRequest { models, ..PricesRequest::default() }).await.unwrap();
        for (middle, leaves, limits) in TREES {
            let (root, _) = middle.split_once('/').unwrap();
            let leaves = leaves.iter().map(|leaf| (format!("{middle}/{leaf}"), limits[2]));
            let all = [(root.to_owned(), limits[0]), (middle.to_owned(), limits[1])];
            for (path, limit) in all.into_iter().chain(leaves) {
                client.budget(path).set(settings(root, limit, storm)).await.unwrap();
            }
        }
    }

    /// Submits and awaits errands, one after the other, until told to stop.
    async fn submit(self: Arc<Self>, first: u64, stop: watch::Receiver<bool>) {
        let client = self.client();
        let mut number = first;
        while !*stop.borrow() {
            let errand = errand(number);
            self.errands.lock().unwrap().insert(number, errand.clone());
            let mut submission = Submission::new(KIND)
                .input(&errand)
                .lease_ttl(Duration::from_secs(3))
                .max_crashes(1_000)
                .retry(Retry::fixed(100, Duration::from_millis(50)));
            for path in &errand.paths {
                submission = submission.budget(path, |budget| match errand.asks_first {
                    true => budget.hold("usd_micros", CALL),
                    false => budget.hold("usd_micros", CALL / 4),
                });
            }
            let id = client.submit(submission).await.unwrap().id;
            let outcome = client.result::<u64>(id.as_str()).wait(2 * PATIENCE).await.unwrap();
            assert_eq!(outcome.state, ExecutionState::Completed, "{errand:?} {id} {:?}", outcome.failure);
            number += ERRANDS;
        }
    }

    /// Kills whoever is in the middle of its next few calls, or the server then, until the storm is over and everything has
    /// happened at least once.
    fn rage(&self, storm: Storm, mut server: Process, payers: &mut Vec<Process>) -> (Process, Toll) {
        let mut toll = Toll::default();
        let mut random = StdRng::seed_from_u64(storm.seed);
        let until = Instant::now() + storm.length;
        while Instant::now() < until || toll.servers == 0 || self.breaches.load(Relaxed) == 0 {
            let victim = random.random_range(0..payers.len());
            payer::await_calls(&payers[victim], random.random_range(1..6), PATIENCE);
            if random.random_ratio(1, 10) {
                server.kill();
                server = self.serve();
                toll.servers += 1;
            } else {
                payers.swap_remove(victim).kill();
                toll.payers += 1;
                payers.push(self.payer(&format!("payer-{}", PAYERS as u32 + toll.payers)));
            }
        }
        (server, toll)
    }

    /// Looks at the budgets again and again, and now and then raises one that is in somebody's way; at the end all.
    async fn watch(
        self: Arc<Self>,
        mut books: Books,
        seed: u64,
        mut over: watch::Receiver<bool>,
    ) -> (Books, Toll) {
        let client = self.client();
        let mut random = StdRng::seed_from_u64(seed + 1);
        let mut toll = Toll::default();
        let mut pace = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = pace.tick() => {}
                _ = over.changed() => {}
            }
            books.read();
            let budgets = client.budgets().all().await.unwrap();
            books.look(&budgets, &self.errands.lock().unwrap());
            toll.looks += 1;
            self.breaches.store(budgets.iter().map(|budget| budget.breaches).sum(), Relaxed);
            if *over.borrow() {
                for budget in &budgets {
                    raise(&client, budget, ENOUGH).await;
                }
                return (books, toll);
            }
            for budget in budgets {
                let left = |window: &BudgetWindow| hard(window).saturating_sub(window.used.get("usd_micros"));
                let tight = budget.windows.iter().any(|window| left(window) < 3 * CALL);
                if (tight || budget.state != BudgetState::Open) && random.random_ratio(1, 3) {
                    let most = budget.windows.iter().map(hard).max().unwrap();
                    raise(&client, &budget, most + random.random_range(2..60) * CALL).await;
                    toll.raises += 1;
                }
            }
        }
    }

    /// Waits until the store has nothing that is under way.
    async fn come_to_rest(&self, client: &Client) {
        let under_way = ["open execution", "hold", "wait for a budget", "message under way"];
        let mut pace = tokio::time::interval(LOOK_EVERY * 4);
        let until = Instant::now() + PATIENCE;
        loop {
            pace.tick().await;
            let records = client.store_of(None, true).await.unwrap().records.unwrap();
            let left: Vec<_> = records.iter().filter(|r| under_way.contains(&r.kind.as_str())).collect();
            if left.iter().all(|record| record.count == 0) {
                return;
            }
            assert!(Instant::now() < until, "left: {left:?}");
        }
    }
}

async fn everybody_pays_for_what_was_billed(store: impl FnOnce(&TempDir) -> String) {
    let storm = Storm::of_environment();
    let dir = tempdir().unwrap();
    let bill = dir.path().join("bill.ndjson");
    let provider = stint()
        .args(["demo", "provider", "--listen", "127.0.0.1:0", "--latency-ms", "40", "--bill"])
        .arg(&bill)
        .spawn()
        .unwrap();
    let said = provider.wait_for_line(PATIENCE, |line| line.starts_with("provider listening on ")).unwrap();
    let listen = format!("127.0.0.1:{}", free_port().unwrap());
    let cast = Arc::new(Cast {
        store: store(&dir),
        address: format!("http://{listen}"),
        listen,
        provider: said.trim_start_matches("provider listening on ").to_owned(),
        errands: Arc::default(),
        breaches: AtomicU64::new(0),
    });
    let server = cast.serve();
    cast.found(storm).await;
    let mut payers: Vec<Process> = (0..PAYERS).map(|n| cast.payer(&format!("payer-{n}"))).collect();
    let (stop, stopped) = watch::channel(false);
    let mut submitters = JoinSet::new();
    for first in 0..ERRANDS {
        submitters.spawn(Arc::clone(&cast).submit(first, stopped.clone()));
    }
    let (over, is_over) = watch::channel(false);
    let watching = tokio::spawn(Arc::clone(&cast).watch(Books::open(&bill), storm.seed, is_over));

    let (_server, toll) = tokio::task::block_in_place(|| cast.rage(storm, server, &mut payers));
    over.send(true).unwrap();
    let (books, watched) = watching.await.unwrap();
    stop.send(true).unwrap();
    while let Some(ended) = submitters.join_next().await {
        ended.unwrap();
    }
    let client = cast.client();
    cast.come_to_rest(&client).await;

    let errands = cast.errands.lock().unwrap().clone();
    let budgets = client.budgets().all().await.unwrap();
    let mut ledgers = BTreeMap::new();
    for (middle, _, _) in TREES {
        let (root, _) = middle.split_once('/').unwrap();
        let ledger = client.budget(root).ledger(LedgerRequest::default()).all().await.unwrap();
        ledgers.insert(root.to_owned(), ledger);
    }
    let calls = books.calls();
    assert_eq!(books.close(&budgets, &ledgers, &errands), Vec::<String>::new());
    let bed = Bed::at(cast.address.clone());
    let found = bed.ok(&["budget", "reconcile", "--dry-run"]);
    assert!(found.contains(" counted, 0 differences found") && found.ends_with(", 0 not wanted"), "{found}");
    let toll = Toll { payers: toll.payers, servers: toll.servers, ..watched };
    let (count, breaches) = (errands.len(), cast.breaches.load(Relaxed));
    println!("seed {}: {count} errands, {calls} calls, {breaches} breaches, {toll:?}", storm.seed);
    assert!(toll.payers > 0 && toll.raises > 0, "{toll:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_pays_for_what_was_billed_on_the_embedded_store() {
    everybody_pays_for_what_was_billed(crate::store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_pays_for_what_was_billed_on_valkey() {
    let valkey = Server::start(Flavour::Valkey).unwrap();
    everybody_pays_for_what_was_billed(|_| valkey.url()).await;
}

/// Mostly of one tree, at times of two; of ten, two do not ask first and one fails once.
fn errand(number: u64) -> Errand {
    let leaf = |tree: usize| {
        let (middle, leaves, _) = TREES[tree];
        format!("{middle}/{}", leaves[number as usize / 3 % leaves.len()])
    };
    let paths = match number % 10 {
        0..=3 => vec![leaf(0)],
        4 | 5 => vec![leaf(1)],
        6 | 7 => vec![leaf(0), leaf(1)],
        _ => vec![leaf(2)],
    };
    let calls = 1 + (number / 7 % 4) as u32;
    let fails_after = (number % 11 == 3).then_some(calls - 1);
    Errand { number, calls, asks_first: number % 10 < 8, paths, fails_after }
}

/// What was forever and what is of this hour, each with the limit; in `beta`, of this day, in a zone where it is noon.
fn settings(tree: &str, limit: u64, storm: Storm) -> BudgetSettings {
    let window = |name: &str, kind: WindowKind, every_ms: Option<u64>, tz: Option<String>| {
        let limit = BudgetLimit { hard: Some(limit), soft: Vec::new() };
        let limits = BTreeMap::from([("usd_micros".to_owned(), limit)]);
        WindowSettings { name: name.to_owned(), kind, every_ms, tz, limits }
    };
    let recent = match tree {
        "beta" => window("day", WindowKind::Day, None, Some(noon())),
        _ => window("hour", WindowKind::Rolling, Some(3_600_000), None),
    };
    // No errand of `acme` comes back later than that, so what it has paid for is still held; those of `beta` do.
    let in_doubt =
        if tree == "acme" { storm.length + Duration::from_secs(5) } else { Duration::from_secs(3) };
    // What each that does not ask can spend between two reports.
    let overshoot = (tree == "loose").then(|| Amounts::of([("usd_micros", (PAYERS * SLOTS) as u64 * CALL)]));
    BudgetSettings {
        windows: vec![window("all", WindowKind::Total, None, None), recent],
        in_doubt_ms: Some(in_doubt.as_millis() as u64),
        overshoot,
        ..BudgetSettings::default()
    }
}

fn hard(window: &BudgetWindow) -> u64 {
    window.limits["usd_micros"].hard.unwrap()
}

async fn raise(client: &Client, budget: &Budget, limit: u64) {
    for window in &budget.windows {
        let limits = Amounts::of([("usd_micros", limit)]);
        client.budget(&budget.path).raise(&window.name, limits).await.unwrap();
    }
}

/// A zone where today does not end soon.
fn noon() -> String {
    let hour = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 3_600 % 24;
    match hour {
        0..=12 => format!("Etc/GMT-{}", 12 - hour),
        _ => format!("Etc/GMT+{}", hour - 12),
    }
}
