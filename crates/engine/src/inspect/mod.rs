//! What is in a store, read without changing anything: for whoever operates it, and for support.
//!
//! | file | what |
//! |---|---|
//! | `report.rs` | heads, members, counts |
//! | `record.rs` | the records of one execution, decoded for people |
//! | `kind.rs` | what a record is, by its key |

mod kind;
mod record;
mod report;

pub use record::records_of;
pub use report::{Wanted, inspect};
