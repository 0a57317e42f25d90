//! Exchanges: one call in which a worker says all it has to say and hears all there is to hear.
//!
//! A reply waits for the answers to what was said, and for leases and stops only if there is nothing else to say. The
//! worker's next exchange ends the one that is parked, and goes on with its claim.
//!
//! | file | what |
//! |---|---|
//! | `session.rs` | the conversation: numbers, unread replies, leases held |
//! | `repeat.rs` | what unread replies said is said again |
//! | `said.rs` | what is said as commands, and their outcomes as answers |
//! | `sessions.rs` | all conversations |
//! | `turn.rs` | one exchange from its arrival to its reply |

mod repeat;
pub(crate) mod said;
mod session;
#[cfg(test)]
mod session_tests;
mod sessions;
mod turn;

pub(crate) use sessions::{Sessions, session_id};
pub(crate) use turn::exchange;
