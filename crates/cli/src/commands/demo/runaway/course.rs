//! The course of it: start, set the agents going, kill one and the server, watch them stop, give more, watch them stop
//! again, compare.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use stint::api::{
    BudgetLimit, BudgetSettings, CancelRequest, LedgerKind, LedgerRequest, Price, PricesRequest, WindowKind,
    WindowSettings,
};
use stint::{Amounts, Client, Submission};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::agent::{CALL_USD_MICROS, CALLS, Goal, KIND};
use super::report::{Paid, Report, Stop};
use crate::children::Kid;
use crate::commands::demo::provider::{Config, MODEL, PRICE, Provider};

/// The budget that they share, its window, and its limits: what there is at first, and then.
const BUDGET: &str = "demo";
const WINDOW: &str = "total";
const LIMITS: [u64; 2] = [500_000, 800_000];

/// What is paid for.
const USD: &str = "usd_micros";

/// How long a call takes: long enough to be killed in.
const LATENCY: Duration = Duration::from_millis(100);

/// How long a dead agent's work waits for another. Short, because the demo waits for it.
const LEASE_TTL: Duration = Duration::from_secs(2);

/// How long money stays held for a call of which nobody knows. Longer than it takes to run it again.
const IN_DOUBT: Duration = Duration::from_secs(8);

/// Calls before an agent is killed, and before the server is.
const CALLS_TO_AGENT: u64 = 8;
const CALLS_TO_SERVER: u64 = 20;

/// How often is looked.
const LOOK: Duration = Duration::from_millis(20);

/// How long any part of it may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// An agent's process: what it says is read elsewhere.
struct Agent {
    name: String,
    pid: u32,
    kill: tokio::sync::oneshot::Sender<()>,
    gone: tokio::task::JoinHandle<()>,
}

/// Everybody, as they are now.
struct Cast {
    data: TempDir,
    provider: Provider,
    server: Kid,
    address: String,
    client: Client,
    agents: Vec<Agent>,
    said: mpsc::UnboundedReceiver<(String, String)>,
    saying: mpsc::UnboundedSender<(String, String)>,
}

pub(super) async fn run() -> Result<Report> {
    let began = Instant::now();
    let mut cast = Cast::start().await?;
    let ids = cast.set_going().await?;
    let killed_agent = cast.kill_an_agent().await?;
    let killed_server = cast.kill_the_server().await?;
    let first = cast.until_stopped(LIMITS[0]).await?;
    eprintln!(
        "stopped at {} of {}, with {} left: not enough for a call",
        first.used,
        first.limit,
        first.left()
    );
    let since = Instant::now();
    let budget = cast.client.budget(BUDGET);
    budget.raise(WINDOW, Amounts::of([(USD, LIMITS[1])])).await?;
    eprintln!("raised to {}", LIMITS[1]);
    let calls = cast.provider.total().calls;
    cast.until(|cast| cast.provider.total().calls > calls).await?;
    let went_on = since.elapsed();
    eprintln!("an agent went on after {} ms", went_on.as_millis());
    let second = cast.until_stopped(LIMITS[1]).await?;
    eprintln!("stopped at {} of {}, with {} left", second.used, second.limit, second.left());
    let ledger = cast.ledger().await?;
    for id in &ids {
        cast.client.cancel(id, CancelRequest::default()).await?;
    }
    let bill = paid(cast.provider.costs());
    cast.end().await?;
    Ok(Report {
        stops: vec![first, second],
        went_on_ms: went_on.as_millis() as u64,
        ledger,
        bill,
        killed_agent,
        killed_server,
        elapsed_ms: began.elapsed().as_millis() as u64,
    })
}

impl Cast {
    async fn start() -> Result<Self> {
        let data =
            tempfile::Builder::new().prefix("stint-runaway-").tempdir().context("no temporary folder")?;
        eprintln!("data in {} (removed at success)", data.path().display());
        let listen = ([127, 0, 0, 1], 0).into();
        let config = Config { listen, bill: data.path().join("bill.ndjson"), latency: LATENCY };
        let provider = Provider::start(config).await?;
        eprintln!("provider of `{MODEL}` at http://{}", provider.address());
        let (server, address) = Kid::serve(&serve_args(&data, "127.0.0.1:0")).await?;
        eprintln!("server: process {} at {address}", server.pid());
        let client = Client::builder().address(&address).deadline(PATIENCE).build()?;
        let (saying, said) = mpsc::unbounded_channel();
        Ok(Self { data, provider, server, address, client, agents: Vec::new(), said, saying })
    }

    /// Puts prices and budget, submits two agents, and starts a process for each.
    async fn set_going(&mut self) -> Result<Vec<String>> {
        let price = Price {
            input: PRICE.input,
            cached_input: Some(PRICE.cached_input),
            output: PRICE.output,
            call: PRICE.call,
            ..Price::default()
        };
        let models = BTreeMap::from([(MODEL.to_owned(), price)]);
        self.client.set_prices(PricesRequest { models, ..PricesRequest::default() }).await?;
        let limit = BudgetLimit { hard: Some(LIMITS[0]), soft: Vec::new() };
        let window = WindowSettings {
            name: WINDOW.to_owned(),
            kind: WindowKind::Total,
            every_ms: None,
            tz: None,
            limits: BTreeMap::from([(USD.to_owned(), limit)]),
        };
        let settings = BudgetSettings {
            windows: vec![window],
            in_doubt_ms: Some(IN_DOUBT.as_millis() as u64),
            ..BudgetSettings::default()
        };
        self.client.budget(BUDGET).set(settings).await?;
        eprintln!("budget `{BUDGET}`: {} millionths of a dollar, for two agents that never stop", LIMITS[0]);
        let mut ids = Vec::new();
        for goal in ["Find the meaning of it all.", "Find out who asked."] {
            let goal =
                Goal { goal: goal.to_owned(), provider: format!("http://{}", self.provider.address()) };
            let submission = Submission::new(KIND)
                .input(&goal)
                .lease_ttl(LEASE_TTL)
                .max_crashes(20)
                .budget(BUDGET, |budget| budget.hold(USD, CALL_USD_MICROS));
            ids.push(self.client.submit(submission).await?.id);
        }
        for name in ["agent-1", "agent-2"] {
            self.start_agent(name)?;
        }
        Ok(ids)
    }

    fn start_agent(&mut self, name: &str) -> Result<()> {
        let kid = Kid::start(["demo-agent", "--server", &self.address, "--name", name])?;
        self.agents.push(Agent::watch(kid, name, self.saying.clone()));
        Ok(())
    }

    /// Kills the agent that has just been charged for a call, before the answer is there, and starts another in its place.
    async fn kill_an_agent(&mut self) -> Result<u32> {
        loop {
            let said = tokio::time::timeout(PATIENCE, self.said.recv()).await;
            let Some((name, key)) = said.context("the agents do not call")? else {
                bail!("the agents are gone")
            };
            if self.provider.total().calls < CALLS_TO_AGENT {
                continue;
            }
            self.until(|cast| cast.provider.has_charged(&key)).await?;
            let Some(at) = self.agents.iter().position(|agent| agent.name == name) else { continue };
            let agent = self.agents.remove(at);
            let pid = agent.pid;
            agent.kill().await?;
            eprintln!("SIGKILL for {name}, process {pid}, in the middle of a call that is charged");
            self.start_agent(&name)?;
            return Ok(pid);
        }
    }

    async fn kill_the_server(&mut self) -> Result<u32> {
        self.until(|cast| cast.provider.total().calls >= CALLS_TO_SERVER).await?;
        let pid = self.server.pid();
        self.server.kill().await?;
        let since = Instant::now();
        eprintln!("SIGKILL for the server, process {pid}");
        let listen = self.address.strip_prefix("http://").unwrap_or(&self.address).to_owned();
        (self.server, _) = Kid::serve(&serve_args(&self.data, &listen)).await?;
        eprintln!("server again: process {} after {} ms", self.server.pid(), since.elapsed().as_millis());
        Ok(pid)
    }

    /// Waits until nothing is held and what is left is not enough for a call: then nobody can start any more.
    async fn until_stopped(&mut self, limit: u64) -> Result<Stop> {
        let until = Instant::now() + PATIENCE;
        loop {
            let budget = self.client.budget(BUDGET).get().await?;
            let used = budget.windows.first().map_or(0, |window| window.used.get(USD));
            if budget.held.get(USD) == 0 && used + CALL_USD_MICROS > limit {
                let billed = self.provider.total().usd_micros;
                return Ok(Stop { limit, used, billed });
            }
            if Instant::now() > until {
                bail!("the agents did not stop: {used} used, {} held of {limit}", budget.held.get(USD));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn until(&self, what: impl Fn(&Self) -> bool) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while !what(self) {
            if Instant::now() > until {
                bail!("waited in vain for the agents");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// What the ledger says was paid, by the provider's own ids.
    async fn ledger(&self) -> Result<BTreeMap<String, Paid>> {
        let request = LedgerRequest { kinds: vec![LedgerKind::Charge], ..LedgerRequest::default() };
        let mut entries = self.client.budget(BUDGET).ledger(request);
        let mut all = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            all.push((entry.charge_id.unwrap_or_default(), entry.amounts.get(USD)));
        }
        Ok(paid(all))
    }

    /// Ends everything in an orderly way and removes the data.
    async fn end(self) -> Result<()> {
        let Self { data, provider, mut server, agents, .. } = self;
        for agent in agents {
            agent.kill().await?;
        }
        let status = server.terminate(Duration::from_secs(20)).await?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        drop(provider);
        data.close().context("the data can't be removed")
    }
}

impl Agent {
    fn watch(mut kid: Kid, name: &str, saying: mpsc::UnboundedSender<(String, String)>) -> Self {
        let (kill, killed) = tokio::sync::oneshot::channel();
        let (pid, called) = (kid.pid(), name.to_owned());
        let gone = tokio::spawn(async move {
            let reading = async {
                while let Ok(Some(line)) = kid.next_line().await {
                    let Some(key) = line.strip_prefix(CALLS) else { continue };
                    if saying.send((called.clone(), key.to_owned())).is_err() {
                        break;
                    }
                }
            };
            tokio::select! {
                biased;
                _ = killed => {}
                () = reading => {}
            }
            if let Err(error) = kid.kill().await {
                eprintln!("{error:#}");
            }
        });
        Self { name: name.to_owned(), pid, kill, gone }
    }

    async fn kill(self) -> Result<()> {
        let _ = self.kill.send(());
        self.gone.await.context("an agent could not be ended")
    }
}

fn serve_args(data: &TempDir, listen: &str) -> Vec<String> {
    let store = format!("embedded:{}", data.path().join("store").display());
    ["--store", &store, "--listen", listen].map(str::to_owned).to_vec()
}

fn paid(calls: Vec<(String, u64)>) -> BTreeMap<String, Paid> {
    let mut paid: BTreeMap<String, Paid> = BTreeMap::new();
    for (id, usd_micros) in calls {
        let all = paid.entry(id).or_default();
        all.times += 1;
        all.usd_micros += usd_micros;
    }
    paid
}
