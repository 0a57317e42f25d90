//! Lane settings: changed at the lane's home, copied to every partition by messages.

use std::collections::BTreeMap;

use super::context::Context;
use super::outbox::send;
use super::{Outcome, Refusal, permit};
use crate::Millis;
use crate::event::EventKind;
use crate::ids::PartitionId;
use crate::key;
use crate::model::{LaneHome, LaneMode, LaneSettings, Message, Record};

/// What to change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LaneChange {
    /// Nothing: read the settings at their home.
    Read,
    /// Shares, ageing, length.
    Settings {
        /// Shares by fairness key.
        weights: BTreeMap<String, u32>,
        /// Ms of waiting that one step of priority is worth.
        age_step_ms: Option<Millis>,
        /// Most executions that may wait.
        max_length: Option<u64>,
    },
    /// Open, paused, draining.
    Mode(LaneMode),
}

/// Change a lane's settings; runs at the lane's home.
#[derive(Clone, Debug)]
pub struct SetLane {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub lane: String,
    /// The change.
    pub change: LaneChange,
    /// A random number from which the ids of its messages follow.
    pub id: u64,
}

impl SetLane {
    /// The partition that a lane's settings live in.
    pub fn home(namespace: &str, lane: &str) -> PartitionId {
        PartitionId::of(&key::name_hash(namespace, lane))
    }

    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let home = key::lane_home(&self.namespace, &self.lane);
        let before = match context.partition.other(&home) {
            Some(Record::LaneHome(home)) => home.settings.clone(),
            _ => LaneSettings::default(),
        };
        let mut settings = before.clone();
        match &self.change {
            LaneChange::Read => {}
            LaneChange::Mode(mode) => settings.mode = *mode,
            LaneChange::Settings { weights, age_step_ms, max_length } => {
                settings.weights = weights.clone();
                settings.age_step_ms = *age_step_ms;
                settings.max_length = *max_length;
            }
        }
        if settings == before {
            return Ok(Outcome::Lane(Box::new(settings)));
        }
        settings.generation += 1;
        context.put_record(home, Some(Record::LaneHome(Box::new(LaneHome { settings: settings.clone() }))));
        copy(context, &self.namespace, &self.lane, &settings);
        let here = context.partition.id();
        for peer in PartitionId::all().filter(|peer| *peer != here) {
            let message = Message::Lane {
                namespace: self.namespace.clone(),
                lane: self.lane.clone(),
                settings: settings.clone(),
            };
            send(context, peer, message, self.id);
        }
        Ok(Outcome::Lane(Box::new(settings)))
    }
}

/// Takes a lane's settings as this partition's own. What the home says last counts, whatever was known before: after a
/// loss of writes its generations start again from lower ones.
pub(super) fn copy(context: &mut Context<'_>, namespace: &str, lane: &str, settings: &LaneSettings) {
    if context.partition.lane(namespace, lane) == settings {
        return;
    }
    let record = Record::Lane(Box::new(settings.clone()));
    context.put_record(key::lane(namespace, lane), Some(record));
    if settings.mode == LaneMode::Paused {
        // What can't start now keeps nobody else waiting in a budget's queue.
        permit::end_of_lane(context, namespace, lane);
    }
    context.touch_lane(namespace, lane);
    context.event_of_partition(EventKind::LaneChanged);
}

/// Forgets the settings of lanes that are at home in `home`, but for `names`.
pub(super) fn keep_only(context: &mut Context<'_>, home: PartitionId, names: &[(String, String)]) {
    let stale: Vec<(String, String)> = context
        .partition
        .lane_copies()
        .filter(|(namespace, lane)| SetLane::home(namespace, lane) == home)
        .map(|(namespace, lane)| (namespace.to_owned(), lane.to_owned()))
        .filter(|name| !names.contains(name))
        .collect();
    for (namespace, lane) in stale {
        context.put_record(key::lane(&namespace, &lane), None);
        context.touch_lane(&namespace, &lane);
        context.event_of_partition(EventKind::LaneChanged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;

    fn home() -> Bed {
        Bed::at(SetLane::home("default", "mail"))
    }

    #[test]
    fn a_change_is_sent_to_every_other_partition() {
        let mut bed = home();
        let settings = bed.set_lane("mail", LaneChange::Mode(LaneMode::Paused));
        assert_eq!((settings.mode, settings.generation), (LaneMode::Paused, 1));
        assert_eq!(bed.partition.lane("default", "mail"), &settings);
        let peers: Vec<_> = bed.partition.outgoing().map(|(peer, _)| peer).collect();
        assert_eq!(peers, PartitionId::all().filter(|p| *p != bed.partition.id()).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_changed_is_nothing_sent() {
        let mut bed = home();
        bed.set_lane("mail", LaneChange::Mode(LaneMode::Open));
        assert_eq!(bed.puts, 0);
        bed.set_lane("mail", LaneChange::Mode(LaneMode::Paused));
        let puts = bed.puts;
        bed.set_lane("mail", LaneChange::Mode(LaneMode::Paused));
        assert_eq!(bed.set_lane("mail", LaneChange::Read).generation, 1);
        assert_eq!(bed.puts, puts);
    }

    #[test]
    fn settings_and_mode_change_apart() {
        let mut bed = home();
        bed.set_lane("mail", LaneChange::Mode(LaneMode::Draining));
        let weights = BTreeMap::from([("a".to_owned(), 3)]);
        let change =
            LaneChange::Settings { weights: weights.clone(), age_step_ms: Some(5), max_length: Some(10) };
        let settings = bed.set_lane("mail", change);
        let expected = LaneSettings {
            generation: 2,
            mode: LaneMode::Draining,
            weights,
            age_step_ms: Some(5),
            max_length: Some(10),
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn its_groups_are_offered_anew() {
        let mut bed = home();
        bed.submit(|s| s.lane = "mail".into());
        let mut txn = crate::Txn::default();
        let change = LaneChange::Mode(LaneMode::Paused);
        let set = SetLane { namespace: "default".into(), lane: "mail".into(), change, id: 1 };
        bed.run_in(&mut txn, &crate::Command::SetLane(set)).unwrap();
        let touched = txn.take_ready();
        assert_eq!(touched.len(), 1);
        assert_eq!(bed.partition.ready_in(&touched[0]), None);
        txn.undo(&mut bed.partition);
        assert!(bed.partition.ready_in(&touched[0]).is_some());
    }
}
