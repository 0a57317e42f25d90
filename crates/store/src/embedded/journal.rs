//! Cuts a torn tail off the journal, where the engine below would refuse to open.
//!
//! When power is lost while a group is forced to disk, any of its pages may be missing. Most such tails the engine
//! drops by itself, but one whose frame is whole and whose middle is not fails its checksum, and the engine stops
//! there. Nothing in that group was confirmed, and no group is written before the last one is on disk: so exactly
//! one broken batch, with nothing whole behind it, is a torn tail, and anything else is damage.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const TRAILER: &[u8; 4] = b"FJL\x03";

/// Compression of an item's value: none, the only one we write.
const UNCOMPRESSED: u8 = 0;

/// Cuts the tail of the newest journal in `data`, if it is torn and no more than that; the bytes cut off.
pub(super) fn cut_torn_tail(data: &Path) -> std::io::Result<Option<u64>> {
    let Some(path) = newest(data)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let mut file = File::options().read(true).write(true).open(&path)?;
    file.read_to_end(&mut bytes)?;
    let whole = whole_batches(&bytes);
    let tail = bytes.get(whole..).unwrap_or_default();
    if tail.iter().all(|byte| *byte == 0) || any_batch_in(tail) {
        return Ok(None);
    }
    file.set_len(whole as u64)?;
    file.sync_all()?;
    Ok(Some(tail.len() as u64))
}

/// The journal that was written to last.
fn newest(data: &Path) -> std::io::Result<Option<PathBuf>> {
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in std::fs::read_dir(data)? {
        let path = entry?.path();
        let number = match (path.extension(), path.file_stem().and_then(|stem| stem.to_str())) {
            (Some(extension), Some(stem)) if extension == "jnl" => stem.parse::<u64>().ok(),
            _ => None,
        };
        if let Some(number) = number
            && newest.as_ref().is_none_or(|(most, _)| number > *most)
        {
            newest = Some((number, path));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// Where the whole batches at the beginning end.
fn whole_batches(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(length) = bytes.get(at..).and_then(batch_length) {
        at += length;
    }
    at
}

/// Whether a whole batch begins anywhere in these bytes.
fn any_batch_in(bytes: &[u8]) -> bool {
    let mut starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == START);
    starts.any(|(at, _)| bytes.get(at..).and_then(batch_length).is_some())
}

/// The length of the whole batch that begins here: its start, as many items as that says, its end with their
/// checksum.
fn batch_length(bytes: &[u8]) -> Option<usize> {
    let mut cursor = Cursor { rest: bytes };
    if cursor.byte()? != START {
        return None;
    }
    let count = u32::from_le_bytes(cursor.array()?);
    cursor.take(size_of::<u64>())?;
    let mut sum = Xxh3::new();
    for _ in 0..count {
        let item = cursor.rest;
        if cursor.byte()? != ITEM {
            return None;
        }
        cursor.byte()?;
        if cursor.byte()? != UNCOMPRESSED {
            return None;
        }
        cursor.take(size_of::<u64>())?;
        let key = usize::from(u16::from_le_bytes(cursor.array()?));
        let value = u32::from_le_bytes(cursor.array()?);
        if u32::from_le_bytes(cursor.array()?) != value {
            return None;
        }
        cursor.take(key)?;
        cursor.take(usize::try_from(value).ok()?)?;
        sum.update(item.get(..item.len() - cursor.rest.len())?);
    }
    if cursor.byte()? != END
        || u64::from_le_bytes(cursor.array()?) != sum.digest()
        || cursor.array()? != *TRAILER
    {
        return None;
    }
    Some(bytes.len() - cursor.rest.len())
}

/// Reads on, or ends.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fjall::PersistMode;

    /// A database of some batches, and where each batch ends in its journal.
    fn written(directory: &Path) -> (PathBuf, Vec<usize>) {
        let data = directory.join("data");
        let (database, tables) = super::super::tables::open(&data, 1 << 20).unwrap();
        for n in 0..6_u8 {
            let mut batch = database.batch().durability(Some(PersistMode::SyncData));
            batch.insert(&tables.cold, [n], vec![n.max(1); 20_000]);
            batch.insert(&tables.heads, [n], b"head");
            batch.remove(&tables.live, b"gone");
            batch.commit().unwrap();
        }
        drop((database, tables));
        let path = newest(&data).unwrap().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (mut at, mut ends) = (0, Vec::new());
        while let Some(length) = batch_length(&bytes[at..]) {
            at += length;
            ends.push(at);
        }
        assert_eq!(ends.len(), 6, "our reading of a journal is the engine's writing");
        (data, ends)
    }

    fn damage(data: &Path, from: usize, length: usize) {
        let path = newest(data).unwrap().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[from..from + length].fill(0);
        std::fs::write(path, bytes).unwrap();
    }

    fn batches(data: &Path) -> Option<usize> {
        let (_database, tables) = super::super::tables::open(data, 1 << 20).ok()?;
        Some(tables.cold.iter().count())
    }

    #[test]
    fn a_page_missing_in_the_last_batch_is_a_torn_tail() {
        let directory = tempfile::tempdir().unwrap();
        let (data, ends) = written(directory.path());
        assert_eq!(cut_torn_tail(&data).unwrap(), None, "nothing is cut off a whole journal");
        damage(&data, ends[4] + 8_000, 4_096);
        assert_eq!(batches(&data), None, "the engine refuses it");
        assert!(cut_torn_tail(&data).unwrap().is_some());
        assert_eq!(batches(&data), Some(5));
        assert_eq!(cut_torn_tail(&data).unwrap(), None);
    }

    #[test]
    fn a_page_missing_before_whole_batches_is_damage() {
        let directory = tempfile::tempdir().unwrap();
        let (data, ends) = written(directory.path());
        damage(&data, ends[2] + 8_000, 4_096);
        assert_eq!(cut_torn_tail(&data).unwrap(), None);
        assert_eq!(batches(&data), None);
    }

    /// Whichever pages of the last batch are missing: the batches before it open.
    #[test]
    fn any_torn_tail_opens_with_all_that_was_confirmed() {
        let directory = tempfile::tempdir().unwrap();
        let (data, ends) = written(directory.path());
        let path = newest(&data).unwrap().unwrap();
        let mut good = std::fs::read(&path).unwrap();
        let (from, to) = (ends[4], ends[5]);
        good.truncate(to + 10_000);
        for pages in 1..(1_u32 << 5) {
            let mut torn = good.clone();
            for page in (0..5).filter(|page| pages >> page & 1 == 1) {
                let begin = (from / 4_096 + page) * 4_096;
                torn[begin.max(from)..(begin + 4_096).min(to)].fill(0);
            }
            std::fs::write(&path, &torn).unwrap();
            let opened = batches(&data).or_else(|| {
                cut_torn_tail(&data).unwrap();
                batches(&data)
            });
            assert_eq!(opened, Some(5), "missing pages {pages:05b}");
        }
    }
}
