//! A worker process: the SDK's own worker with a handler that does what its job says.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stint::{Amounts, Charge, Context, Failure, Worker};
use tokio::sync::watch;

use super::{KIND, LANES, client_of};
use crate::check::RunId;
use crate::dice::Dice;
use crate::invariant::Invariant;
use crate::job::{Deed, Job, Manners};
use crate::plant::Plant;
use crate::seam::{Gate, Gated};
use crate::world::World;

/// A worker process, as whoever makes it suffer sees it.
pub(crate) struct WorkerProcess {
    gate: Gate,
    who: Mutex<String>,
    crashes: watch::Sender<u64>,
}

impl Default for WorkerProcess {
    fn default() -> Self {
        Self { gate: Gate::default(), who: Mutex::default(), crashes: watch::Sender::new(0) }
    }
}

impl WorkerProcess {
    /// Ends the process at once; another one takes its place after a while.
    pub(crate) fn crash(&self) {
        self.crashes.send_modify(|crashes| *crashes += 1);
    }

    /// Lets it stand still.
    pub(crate) fn stand_still(&self, world: &World) {
        self.gate.close();
        world.check().stood_still(&self.who());
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self, world: &World) {
        // What it was told while it stood still is as old as what it knew.
        world.check().stood_still(&self.who());
        self.gate.open();
    }

    fn who(&self) -> String {
        self.who.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Keeps a worker process running.
pub(crate) async fn run(world: Arc<World>, number: usize) {
    let Some(process) = world.workers.get(number) else { return };
    let dice = Dice::new(world.plan.seed, &format!("worker {number}"));
    let mut crashes = process.crashes.subscribe();
    for life in 1.. {
        let who = format!("w{number}.{life}");
        process.who.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&who);
        let Some(worker) = build(&world, &who, &process.gate, &dice, number) else { return };
        world.say(format_args!("{who} starts"));
        let ended = tokio::select! {
            biased;
            _ = crashes.changed() => None,
            ended = Gated::new(&process.gate, worker.run(std::future::pending())) => Some(ended),
        };
        match ended {
            None => world.say(format_args!("{who} crashes")),
            Some(ended) => world.check().found(Invariant::Ends, format!("{who} ends by itself: {ended:?}")),
        }
        process.gate.open();
        tokio::time::sleep(Duration::from_millis(dice.below(10_000))).await;
    }
}

fn build(world: &Arc<World>, who: &str, gate: &Gate, dice: &Dice, number: usize) -> Option<Worker> {
    let client = client_of(world, who, Duration::from_secs(30)).ok()?;
    let capabilities: &[&str] = if number == 0 { &["gpu", "region=eu"] } else { &["region=us"] };
    let (world, gate, name) = (Arc::clone(world), gate.clone(), who.to_owned());
    Worker::builder(&client)
        .name(who)
        .lanes(LANES)
        .capabilities(capabilities.iter().copied())
        .slots(dice.between(1, 8) as usize)
        .handler(KIND, move |context: Context, job: Job| {
            let run = Run::start(&world, &name, &context);
            if gate.is_closed() {
                // Begun in the instant in which the process stopped: like all that it was at, it does not know better.
                world.check().stood_still(&name);
            }
            Gated::new(&gate, run.work(context, job))
        })
        .build()
        .ok()
}

/// A handler at work; its end is noted whatever the way.
struct Run {
    world: Arc<World>,
    who: String,
    id: RunId,
}

impl Run {
    fn start(world: &Arc<World>, who: &str, context: &Context) -> Self {
        let id = world.check().run_started(who, context.execution_id());
        world.say(format_args!("{who} runs {} attempt {}", context.execution_id(), context.attempt()));
        Self { world: Arc::clone(world), who: who.to_owned(), id }
    }

    async fn work(self, context: Context, job: Job) -> Result<String, Failure> {
        let work = Duration::from_millis(job.work_ms);
        for step in 0..job.steps {
            tokio::time::sleep(work / 4).await;
            self.step(&context, &format!("s{step}"), work / 4, &job).await?;
        }
        if job.work_ms.is_multiple_of(3) {
            context.progress(50, "half of it");
        }
        tokio::time::sleep(work / 2).await;
        self.spend(&context, &format!("rest of {}", context.attempt()), &job).await?;
        match job.deed(context.attempt()) {
            Deed::Complete => Ok(format!("job {} by {} as {:?}", job.job, self.who, self.id)),
            Deed::Fail => Err(Failure::new("bad_luck", "this attempt fails")),
            Deed::FailSoon => {
                Err(Failure::new("bad_luck", "this attempt fails").retry_after(Duration::from_millis(10)))
            }
            Deed::FailForGood => Err(Failure::new("hopeless", "this attempt fails for good").no_retry()),
            #[expect(clippy::panic, reason = "handlers panic, and a worker must live with it")]
            Deed::Panic => panic!("{}", World::PLANNED),
            Deed::Hang => {
                let stopping = context.cancelled().await;
                Err(Failure::new("stopped", stopping.reason))
            }
        }
    }

    /// The provider bills it, and then it is said.
    async fn spend(&self, context: &Context, key: &str, job: &Job) -> Result<(), Failure> {
        let amount = job.part();
        if amount == 0 {
            return Ok(());
        }
        if job.manners == Manners::Asking {
            for path in job.paths() {
                context.hold_at(path, Amounts::of([("usd", amount)])).await?;
            }
        }
        let id = format!("{}/{key}", context.execution_id());
        self.world.check().billed(&id, amount);
        let charge = Charge::from(Amounts::of([("usd", amount)])).id(&id);
        if context.charge(charge).await.is_ok_and(|reply| reply.recorded) {
            job.paths().iter().for_each(|path| self.world.check().charge_heard(path, &id));
        }
        Ok(())
    }

    async fn step(&self, context: &Context, key: &str, work: Duration, job: &Job) -> Result<(), Failure> {
        let execution = context.execution_id().to_owned();
        let run = || async {
            self.world.check().step_runs(self.id, key);
            tokio::time::sleep(work).await;
            self.spend(context, key, job).await?;
            Ok(format!("{key} of {execution} by {:?}", self.id))
        };
        if self.world.plan.plant == Some(Plant::RerunSteps) {
            let _again: Result<String, Failure> = run().await;
        }
        let given: String = context.step(key, run).await?;
        let text = serde_json::to_string(&given)?;
        self.world.check().step_gave(self.id, key, &text);
        Ok(())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.world.check().run_ended(self.id);
    }
}
