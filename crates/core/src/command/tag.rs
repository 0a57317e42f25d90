//! Tagging: an execution, open or ended, is found by more tags, or by other values of those it has.

use super::context::Context;
use super::{Outcome, Refusal};
use crate::ids::ExecutionId;
use crate::key::{self, Key};
use crate::model::Spec;
use crate::partition::Partition;

/// Tags that an execution has at most.
pub const TAGS_MAX: usize = 8;

/// Add tags, or replace their values.
#[derive(Clone, Debug)]
pub struct Tag {
    /// Its namespace.
    pub namespace: String,
    /// The execution.
    pub id: ExecutionId,
    /// Keys and values.
    pub tags: Vec<(String, String)>,
}

impl Tag {
    pub(super) fn cold_keys(&self, partition: &Partition) -> Vec<Key> {
        let archive = partition.execution(self.id).is_none().then(|| key::archive(self.id));
        std::iter::once(key::spec(self.id)).chain(archive).collect()
    }

    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let state = match context.open(&self.namespace, self.id) {
            Some(execution) => execution.state(),
            None => context.archived(Some(&self.namespace), self.id)?.state(),
        };
        let spec: Spec = context.decode(&key::spec(self.id))?.ok_or(Refusal::NotFound(self.id))?;
        let before = spec.tags.clone().unwrap_or_default();
        let mut after = before.clone();
        for (name, value) in &self.tags {
            match after.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.clone_from(value),
                None => after.push((name.clone(), value.clone())),
            }
        }
        if after.len() > TAGS_MAX {
            return Err(Refusal::TooManyTags { max: TAGS_MAX });
        }
        if after == before {
            return Ok(Outcome::Acted(self.id, state));
        }
        let index = |(name, value): &(String, String)| {
            key::tag(key::tag_hash(&self.namespace, name, value), spec.submitted_at, self.id)
        };
        for tag in before.iter().filter(|tag| !after.contains(tag)) {
            context.delete_cold(index(tag));
        }
        for tag in after.iter().filter(|tag| !before.contains(tag)) {
            context.put_cold(index(tag), Vec::new());
        }
        context.put_cold(key::spec(self.id), Spec { tags: Some(after), ..spec.clone() }.encode());
        Ok(Outcome::Acted(self.id, state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;
    use crate::command::Command;
    use crate::model::State;

    fn pairs(tags: &[(&str, &str)]) -> Vec<(String, String)> {
        tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn tag(bed: &mut Bed, id: ExecutionId, tags: &[(&str, &str)]) -> Result<Outcome, Refusal> {
        bed.run(Command::Tag(Tag { namespace: "default".into(), id, tags: pairs(tags) }))
    }

    fn indexed(bed: &Bed) -> usize {
        bed.store
            .keys()
            .filter(|key| key.bytes.first() == Some(&b't') && key.table == crate::Table::Ordered)
            .count()
    }

    #[test]
    fn tags_are_added_and_replaced_also_of_ended_ones() {
        let mut bed = Bed::new();
        let id = bed.submit(|s| s.tags = pairs(&[("team", "a")]));
        assert_eq!(tag(&mut bed, id, &[("team", "b"), ("run", "1")]), Ok(Outcome::Acted(id, State::Ready)));
        assert_eq!(bed.show(id).spec.tags, Some(pairs(&[("team", "b"), ("run", "1")])));
        assert_eq!(indexed(&bed), 2);
        let lease = bed.lease();
        bed.complete(lease, "1").unwrap();
        assert_eq!(tag(&mut bed, id, &[("run", "2")]), Ok(Outcome::Acted(id, State::Completed)));
        let puts = bed.puts;
        tag(&mut bed, id, &[("run", "2")]).unwrap();
        assert_eq!(bed.puts, puts, "nothing changed");
        bed.pass(crate::model::RETENTION_MS);
        bed.trim(id);
        assert_eq!(indexed(&bed), 0, "the new ones are trimmed, too");
    }

    #[test]
    fn there_are_eight_at_most() {
        let mut bed = Bed::new();
        let id = bed.submit(|s| s.tags = pairs(&[("a", ""), ("b", ""), ("c", ""), ("d", "")]));
        let more = [("e", ""), ("f", ""), ("g", ""), ("h", ""), ("i", "")];
        assert_eq!(tag(&mut bed, id, &more), Err(Refusal::TooManyTags { max: TAGS_MAX }));
        tag(&mut bed, id, &more[..4]).unwrap();
        assert_eq!(indexed(&bed), 8);
        let other = Tag { namespace: "theirs".into(), id, tags: pairs(&[("a", "1")]) };
        assert_eq!(bed.run(Command::Tag(other)), Err(Refusal::NotFound(id)));
    }
}
