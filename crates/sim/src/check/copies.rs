//! Settings that every partition has a copy of: at rest each copy is what the home says.

use std::collections::BTreeMap;

use bytes::Bytes;
use stint_core::command::{SetLane, SetNamespace};
use stint_core::model::{LaneSettings, NamespaceSettings, Record};
use stint_store::memory::Dump;
use stint_store::{PARTITIONS, PartitionId};

use super::Checker;
use crate::invariant::Invariant;

/// Settings by what they are of.
type Settings = BTreeMap<Of, Is>;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Of {
    Lane(String, String),
    Namespace(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Is {
    Lane(Box<LaneSettings>),
    Namespace(NamespaceSettings),
}

impl Of {
    fn home(&self) -> PartitionId {
        PartitionId(match self {
            Self::Lane(namespace, lane) => SetLane::home(namespace, lane).0,
            Self::Namespace(namespace) => SetNamespace::home(namespace).0,
        })
    }
}

impl Checker {
    /// Compares every copy with its home. A loss that nobody could notice excuses both ends.
    pub(super) fn copies_agree(&mut self) {
        let dumps: Vec<(PartitionId, Dump)> =
            (0..PARTITIONS).map(PartitionId).map(|p| (p, self.store.dump(p))).collect();
        let homes: Settings = dumps.iter().flat_map(|(_, dump)| settings(dump, b"hm")).collect();
        let mut wrong = Vec::new();
        for (partition, dump) in &dumps {
            let copies = settings(dump, b"ln");
            for name in homes.keys().chain(copies.keys()) {
                let home = name.home();
                let is_excused = self.may_be_blind(*partition) || self.may_be_blind(home);
                if homes.get(name) != copies.get(name) && !is_excused {
                    let (copy, at_home) = (copies.get(name), homes.get(name));
                    wrong.push(format!(
                        "partition {} has {name:?} as {copy:?}, its home {} as {at_home:?}",
                        partition.0, home.0
                    ));
                }
            }
        }
        for what in wrong {
            self.found(Invariant::Copies, what);
        }
    }
}

/// The settings that a partition holds under keys of these kinds.
fn settings(dump: &Dump, kinds: &[u8]) -> Settings {
    let decode = |(key, value): (&Bytes, &Bytes)| {
        let name = std::str::from_utf8(key.get(1..)?).ok()?;
        let lane = || name.split_once('\0').map(|(namespace, lane)| Of::Lane(namespace.into(), lane.into()));
        Some(match Record::decode(key, value).ok()? {
            Record::Lane(settings) => (lane()?, Is::Lane(settings)),
            Record::LaneHome(home) => (lane()?, Is::Lane(Box::new(home.settings))),
            Record::Namespace(settings) => (Of::Namespace(name.to_owned()), Is::Namespace(settings)),
            _ => return None,
        })
    };
    let is_wanted = |(key, _): &(&Bytes, &Bytes)| key.first().is_some_and(|kind| kinds.contains(kind));
    dump.live.iter().filter(is_wanted).filter_map(decode).collect()
}
