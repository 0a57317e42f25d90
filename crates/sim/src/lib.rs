//! The simulation: two engines on one store, clients and workers, in one thread and in virtual time, all from one
//! seed. The engine's and the SDK's own code runs unchanged; only store, clock, randomness and transport are replaced.
//!
//! **Never here:** a real clock, a real socket, a thread, a switch inside product code. What is broken on purpose is
//! broken at a seam ([`Plant`]).
//!
//! **Where to look next:** [`simulate`] is one run; [`Invariant`] names what must hold; `check/` watches; `chaos.rs`
//! and [`Plan`] say what goes wrong; `seam/` is what is replaced; `work/` is who uses it. `stint-sim --seed N` replays
//! a run.

mod chaos;
mod check;
mod dice;
mod invariant;
mod job;
mod node;
mod panics;
mod plan;
mod plant;
mod run;
mod seam;
mod trace;
mod work;
mod world;

pub use invariant::{Finding, Invariant};
pub use plan::Plan;
pub use plant::Plant;
pub use run::{Report, simulate};
