//! Work that no worker is there for keeps nobody else waiting for money.

use std::sync::Arc;

use super::context::Context;
use super::{Outcome, Refusal, permit};
use crate::model::Group;

/// Executions whose questions one command ends: more follow with the next.
const ENDED_MAX: usize = 500;

/// End what executions of these groups have asked of budgets: no worker is there that could take them. Their places are
/// kept; the next claim that can take them asks again.
#[derive(Clone, Debug)]
pub struct Unserved {
    /// The groups.
    pub groups: Vec<Arc<Group>>,
}

impl Unserved {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let mut left = ENDED_MAX;
        for group in &self.groups {
            left -= permit::end_asked(context, group, left);
        }
        Ok(Outcome::Done)
    }
}
