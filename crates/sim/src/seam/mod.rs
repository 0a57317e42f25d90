//! What is replaced: the store's edge, and the wire between clients, workers and nodes.

mod bend;
mod faults;
mod gate;
mod peers;
mod store;
mod wire;

pub(crate) use faults::CountedFaults;
pub(crate) use gate::{Gate, Gated};
pub(crate) use peers::SeamPeers;
pub(crate) use store::SeamStore;
pub(crate) use wire::SeamTransport;
