//! Who uses the nodes: clients, operators, workers, and workers that lie.

mod bank;
mod client;
mod liar;
mod operator;
mod shop;
mod worker;

pub(crate) use bank::run as run_bank;
pub(crate) use client::run as run_client;
pub(crate) use liar::run as run_liar;
pub(crate) use operator::run as run_operator;
pub(crate) use shop::run as run_shop;
pub(crate) use worker::{WorkerProcess, run as run_worker};

use std::sync::Arc;
use std::time::Duration;

use stint::{Client, Error, Randomness};

use crate::seam::SeamTransport;
use crate::world::World;

/// The lanes in use. Every worker serves them all.
pub(crate) const LANES: [&str; 3] = ["default", "bulk", "fair"];

/// The one kind.
pub(crate) const KIND: &str = "job";

/// A client of its own, named for the trace. Its randomness follows from the seed and its name.
pub(crate) fn client_of(world: &Arc<World>, who: &str, deadline: Duration) -> Result<Client, Error> {
    let seed = xxhash_rust::xxh3::xxh3_64_with_seed(who.as_bytes(), world.plan.seed);
    Client::builder()
        .transport(SeamTransport::new(world, who))
        .randomness(Randomness::from_seed(seed))
        .deadline(deadline)
        .build()
}
