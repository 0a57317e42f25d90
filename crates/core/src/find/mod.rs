//! Finding executions: what a filter asks for, and what a list shows of each.
//!
//! Open ones are listed from [`Partition::list`](crate::Partition::list), ended ones by the ordered keys `e`, whose
//! [`Mark`] tells most of those apart that a filter does not want, without reading their records.

mod filter;
mod mark;
mod summary;

pub use filter::{Filter, Only, StateFilter};
pub use mark::{Mark, Marked};
pub use summary::Summary;

use crate::Millis;
use crate::ids::ExecutionId;

/// A place in a list: newest first, and of one instant the highest id first. The instant is the end of what has ended
/// where lists are of ended executions, else the submission.
pub type Position = (Millis, ExecutionId);
