//! A namespace's settings: changed at their home, copied to every partition by messages.

use super::context::Context;
use super::outbox::send;
use super::{Outcome, Refusal};
use crate::Millis;
use crate::event::EventKind;
use crate::ids::PartitionId;
use crate::key;
use crate::model::{Message, NamespaceSettings, Record};

/// What to change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NamespaceChange {
    /// Nothing: read the settings at their home.
    Read,
    /// All settings.
    Settings {
        /// How long executions are kept after their end.
        retention_ms: Option<Millis>,
        /// How long entries of ledgers are kept at least.
        ledger_retention_ms: Option<Millis>,
    },
}

/// Read or change a namespace's settings; runs at their home.
#[derive(Clone, Debug)]
pub struct SetNamespace {
    /// The namespace.
    pub namespace: String,
    /// The change.
    pub change: NamespaceChange,
}

impl SetNamespace {
    /// The partition that a namespace's settings live in.
    pub fn home(namespace: &str) -> PartitionId {
        PartitionId::of(&key::name_hash(namespace, "namespace"))
    }

    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let home = key::namespace_home(&self.namespace);
        let before = match context.partition.other(&home) {
            Some(Record::Namespace(settings)) => settings.clone(),
            _ => NamespaceSettings::default(),
        };
        let mut settings = before.clone();
        match self.change {
            NamespaceChange::Read => {}
            NamespaceChange::Settings { retention_ms, ledger_retention_ms } => {
                (settings.retention_ms, settings.ledger_retention_ms) = (retention_ms, ledger_retention_ms);
            }
        }
        if settings == before {
            return Ok(Outcome::Namespace(settings));
        }
        settings.generation += 1;
        context.put_record(home, Some(Record::Namespace(settings.clone())));
        copy(context, &self.namespace, &settings);
        let (here, id) = (context.partition.id(), context.fresh());
        for peer in PartitionId::all().filter(|peer| *peer != here) {
            let message =
                Message::Namespace { namespace: self.namespace.clone(), settings: settings.clone() };
            send(context, peer, message, id);
        }
        Ok(Outcome::Namespace(settings))
    }
}

/// Follows what the home says, whatever was known before.
pub(super) fn copy(context: &mut Context<'_>, namespace: &str, settings: &NamespaceSettings) {
    if context.partition.namespace(namespace) == Some(settings) {
        return;
    }
    context.put_record(key::namespace(namespace), Some(Record::Namespace(settings.clone())));
    context.event_of_partition(EventKind::NamespaceChanged);
}

/// Forgets settings that are at home in `home`, but for those of `namespaces`.
pub(super) fn keep_only(context: &mut Context<'_>, home: PartitionId, namespaces: &[String]) {
    let copies = context.partition.namespace_copies().map(str::to_owned);
    let stale: Vec<String> =
        copies.filter(|name| SetNamespace::home(name) == home && !namespaces.contains(name)).collect();
    for namespace in stale {
        context.put_record(key::namespace(&namespace), None);
        context.event_of_partition(EventKind::NamespaceChanged);
    }
}

/// Says to a peer again what it should hold of ours.
pub(super) fn restated(context: &mut Context<'_>, peer: PartitionId, id: u64) {
    let homes = context.partition.namespace_homes();
    let homes: Vec<_> = homes.map(|(name, settings)| (name.to_owned(), settings.clone())).collect();
    let names = homes.iter().map(|(name, _)| name.clone()).collect();
    send(context, peer, Message::Namespaces(names), id);
    for (namespace, settings) in homes {
        send(context, peer, Message::Namespace { namespace, settings }, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::{Bed, policy};
    use crate::command::{Acknowledge, Command, Deliver, DeliverAnswer, NamespaceChange};
    use crate::model::{Link, RETENTION_MS};

    const HOUR: Millis = 3_600_000;

    /// The home of the namespace `default`, and another partition that follows it.
    fn pair() -> (Bed, Bed) {
        let home = SetNamespace::home("default");
        let other = PartitionId::all().find(|peer| *peer != home).unwrap();
        (Bed::at(home), Bed::at(other))
    }

    fn set(bed: &mut Bed, retention_ms: Option<Millis>) -> NamespaceSettings {
        let change = NamespaceChange::Settings { retention_ms, ledger_retention_ms: None };
        match bed.run(Command::SetNamespace(SetNamespace { namespace: "default".into(), change })) {
            Ok(Outcome::Namespace(settings)) => settings,
            other => panic!("{other:?}"),
        }
    }

    /// Takes what is under way from one to the other.
    fn deliver(from: &mut Bed, to: &mut Bed) -> DeliverAnswer {
        let here = to.partition.id();
        let links: Vec<Link> =
            from.partition.outgoing().filter(|(peer, _)| *peer == here).map(|(_, l)| l.clone()).collect();
        let deliver = Deliver { from: from.partition.id(), links };
        let Ok(Outcome::Delivered(answer)) = to.run(Command::Deliver(deliver)) else { panic!() };
        from.run(Command::Acknowledge(Acknowledge { peer: here, answer, id: from.now as u64 })).unwrap();
        answer
    }

    fn retention(bed: &mut Bed, own: Option<Millis>) -> Option<Millis> {
        let id = bed.submit(|s| s.policy = policy(|p| p.retention_ms = own));
        bed.partition.execution(id).unwrap().policy.retention_ms
    }

    #[test]
    fn it_holds_in_every_partition_for_what_names_none() {
        let (mut home, mut other) = pair();
        assert_eq!(retention(&mut other, None), None);
        let expected =
            NamespaceSettings { generation: 1, retention_ms: Some(HOUR), ledger_retention_ms: None };
        assert_eq!(set(&mut home, Some(HOUR)), expected);
        assert_eq!(retention(&mut home, None), Some(HOUR));
        assert_eq!(retention(&mut other, None), None, "it has not heard of it");
        deliver(&mut home, &mut other);
        assert_eq!(retention(&mut other, None), Some(HOUR));
        assert_eq!(retention(&mut other, Some(5)), Some(5));
        let elsewhere = other.submit(|s| s.namespace = "another".into());
        assert_eq!(other.partition.execution(elsewhere).unwrap().policy.retention_ms, None);
        set(&mut home, None);
        deliver(&mut home, &mut other);
        assert_eq!(retention(&mut other, None), None);
    }

    #[test]
    fn what_was_submitted_keeps_what_held_then() {
        let (mut bed, _) = pair();
        let before = bed.submit(|s| s.priority = 2);
        set(&mut bed, Some(HOUR));
        let after = bed.submit(|s| s.priority = 1);
        for _ in 0..2 {
            let lease = bed.lease();
            bed.complete(lease, "1").unwrap();
        }
        bed.pass(HOUR);
        assert!(bed.store.contains_key(&key::trim(bed.now, after)));
        bed.trim(after);
        bed.trim(before);
        assert!(bed.store.contains_key(&key::archive(before)), "not before its time");
        assert!(!bed.store.contains_key(&key::archive(after)));
        bed.pass(RETENTION_MS - HOUR);
        bed.trim(before);
        assert!(!bed.store.contains_key(&key::archive(before)));
    }

    #[test]
    fn nothing_changed_is_nothing_sent() {
        let (mut home, _) = pair();
        set(&mut home, Some(0));
        let puts = home.puts;
        assert_eq!(set(&mut home, Some(0)).generation, 1);
        let read = SetNamespace { namespace: "default".into(), change: NamespaceChange::Read };
        home.run(Command::SetNamespace(read)).unwrap();
        assert_eq!(home.puts, puts);
    }

    #[test]
    fn a_new_chain_says_it_again_and_what_the_home_lost_is_forgotten() {
        let (mut home, mut other) = pair();
        set(&mut home, Some(HOUR));
        deliver(&mut home, &mut other);
        let mut fresh = Bed::at(other.partition.id());
        home.run(Command::Acknowledge(Acknowledge::resync(fresh.partition.id(), 77))).unwrap();
        deliver(&mut home, &mut fresh);
        assert_eq!(retention(&mut fresh, None), Some(HOUR));

        let mut lost = Bed::at(home.partition.id());
        let known = DeliverAnswer { chain: 1, sequence: 1, id: 5, diverged: true };
        let resync = Acknowledge { peer: other.partition.id(), answer: known, id: 78 };
        lost.run(Command::Acknowledge(resync)).unwrap();
        deliver(&mut lost, &mut other);
        assert_eq!(retention(&mut other, None), None);
    }
}
