//! A worker that speaks by plain calls and keeps to nothing: it repeats and contradicts itself, uses leases that
//! are long gone, makes some up, and forgets others.

use std::sync::Arc;
use std::time::Duration;

use stint::Client;
use stint_api::{FailRequest, Failure, HeartbeatRequest, Lease, LeaseRequest, Payload, StepReply, WorkerRef};
use stint_core::{LeaseRef, LeaseToken};

use super::{LANES, client_of};
use crate::dice::Dice;
use crate::world::World;

/// Leases it remembers, good or not.
const MEMORY: usize = 12;

struct Liar {
    client: Client,
    dice: Dice,
    who: String,
    held: Vec<Lease>,
    said: u64,
}

/// Lies until the storm is over.
pub(crate) async fn run(world: Arc<World>, number: u64) {
    let who = format!("l{number}");
    let Ok(client) = client_of(&world, &who, Duration::from_secs(10)) else { return };
    let dice = Dice::new(world.plan.seed, &format!("lies of {who}"));
    let mut liar = Liar { client, dice, who, held: Vec::new(), said: 0 };
    while !world.is_calm() {
        liar.claim().await;
        for _ in 0..liar.dice.below(8) {
            liar.lie().await;
            tokio::time::sleep(Duration::from_millis(liar.dice.below(4_000))).await;
        }
    }
}

impl Liar {
    async fn claim(&mut self) {
        let request = LeaseRequest {
            worker: WorkerRef { name: self.who.clone(), version: None, capabilities: vec!["gpu".into()] },
            lanes: LANES.map(str::to_owned).to_vec(),
            kinds: Vec::new(),
            max: self.dice.between(1, 3) as u32,
            wait_ms: self.dice.below(8_000),
            namespace: None,
        };
        if let Ok(reply) = self.client.lease(request).await {
            self.held.extend(reply.leases);
            let too_many = self.held.len().saturating_sub(MEMORY);
            self.held.drain(..too_many);
        }
    }

    async fn lie(&mut self) {
        let Some(lease) = self.dice.pick(&self.held).map(|lease| lease.lease.clone()) else { return };
        let lease = if self.dice.chance(100) { forged(&lease) } else { lease };
        self.said += 1;
        let word = Payload::json(&format!("{} says {}", self.who, self.said)).unwrap_or_default();
        match self.dice.below(10) {
            0..=2 => {
                let _checked_on_the_wire = self.client.complete(&lease, word.clone()).await;
                if self.dice.chance(300) {
                    let _the_same = self.client.complete(&lease, word).await;
                }
                if self.dice.chance(300) {
                    let other = Payload::json("something else").unwrap_or_default();
                    let _checked_on_the_wire = self.client.complete(&lease, other).await;
                }
            }
            3 => {
                let failure = FailRequest::new(Failure::new("bad_luck", "so it says"));
                let _checked_on_the_wire = self.client.fail(&lease, failure).await;
            }
            4 => {
                let _checked_on_the_wire = self.client.release(&lease).await;
            }
            5 | 6 => {
                let _checked_on_the_wire = self.client.heartbeat(&lease, HeartbeatRequest::default()).await;
            }
            7 => {
                let key = format!("s{}", self.dice.below(3));
                if let Ok(StepReply::Run | StepReply::Unknown) = self.client.begin_step(&lease, &key).await {
                    let _checked_on_the_wire = self.client.record_step(&lease, &key, word).await;
                }
            }
            8 => {
                let key = format!("s{}", self.dice.below(3));
                let _never_begun = self.client.record_step(&lease, &key, word).await;
            }
            _ => {}
        }
    }
}

/// A lease as somebody who does not know its secret would guess it, or of an epoch that is yet to come.
fn forged(lease: &str) -> String {
    let Ok(lease) = lease.parse::<LeaseRef>() else { return String::new() };
    let guess = match lease.epoch % 2 {
        0 => LeaseRef { epoch: lease.epoch + 1, ..lease },
        _ => LeaseRef { token: LeaseToken([7; 16]), ..lease },
    };
    guess.to_string()
}
