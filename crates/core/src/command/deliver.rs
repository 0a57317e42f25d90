//! Messages between partitions: chains of links, taken in order, each exactly once.

use super::context::Context;
use super::outbox::send;
use super::{Outcome, Refusal, budget, lane, namespace, permit, prices};
use crate::ids::PartitionId;
use crate::key;
use crate::model::{ChainFrom, ChainTo, Link, Message, Record};

/// Take messages from another partition.
#[derive(Clone, Debug)]
pub struct Deliver {
    /// The sender.
    pub from: PartitionId,
    /// Links of its chain, in order.
    pub links: Vec<Link>,
}

/// How far the receiver is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeliverAnswer {
    /// The chain it follows.
    pub chain: u64,
    /// The last link it has taken.
    pub sequence: u64,
    /// That link's id: a sender that has lost it may have made another of the same number.
    pub id: u64,
    /// Whether the sender's chain is not the one it knows: both must start anew.
    pub diverged: bool,
}

impl Deliver {
    /// Takes the next links; knows older ones; answers where it is if one is missing.
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let at = key::chain_from(self.from);
        let before = match context.partition.other(&at) {
            Some(Record::ChainFrom(chain)) => chain.clone(),
            _ => ChainFrom::default(),
        };
        let mut chain = before.clone();
        let mut diverged = false;
        context.set_from(self.from);
        for link in &self.links {
            if link.chain > chain.chain && link.sequence == 1 {
                chain = ChainFrom { chain: link.chain, sequence: 0, id: 0 };
            }
            if link.chain > chain.chain {
                // A chain whose beginning we never saw: its sender has dropped it, or it is still under way. Its
                // sequence says nothing about ours, which may be the longer one.
                diverged = true;
                break;
            }
            if link.chain < chain.chain || link.sequence < chain.sequence {
                continue;
            }
            if link.sequence == chain.sequence {
                diverged |= link.id != chain.id;
                continue;
            }
            if link.sequence > chain.sequence + 1 {
                break;
            }
            if link.previous != chain.id {
                diverged = true;
                break;
            }
            match &link.message {
                Message::Lane { namespace, lane, settings } => {
                    lane::copy(context, namespace, lane, settings);
                }
                Message::Lanes { names } => lane::keep_only(context, self.from, names),
                Message::Prices { namespace, table } => prices::copy(context, namespace, table),
                Message::PricesOf(namespaces) => prices::keep_only(context, self.from, namespaces),
                Message::Namespace { namespace, settings } => namespace::copy(context, namespace, settings),
                Message::Namespaces(names) => namespace::keep_only(context, self.from, names),
                message => permit::take(context, self.from, message)?,
            }
            chain.sequence = link.sequence;
            chain.id = link.id;
        }
        let answer = DeliverAnswer { chain: chain.chain, sequence: chain.sequence, id: chain.id, diverged };
        if chain != before {
            context.put_record(at, Some(Record::ChainFrom(chain)));
        }
        Ok(Outcome::Delivered(answer))
    }
}

/// Drop the messages that a peer has taken; start the chain anew if the peer knows another one.
#[derive(Clone, Debug)]
pub struct Acknowledge {
    /// The receiver.
    pub peer: PartitionId,
    /// What it answered.
    pub answer: DeliverAnswer,
    /// A random number from which ids of a new chain follow.
    pub id: u64,
}

impl Acknowledge {
    /// Starts the chain to a peer anew, with everything it should hold of ours: due in both directions when either side
    /// has lost writes that it had acknowledged.
    pub fn resync(peer: PartitionId, id: u64) -> Self {
        Self { peer, answer: DeliverAnswer { chain: 0, sequence: 0, id: 0, diverged: true }, id }
    }

    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let at = key::chain_to(self.peer);
        let before = match context.partition.other(&at) {
            Some(Record::ChainTo(chain)) => chain.clone(),
            _ => ChainTo::default(),
        };
        // A peer that is behind what was dropped, or ahead of what was sent, follows another history than ours.
        let same = self.answer.chain == before.chain;
        let gap =
            same && (self.answer.sequence < before.acknowledged || self.answer.sequence > before.sequence);
        // Its last link is another than ours of that number, which was made after the answer was.
        let other = same
            && id_of(context, self.peer, &before, self.answer.sequence)
                .is_some_and(|id| id != self.answer.id);
        // A peer that had taken some of this chain, and now knows only an earlier one, has lost it.
        let lost = self.answer.chain < before.chain && before.acknowledged > 0;
        if self.answer.diverged || gap || other || lost || self.answer.chain > before.chain {
            self.start_anew(context, &before);
            return Ok(Outcome::Restarted(self.peer));
        } else if same && self.answer.sequence > before.acknowledged {
            for sequence in before.acknowledged + 1..=self.answer.sequence {
                context.put_record(key::outgoing(self.peer, sequence), None);
            }
            let chain = ChainTo { acknowledged: self.answer.sequence, ..before };
            context.put_record(at, Some(Record::ChainTo(chain)));
        }
        Ok(Outcome::Done)
    }

    /// A new chain, later than any that either side knows, that carries everything the peer should hold of ours.
    fn start_anew(&self, context: &mut Context<'_>, before: &ChainTo) {
        let mut unheard = Vec::new();
        for sequence in before.acknowledged + 1..=before.sequence {
            let at = key::outgoing(self.peer, sequence);
            if let Some(Record::Link(link)) = context.partition.other(&at)
                && link.message.is_said_once()
            {
                unheard.push(link.message.clone());
            }
            context.put_record(at, None);
        }
        let fresh = ChainTo { chain: before.chain.max(self.answer.chain) + 1, ..ChainTo::default() };
        context.put_record(key::chain_to(self.peer), Some(Record::ChainTo(fresh)));
        let homes = context.partition.lane_homes();
        let homes: Vec<_> = homes.map(|(n, l, s)| (n.to_owned(), l.to_owned(), s.clone())).collect();
        let names = homes.iter().map(|(namespace, lane, _)| (namespace.clone(), lane.clone())).collect();
        send(context, self.peer, Message::Lanes { names }, self.id);
        for (namespace, lane, settings) in homes {
            send(context, self.peer, Message::Lane { namespace, lane, settings }, self.id);
        }
        let tables: Vec<_> = context
            .partition
            .price_homes()
            .map(|(namespace, table)| (namespace.to_owned(), table.clone()))
            .collect();
        let namespaces = tables.iter().map(|(namespace, _)| namespace.clone()).collect();
        send(context, self.peer, Message::PricesOf(namespaces), self.id);
        for (namespace, table) in tables {
            send(context, self.peer, Message::Prices { namespace, table }, self.id);
        }
        namespace::restated(context, self.peer, self.id);
        // Before the permits: what ends with them has been charged and ended as it was meant.
        for message in unheard {
            send(context, self.peer, message, self.id);
        }
        let (held, pending) = permit::asks_of(context, self.peer);
        let keys = pending.iter().map(|(key, _)| *key).collect();
        send(context, self.peer, Message::Permits { held, pending: keys }, self.id);
        for (key, ask) in pending {
            send(context, self.peer, Message::Ask { key, ask }, self.id);
        }
        budget::restated(context, self.peer);
    }
}

/// The id of a link that was sent, if it is still known.
fn id_of(context: &Context<'_>, peer: PartitionId, chain: &ChainTo, sequence: u64) -> Option<u64> {
    if sequence == chain.sequence {
        return Some(chain.id);
    }
    match context.partition.other(&key::outgoing(peer, sequence + 1)) {
        Some(Record::Link(next)) => Some(next.previous),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;
    use crate::command::{Command, LaneChange, SetLane};
    use crate::model::LaneMode;

    const LANES: [&str; 4] = ["a", "b", "c", "d"];

    /// The home of a lane, and another partition that follows it.
    fn pair() -> (Bed, Bed) {
        let home = SetLane::home("default", "a");
        let other = PartitionId::all().find(|p| *p != home).unwrap();
        (Bed::at(home), Bed::at(other))
    }

    fn links(from: &Bed, to: &Bed) -> Vec<Link> {
        let to = to.partition.id();
        from.partition.outgoing().filter(|(peer, _)| *peer == to).map(|(_, link)| link.clone()).collect()
    }

    fn deliver(to: &mut Bed, from: PartitionId, links: Vec<Link>) -> DeliverAnswer {
        match to.run(Command::Deliver(Deliver { from, links })) {
            Ok(Outcome::Delivered(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn acknowledge(from: &mut Bed, to: &Bed, answer: DeliverAnswer) {
        let acknowledge = Acknowledge { peer: to.partition.id(), answer, id: from.now as u64 };
        from.run(Command::Acknowledge(acknowledge)).unwrap();
    }

    /// Sends what is under way until nothing is; at most so often that a quarrel without end is seen.
    fn settle(from: &mut Bed, to: &mut Bed) {
        for _ in 0..4 {
            let links = links(from, to);
            if links.is_empty() {
                return;
            }
            let answer = deliver(to, from.partition.id(), links);
            acknowledge(from, to, answer);
        }
        panic!("they do not agree");
    }

    fn set(bed: &mut Bed, mode: LaneMode) {
        bed.set_lane("a", LaneChange::Mode(mode));
    }

    fn mode(bed: &Bed) -> LaneMode {
        bed.partition.lane("default", "a").mode
    }

    #[test]
    fn links_are_taken_once_in_order_and_dropped_when_taken() {
        let (mut home, mut other) = pair();
        set(&mut home, LaneMode::Paused);
        set(&mut home, LaneMode::Draining);
        let sent = links(&home, &other);
        assert_eq!(sent.iter().map(|link| (link.sequence, link.chain)).collect::<Vec<_>>(), [(1, 1), (2, 1)]);
        let answer = deliver(&mut other, home.partition.id(), sent.clone());
        assert_eq!(answer, DeliverAnswer { chain: 1, sequence: 2, id: sent[1].id, diverged: false });
        assert_eq!(mode(&other), LaneMode::Draining);
        let puts = other.puts;
        assert_eq!(deliver(&mut other, home.partition.id(), sent[..1].to_vec()), answer, "a repetition");
        assert_eq!((other.puts, mode(&other)), (puts, LaneMode::Draining));
        acknowledge(&mut home, &other, answer);
        assert!(links(&home, &other).is_empty());
        let puts = home.puts;
        acknowledge(&mut home, &other, answer);
        assert_eq!(home.puts, puts);
    }

    #[test]
    fn a_link_beyond_the_next_waits_for_the_missing() {
        let (mut home, mut other) = pair();
        for mode in [LaneMode::Paused, LaneMode::Draining, LaneMode::Open] {
            set(&mut home, mode);
        }
        let sent = links(&home, &other);
        deliver(&mut other, home.partition.id(), sent[..1].to_vec());
        let answer = deliver(&mut other, home.partition.id(), sent[2..].to_vec());
        assert_eq!(answer, DeliverAnswer { chain: 1, sequence: 1, id: sent[0].id, diverged: false });
        assert_eq!(mode(&other), LaneMode::Paused);
        acknowledge(&mut home, &other, answer);
        assert_eq!(links(&home, &other).len(), 2);
        settle(&mut home, &mut other);
        assert_eq!(mode(&other), LaneMode::Open);
    }

    /// What a partition was earlier: the store lost everything since.
    fn rolled_back(bed: &Bed, store: &std::collections::BTreeMap<key::Key, bytes::Bytes>) -> Bed {
        let mut back = Bed::at(bed.partition.id());
        back.store = store.clone();
        back.now = bed.now + 1;
        back.partition = back.rebuilt();
        back
    }

    #[test]
    fn a_receiver_that_lost_writes_is_told_everything_again() {
        let (mut home, mut other) = pair();
        set(&mut home, LaneMode::Paused);
        settle(&mut home, &mut other);
        let before = other.store.clone();
        set(&mut home, LaneMode::Draining);
        settle(&mut home, &mut other);
        let mut other = rolled_back(&other, &before);
        assert_eq!(mode(&other), LaneMode::Paused);
        // The next message finds the gap.
        home.set_lane(
            "a",
            LaneChange::Settings { weights: Default::default(), age_step_ms: Some(1), max_length: None },
        );
        settle(&mut home, &mut other);
        assert_eq!(other.partition.lane("default", "a"), home.partition.lane("default", "a"));
        assert_eq!(mode(&other), LaneMode::Draining);
    }

    #[test]
    fn a_receiver_that_lost_a_whole_chain_is_told_everything_again() {
        for long in 1..5 {
            let (mut home, mut other) = pair();
            for n in 0..long {
                set(&mut home, if n % 2 == 0 { LaneMode::Paused } else { LaneMode::Draining });
            }
            settle(&mut home, &mut other);
            let before = other.store.clone();
            home.run(Command::Acknowledge(Acknowledge::resync(other.partition.id(), 9))).unwrap();
            set(&mut home, LaneMode::Open);
            settle(&mut home, &mut other);
            // What is sent next is told from the chain that it lost, however long the one is that it remembers.
            let mut behind = rolled_back(&other, &before);
            let mut later = rolled_back(&home, &home.store);
            set(&mut later, LaneMode::Draining);
            settle(&mut later, &mut behind);
            assert_eq!(mode(&behind), LaneMode::Draining, "{long}");
            // Without anything to send, asking it is enough.
            let mut behind = rolled_back(&other, &before);
            let answer = deliver(&mut behind, home.partition.id(), Vec::new());
            acknowledge(&mut home, &behind, answer);
            settle(&mut home, &mut behind);
            assert_eq!(behind.partition.lane("default", "a"), home.partition.lane("default", "a"), "{long}");
        }
    }

    #[test]
    fn a_sender_that_lost_writes_is_the_truth_all_the_same() {
        for later in [1, 2, 3, 4] {
            let (mut home, mut other) = pair();
            set(&mut home, LaneMode::Draining);
            settle(&mut home, &mut other);
            let before = home.store.clone();
            for mode in [LaneMode::Paused, LaneMode::Draining, LaneMode::Paused] {
                set(&mut home, mode);
            }
            settle(&mut home, &mut other);
            let mut home = rolled_back(&home, &before);
            for n in 0..later {
                home.now += 1;
                set(&mut home, if n % 2 == 0 { LaneMode::Open } else { LaneMode::Paused });
            }
            settle(&mut home, &mut other);
            assert_eq!(other.partition.lane("default", "a"), home.partition.lane("default", "a"), "{later}");
        }
    }

    #[test]
    fn an_answer_about_a_link_that_the_sender_lost_is_not_taken_for_one_about_the_link_it_made_since() {
        let (mut home, mut other) = pair();
        set(&mut home, LaneMode::Draining);
        settle(&mut home, &mut other);
        let before = home.store.clone();
        set(&mut home, LaneMode::Paused);
        settle(&mut home, &mut other);
        let mut home = rolled_back(&home, &before);
        // What the other knows is asked for, and meanwhile a link of the number that it names is made.
        let answer = deliver(&mut other, home.partition.id(), Vec::new());
        home.now += 1;
        set(&mut home, LaneMode::Open);
        acknowledge(&mut home, &other, answer);
        settle(&mut home, &mut other);
        assert_eq!(mode(&other), LaneMode::Open);
        // Where such an answer was believed before, the next one tells.
        let mut stale = rolled_back(&other, &other.store);
        let at = key::chain_from(home.partition.id());
        let known = ChainFrom::clone(match stale.partition.other(&at) {
            Some(Record::ChainFrom(chain)) => chain,
            other => panic!("{other:?}"),
        });
        let record = Record::ChainFrom(ChainFrom { id: known.id ^ 1, ..known });
        stale.store.insert(at, record.encode().into());
        let mut stale = rolled_back(&stale, &stale.store);
        let answer = deliver(&mut stale, home.partition.id(), Vec::new());
        acknowledge(&mut home, &stale, answer);
        assert!(!links(&home, &stale).is_empty());
        settle(&mut home, &mut stale);
        assert_eq!(mode(&stale), LaneMode::Open);
    }

    #[test]
    fn settings_that_their_home_lost_are_forgotten() {
        let (mut home, mut other) = pair();
        set(&mut home, LaneMode::Paused);
        settle(&mut home, &mut other);
        let mut home = rolled_back(&home, &Default::default());
        home.run(Command::Acknowledge(Acknowledge::resync(other.partition.id(), 9))).unwrap();
        settle(&mut home, &mut other);
        assert_eq!(mode(&other), LaneMode::Open);
        assert!(!other.store.contains_key(&key::lane("default", "a")));
        set(&mut home, LaneMode::Draining);
        settle(&mut home, &mut other);
        assert_eq!(mode(&other), LaneMode::Draining);
    }

    #[test]
    fn lanes_of_other_homes_are_left_alone() {
        let (mut home, mut other) = pair();
        for lane in LANES {
            other.own_lane(lane, |s| s.mode = LaneMode::Paused);
        }
        home.run(Command::Acknowledge(Acknowledge::resync(other.partition.id(), 9))).unwrap();
        settle(&mut home, &mut other);
        for lane in LANES {
            let kept = SetLane::home("default", lane) != home.partition.id();
            assert_eq!(other.partition.lane("default", lane).mode == LaneMode::Paused, kept, "{lane}");
        }
    }

    #[test]
    fn answers_about_an_earlier_chain_do_no_harm() {
        let (mut home, mut other) = pair();
        set(&mut home, LaneMode::Paused);
        let sent = links(&home, &other);
        let answer = deliver(&mut other, home.partition.id(), sent);
        home.run(Command::Acknowledge(Acknowledge::resync(other.partition.id(), 9))).unwrap();
        let sent = links(&home, &other);
        acknowledge(&mut home, &other, answer);
        assert_eq!(links(&home, &other), sent);
        settle(&mut home, &mut other);
        assert_eq!(mode(&other), LaneMode::Paused);
    }
}
