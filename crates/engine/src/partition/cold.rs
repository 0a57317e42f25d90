//! What a partition knows of cold records without asking the store: what was written lately, and what was just read.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher};

use bytes::Bytes;
use stint_core::{ColdRead, ColdReads, Key, Table, Txn};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Records kept at most.
const RECORDS_MAX: usize = 2_048;

/// Bytes of keys and values kept at most.
const BYTES_MAX: usize = 256 << 10;

/// A map that is only ever looked up, never walked; its hash is quick, and seeded because callers choose step keys.
type KeyMap<V> = HashMap<Key, V, Seeded>;

#[derive(Clone, Copy, Default)]
pub(super) struct Seeded(u64);

/// See [`KeyMap`].
pub(super) struct SeededHasher(u64);

impl BuildHasher for Seeded {
    type Hasher = SeededHasher;

    fn build_hasher(&self) -> SeededHasher {
        SeededHasher(self.0)
    }
}

impl Hasher for SeededHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// Lengths and tables: what follows tells keys apart well enough.
    fn write_usize(&mut self, number: usize) {
        self.0 = self.0.wrapping_add(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.0 = self.0.wrapping_add(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Cold values as of the committed head, for keys that were written lately, absence included.
pub(super) struct Recent {
    values: KeyMap<(u64, Option<Bytes>)>,
    /// Keys in the order they were written; an entry whose number is not the value's is out of date.
    order: VecDeque<(u64, Key)>,
    written: u64,
    bytes: usize,
}

impl Recent {
    /// An empty one, hashing by this seed.
    pub(super) fn new(seed: u64) -> Self {
        Self { values: KeyMap::with_hasher(Seeded(seed)), order: VecDeque::new(), written: 0, bytes: 0 }
    }

    /// Takes a committed write.
    pub(super) fn wrote(&mut self, key: &Key, value: &Option<Bytes>) {
        if !is_read_by_key(key) {
            return;
        }
        self.written += 1;
        self.bytes += weight(key, value);
        if let Some((_, old)) = self.values.insert(key.clone(), (self.written, value.clone())) {
            self.bytes -= weight(key, &old);
        }
        self.order.push_back((self.written, key.clone()));
        while self.values.len() > RECORDS_MAX || self.bytes > BYTES_MAX || self.order.len() > 4 * RECORDS_MAX
        {
            let Some((number, key)) = self.order.pop_front() else { break };
            if self.values.get(&key).is_some_and(|(last, _)| *last == number)
                && let Some((_, value)) = self.values.remove(&key)
            {
                self.bytes -= weight(&key, &value);
            }
        }
    }

    /// What is known of a key.
    pub(super) fn get(&self, key: &Key) -> Option<&Option<Bytes>> {
        self.values.get(key).map(|(_, value)| value)
    }

    /// Forgets everything: another node has written.
    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.order.clear();
        self.bytes = 0;
    }
}

/// Values read for commands that wait.
pub(super) type Fetched = KeyMap<Option<Bytes>>;

/// Everything known, newest first: the batch in flight, what was just read, what was written lately.
pub(super) struct Known<'a> {
    pub(super) in_flight: Option<&'a Txn>,
    pub(super) fetched: &'a Fetched,
    pub(super) recent: &'a Recent,
}

impl Known<'_> {
    pub(super) fn find(&self, key: &Key) -> Option<&Option<Bytes>> {
        self.in_flight
            .and_then(|txn| txn.cold(key))
            .or_else(|| self.fetched.get(key))
            .or_else(|| self.recent.get(key))
    }
}

impl ColdReads for Known<'_> {
    fn read(&self, key: &Key) -> ColdRead {
        match self.find(key) {
            Some(Some(value)) => ColdRead::Present(value.clone()),
            Some(None) => ColdRead::Absent,
            None => ColdRead::Unread,
        }
    }
}

/// Index records are only ever read by range.
fn is_read_by_key(key: &Key) -> bool {
    key.table == Table::Cold || key.bytes.first() == Some(&b'p')
}

fn weight(key: &Key, value: &Option<Bytes>) -> usize {
    key.bytes.len() + value.as_ref().map_or(0, Bytes::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> Key {
        Key { table: Table::Cold, bytes: Bytes::copy_from_slice(&n.to_be_bytes()) }
    }

    #[test]
    fn the_oldest_writes_are_forgotten_first() {
        let mut recent = Recent::new(7);
        let value = |n: u32| Some(Bytes::copy_from_slice(&n.to_be_bytes()));
        for n in 0..RECORDS_MAX as u32 {
            recent.wrote(&key(n), &value(n));
        }
        recent.wrote(&key(0), &None);
        recent.wrote(&key(u32::MAX), &value(7));
        assert_eq!(recent.get(&key(1)), None);
        assert_eq!(recent.get(&key(0)), Some(&None));
        assert_eq!(recent.get(&key(u32::MAX)), Some(&value(7)));
        assert_eq!(recent.values.len(), RECORDS_MAX);
        assert_eq!(recent.bytes, recent.values.iter().map(|(k, (_, v))| weight(k, v)).sum::<usize>());
    }

    #[test]
    fn bytes_are_bounded_and_one_key_written_over_and_over_does_not_grow() {
        let mut recent = Recent::new(7);
        for n in 0..100 {
            recent.wrote(&key(n), &Some(Bytes::from(vec![0; 100 << 10])));
        }
        assert!(recent.bytes <= BYTES_MAX && recent.get(&key(99)).is_some());
        for _ in 0..100_000 {
            recent.wrote(&key(7), &None);
        }
        assert!(recent.order.len() <= 4 * RECORDS_MAX);
    }

    #[test]
    fn what_is_only_ranged_over_is_not_kept() {
        let mut recent = Recent::new(7);
        let index = Key { table: Table::Ordered, bytes: Bytes::from_static(b"e1") };
        recent.wrote(&index, &Some(Bytes::new()));
        assert_eq!(recent.get(&index), None);
    }
}
