//! A client: submits, waits, repeats itself, changes its mind.

use std::sync::Arc;
use std::time::Duration;

use stint::{Client, Error, Submission};
use stint_api::{Backoff, BackoffKind, CancelRequest, Code, ReplayRequest, Retry, SubmitReply, Thousandths};

use super::{KIND, LANES, client_of};
use crate::dice::Dice;
use crate::job::{Job, Manners};
use crate::world::World;

/// How long a call goes on trying in the storm.
const PATIENCE: Duration = Duration::from_secs(30);

struct Script {
    world: Arc<World>,
    client: Client,
    dice: Dice,
    /// Ids that were acknowledged.
    ids: Vec<String>,
    /// Submissions under a key, to be repeated.
    keyed: Vec<(Job, Submission)>,
}

/// Runs a client's whole script.
pub(crate) async fn run(world: Arc<World>, number: u64) {
    let who = format!("c{number}");
    let Ok(client) = client_of(&world, &who, PATIENCE) else { return };
    let dice = Dice::new(world.plan.seed, &format!("script of {who}"));
    let mut script = Script { world: Arc::clone(&world), client, dice, ids: Vec::new(), keyed: Vec::new() };
    let pause_ms = 2 * world.plan.storm.as_millis() as u64 / world.plan.deeds.max(1);
    for _ in 0..world.plan.deeds {
        script.act().await;
        tokio::time::sleep(Duration::from_millis(script.dice.below(pause_ms))).await;
    }
}

impl Script {
    async fn act(&mut self) {
        match self.dice.below(20) {
            0..=7 => self.submit().await,
            8 | 9 => self.submit_batch().await,
            10 | 11 => self.repeat().await,
            12 => self.contradict().await,
            13 | 14 => self.wait().await,
            15 => self.look().await,
            16 | 17 => self.stop().await,
            18 => self.replay().await,
            _ => self.steer().await,
        }
    }

    /// A submission with whatever options chance gives it.
    fn draw(&self) -> (Job, Submission) {
        let dice = &self.dice;
        let job = Job::draw(self.world.next_job(), dice);
        let mut submission = Submission::new(KIND)
            .input(&job)
            .retry(Retry {
                max_attempts: Some(job.max_attempts),
                backoff: Some(Backoff {
                    kind: if dice.chance(500) { BackoffKind::Fixed } else { BackoffKind::Exponential },
                    delay_ms: dice.below(4_000),
                    factor: None,
                    max_ms: None,
                    jitter: Some(Thousandths(dice.below(500) as u32)),
                }),
                non_retryable: Vec::new(),
            })
            .max_crashes(job.max_crashes)
            .lease_ttl(Duration::from_millis(dice.between(3_000, 30_000)));
        if dice.chance(500) {
            let lane = dice.pick(&LANES).copied().unwrap_or("default");
            submission = submission.lane(lane).priority(dice.between(0, 200) as i32 - 100);
        }
        if dice.chance(200) {
            submission = submission.fairness_key(format!("f{}", dice.below(3)));
        }
        if dice.chance(150) {
            submission = submission.delay(Duration::from_millis(dice.below(30_000)));
        }
        if dice.chance(150) {
            submission = submission.tag("colour", "green").tag("job", job.job.to_string());
        }
        if dice.chance(100) {
            submission = submission.requires("gpu");
        }
        if dice.chance(100) {
            submission = submission.prefer("region=eu");
        }
        if dice.chance(50) {
            submission = submission.queue_ttl(Duration::from_millis(dice.between(1_000, 60_000)));
        }
        if dice.chance(50) {
            submission = submission.deadline(Duration::from_millis(dice.between(1_000, 120_000)));
        }
        if job.hangs() || dice.chance(50) {
            submission = submission.attempt_timeout(Duration::from_millis(dice.between(5_000, 40_000)));
        }
        if dice.chance(50) {
            submission = submission.retention(Duration::from_millis(dice.between(1_000, 60_000)));
        }
        for path in job.paths() {
            let hold = if job.manners == Manners::Provident { job.cost } else { 1 };
            submission = submission.budget(path, |budget| budget.hold("usd", hold));
        }
        (job, submission)
    }

    fn keep(&mut self, submitted: &SubmitReply) {
        self.ids.push(submitted.id.clone());
    }

    async fn submit(&mut self) {
        let (job, mut submission) = self.draw();
        if self.dice.chance(300) {
            submission = submission.idempotency_key(format!("k{}", job.job));
            self.keyed.push((job, submission.clone()));
        }
        if let Ok(submitted) = self.client.submit(submission).await {
            self.keep(&submitted);
        }
    }

    async fn submit_batch(&mut self) {
        let batch: Vec<Submission> = (0..self.dice.between(1, 12)).map(|_| self.draw().1).collect();
        if let Ok(results) = self.client.submit_batch(batch).await {
            for submitted in results.into_iter().flatten() {
                self.keep(&submitted);
            }
        }
    }

    /// The same key and body again, as a new request.
    async fn repeat(&mut self) {
        let Some((job, submission)) = self.dice.pick(&self.keyed).cloned() else { return };
        match self.client.submit(submission).await {
            Ok(submitted) => self.keep(&submitted),
            Err(Error::Refused(problem)) if problem.code == Code::IdempotencyConflict => {
                self.world.check().conflicted(job.job, &problem.to_string());
            }
            Err(_) => {}
        }
    }

    /// The same key with another body: it must not be accepted once the first one was.
    async fn contradict(&mut self) {
        let Some((first, submission)) = self.dice.pick(&self.keyed).cloned() else { return };
        if !self.world.check().is_acknowledged(first.job) {
            return;
        }
        let other = Job { job: self.world.next_job(), ..first.clone() };
        let key = format!("k{}", first.job);
        if let Ok(submitted) = self.client.submit(submission.input(&other).idempotency_key(key)).await {
            self.world.check().contradicted(first.job, &submitted.id);
        }
    }

    async fn wait(&mut self) {
        let Some(id) = self.dice.pick(&self.ids).cloned() else { return };
        let patience = Duration::from_millis(self.dice.below(20_000));
        let _checked_on_the_wire = self.client.result::<serde_json::Value>(id).wait(patience).await;
    }

    async fn look(&mut self) {
        let Some(id) = self.dice.pick(&self.ids).cloned() else { return };
        if self.dice.chance(500) {
            let _checked_on_the_wire = self.client.execution(&id).await;
        } else {
            let _only_must_not_panic = self.client.why(&id).await;
        }
    }

    async fn stop(&mut self) {
        let Some(id) = self.dice.pick(&self.ids).cloned() else { return };
        let grace_ms = self.dice.chance(800).then(|| self.dice.below(5_000));
        let request = CancelRequest { reason: Some("changed my mind".into()), grace_ms, namespace: None };
        let _checked_in_the_store = self.client.cancel(&id, request).await;
    }

    async fn replay(&mut self) {
        let Some(id) = self.dice.pick(&self.ids).cloned() else { return };
        let from_step = self.dice.chance(300).then(|| format!("s{}", self.dice.below(3)));
        if from_step.is_some() {
            self.world.check().journal_cut(&id);
        }
        let request = ReplayRequest { from_step, namespace: None };
        let _checked_in_the_store = self.client.replay(&id, request).await;
    }

    async fn steer(&mut self) {
        let Some(id) = self.dice.pick(&self.ids).cloned() else { return };
        let _checked_in_the_store = match self.dice.below(4) {
            0 => self.client.pause(&id).await,
            1 => self.client.resume(&id).await,
            2 => self.client.revoke(&id).await,
            _ => self.client.set_priority(&id, self.dice.between(0, 20) as i32).await,
        };
    }
}
