//! Settings that every partition has a copy of: at rest each copy is what the home says.

use std::collections::BTreeMap;

use bytes::Bytes;
use stint_core::command::SetLane;
use stint_core::model::{LaneSettings, Record};
use stint_store::memory::Dump;
use stint_store::{PARTITIONS, PartitionId};

use super::Checker;
use crate::invariant::Invariant;

/// Settings by namespace and lane.
type Settings = BTreeMap<(String, String), LaneSettings>;

impl Checker {
    /// Compares every copy with its home. A loss that nobody could notice excuses both ends.
    pub(super) fn copies_agree(&mut self) {
        let dumps: Vec<(PartitionId, Dump)> =
            (0..PARTITIONS).map(PartitionId).map(|p| (p, self.store.dump(p))).collect();
        let homes: Settings = dumps.iter().flat_map(|(_, dump)| settings(dump, b'h')).collect();
        let mut wrong = Vec::new();
        for (partition, dump) in &dumps {
            let copies = settings(dump, b'l');
            for name in homes.keys().chain(copies.keys()) {
                let home = PartitionId(SetLane::home(&name.0, &name.1).0);
                let is_excused = self.may_be_blind(*partition) || self.may_be_blind(home);
                if homes.get(name) != copies.get(name) && !is_excused {
                    let (copy, at_home) = (copies.get(name), homes.get(name));
                    wrong.push(format!(
                        "partition {} has lane {} as {copy:?}, its home {} as {at_home:?}",
                        partition.0, name.1, home.0
                    ));
                }
            }
        }
        for what in wrong {
            self.found(Invariant::Copies, what);
        }
    }
}

/// The settings that a partition holds under keys of one kind.
fn settings(dump: &Dump, kind: u8) -> Settings {
    let from = Bytes::copy_from_slice(&[kind]);
    let to = Bytes::copy_from_slice(&[kind + 1]);
    let decode = |(key, value): (&Bytes, &Bytes)| {
        let (namespace, lane) = std::str::from_utf8(key.get(1..)?).ok()?.split_once('\0')?;
        let settings = match Record::decode(key, value).ok()? {
            Record::Lane(settings) => *settings,
            Record::LaneHome(home) => home.settings,
            _ => return None,
        };
        Some(((namespace.to_owned(), lane.to_owned()), settings))
    };
    dump.live.range(from..to).filter_map(decode).collect()
}
