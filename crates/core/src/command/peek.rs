//! Peeking: an execution's own record, without anything that hangs on it.

use super::context::Context;
use super::{Outcome, Refusal};
use crate::ids::ExecutionId;
use crate::key::{self, Key};
use crate::partition::Partition;

/// Read an execution's own record.
#[derive(Clone, Debug)]
pub struct Peek {
    /// Its namespace; another's is not found.
    pub namespace: String,
    /// The execution.
    pub id: ExecutionId,
}

impl Peek {
    pub(super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        if partition.execution(self.id).is_some() { Vec::new() } else { vec![key::archive(self.id)] }
    }

    pub(super) fn run(&self, context: &Context<'_>) -> Result<Outcome, Refusal> {
        let execution = match context.open(&self.namespace, self.id) {
            Some(open) => open,
            None => context.archived(Some(&self.namespace), self.id)?,
        };
        Ok(Outcome::Peeked(Box::new(execution)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;
    use crate::command::Command;

    #[test]
    fn it_shows_what_is_open_and_what_has_ended_and_nothing_of_others() {
        let mut bed = Bed::new();
        let open = bed.submit(|_| ());
        let ended = bed.submit(|_| ());
        bed.cancel(ended, 0).unwrap();
        let peek = |namespace: &str, id| Command::Peek(Peek { namespace: namespace.into(), id });
        for id in [open, ended] {
            let Ok(Outcome::Peeked(peeked)) = bed.run(peek("default", id)) else { panic!("{id}") };
            assert_eq!(*peeked, bed.show(id).execution);
            assert_eq!(bed.run(peek("other", id)), Err(Refusal::NotFound(id)));
        }
    }
}
