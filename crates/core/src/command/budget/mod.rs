//! Budgets, where they live: what may be held, what was spent, who waits. See `docs/PERMITS.md`.
//!
//! | file | what |
//! |---|---|
//! | `set.rs` | a budget is set, raised, topped up, deleted |
//! | `room.rs` | what is free |
//! | `book.rs` | an entry of the ledger, and the counters with it |
//! | `charge.rs` | what was spent, by path and under a hold |
//! | `hold.rs` | holds without a lease, and extends of any |
//! | `states.rs` | exhausted, overcommitted, and no longer |
//! | `adjust.rs` | the ledger is set right by hand |
//! | `queue.rs` | executions ask, wait and are granted |
//! | `estimates.rs` | what attempts of a kind have cost |
//! | `elapse.rs` | what the clock has to do |
//! | `read.rs` | budgets as they stand |
//! | `reconcile.rs` | counters against the ledger |
//! | `recount.rs` | what they should be |
//! | `roll_up.rs` | entries are rolled up by hours |
//! | `fold.rs` | hours long ago become days |
//! | `trim_ledger.rs` | entries long ago go |

mod adjust;
mod book;
mod charge;
mod elapse;
mod estimates;
mod fold;
mod hold;
mod queue;
mod read;
mod reconcile;
mod recount;
mod roll_up;
mod room;
mod set;
mod states;
mod trim_ledger;

pub use adjust::Adjust;
pub(super) use charge::deliver as charge_delivered;
pub use charge::{BookCharge, Booked, ChargeBudget, ChargeHold, Refund};
pub use elapse::Elapse;
pub use fold::{FoldLedger, SweepLedger};
pub use hold::{ExtendAnswer, ExtendHold, HoldBudget, HoldView, ReleaseHold, SettleHold, Settled};
pub(super) use queue::{asked, compared, ended, reordered, restated, unwanted};
pub use read::{BudgetView, CheckUses, ListBudgets, Place, ShowBudget, ShowPlace, WindowView};
pub use reconcile::{Reconcile, Verify};
pub use recount::{Drift, DriftOf, Recount, Unverified};
pub use roll_up::RollUpLedger;
pub use set::{BudgetChange, DeleteBudget, SetBudget};
pub use trim_ledger::TrimLedger;

use super::context::Context;
use crate::ids::PartitionId;
use crate::model::{Budget, Counters, Record};
use crate::{key, partition};

/// Where a path's tree lives: the partition of its namespace and first segment.
pub fn home(namespace: &str, path: &str) -> PartitionId {
    partition::home(namespace, path)
}

/// Where a tree's ledger stands.
fn ledger_seq(context: &Context<'_>, namespace: &str, path: &str) -> u64 {
    context.partition.ledger_seq(namespace, crate::model::tree(path))
}

/// What a budget has used, to be changed.
fn counters(context: &Context<'_>, namespace: &str, path: &str, budget: &Budget) -> Counters {
    match context.partition.counters(namespace, path) {
        Some(counters) => counters.clone(),
        None => Counters::new(&budget.windows, ledger_seq(context, namespace, path)),
    }
}

fn put_counters(context: &mut Context<'_>, namespace: &str, path: &str, counters: Counters) {
    context.put_record(key::counters(namespace, path), Some(Record::Counters(Box::new(counters))));
}
