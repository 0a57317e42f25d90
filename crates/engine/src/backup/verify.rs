//! Whether a backup is whole: every frame, their order, and their counts.

use std::collections::BTreeMap;
use std::io::Read;

use stint_store::{FORMAT, Head, META, PARTITIONS, PartitionId};

use super::decode::{Damage, Decoder, Frames, ReadError};
use super::format::{Counts, Frame, Header};

/// A partition's valid section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Section {
    /// The byte at which it begins.
    pub at: u64,
    /// What the partition's state is the state of.
    pub head: Head,
    /// How much it holds.
    pub counts: Counts,
}

/// What a whole backup holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contents {
    /// Its header.
    pub header: Header,
    /// The section of each partition, the one for facts of the whole store included.
    pub sections: BTreeMap<PartitionId, Section>,
    /// The sum of their counts.
    pub counts: Counts,
    /// Sections that had to be begun again.
    pub abandoned: u32,
    /// When it was ended, ms since 1970 UTC.
    pub ended_at: i64,
    /// Its length.
    pub bytes: u64,
}

/// Checks frames as they pass.
#[derive(Default)]
pub(super) struct Verifier {
    open: Option<Open>,
    sections: BTreeMap<PartitionId, Section>,
    sum: Counts,
    abandoned: u32,
    finished: Option<i64>,
}

/// The section under way.
struct Open {
    partition: PartitionId,
    at: u64,
    version: u64,
    counts: Counts,
}

impl Verifier {
    /// Checks the next frame.
    pub(super) fn frame(&mut self, at: u64, frame: &Frame) -> Result<(), Damage> {
        let damaged = |what: String| Damage { code: "backup_damaged", at, what };
        match frame {
            Frame::Begin(partition, head) => {
                if self.open.is_some() || self.sections.contains_key(partition) {
                    return Err(damaged(format!("partition {} begins out of place", partition.0)));
                }
                let open =
                    Open { partition: *partition, at, version: head.version, counts: Counts::default() };
                self.open = Some(open);
            }
            Frame::Rows(partition, version, rows) | Frame::Writes(partition, version, rows) => {
                let teed = matches!(frame, Frame::Writes(..));
                let open = self.open_section(at, *partition)?;
                if *version < open.version || teed && *version > open.version + 1 {
                    return Err(damaged(format!(
                        "partition {} goes from version {} to {version}",
                        partition.0, open.version
                    )));
                }
                open.version = *version;
                rows.iter().for_each(|row| open.counts.add(teed, row));
            }
            Frame::Abandoned(partition, _) => {
                self.open_section(at, *partition)?;
                self.open = None;
                self.abandoned += 1;
            }
            Frame::End(partition, head, counts) => {
                let open = self.open_section(at, *partition)?;
                if head.version < open.version || *counts != open.counts {
                    return Err(damaged(format!("partition {} is not all there", partition.0)));
                }
                let section = Section { at: open.at, head: *head, counts: *counts };
                self.open = None;
                self.sum.sum(*counts);
                self.sections.insert(*partition, section);
            }
            Frame::Finished(sections, counts, ended_at) => {
                let all = usize::from(META.0) + 1;
                let whole = self.open.is_none() && self.sections.len() == all && *sections as usize == all;
                if !whole || *counts != self.sum {
                    return Err(damaged("the backup is not all there".to_owned()));
                }
                self.finished = Some(*ended_at);
            }
            Frame::Failed(reason) => {
                let what = format!("the backup could not be completed when it was made: {reason}");
                return Err(Damage { code: "backup_failed", at, what });
            }
        }
        Ok(())
    }

    /// Partitions whose section is complete.
    pub(super) fn partitions_done(&self) -> usize {
        self.sections.len()
    }

    /// What the complete sections hold.
    pub(super) fn counts(&self) -> Counts {
        self.sum
    }

    fn open_section(&mut self, at: u64, partition: PartitionId) -> Result<&mut Open, Damage> {
        self.open.as_mut().filter(|open| open.partition == partition).ok_or_else(|| Damage {
            code: "backup_damaged",
            at,
            what: format!("something of partition {} stands outside its section", partition.0),
        })
    }

    fn contents(self, header: Header, bytes: u64) -> Result<Contents, Damage> {
        let Some(ended_at) = self.finished else {
            let what = "the file ends before its last frame".to_owned();
            return Err(Damage { code: "backup_truncated", at: bytes, what });
        };
        let Self { sections, sum, abandoned, .. } = self;
        Ok(Contents { header, sections, counts: sum, abandoned, ended_at, bytes })
    }
}

/// Checks that this build can put such a backup into a store.
fn check_header(header: &Header) -> Result<(), Damage> {
    let known = [
        ("store format", header.store_format, FORMAT, header.store_format != FORMAT),
        (
            "number of partitions",
            header.partitions,
            u32::from(PARTITIONS),
            header.partitions != u32::from(PARTITIONS),
        ),
        ("level", header.level, stint_core::LEVEL, header.level > stint_core::LEVEL),
    ];
    match known.into_iter().find(|(.., wrong)| *wrong) {
        None => Ok(()),
        Some((what, found, wanted, _)) => {
            let what = format!("the backup has {what} {found}, this build knows {wanted}");
            Err(Damage { code: "backup_format", at: 8, what })
        }
    }
}

/// Reads a backup to its end and checks all of it. `seen` hears of the bytes read so far.
pub fn verify<R: Read>(source: R, mut seen: impl FnMut(u64)) -> Result<Contents, ReadError> {
    let mut frames = Frames::new(source);
    let header = frames.header()?;
    check_header(&header)?;
    let mut verifier = Verifier::default();
    while let Some((at, frame)) = frames.read()? {
        verifier.frame(at, &frame)?;
        seen(frames.position());
    }
    Ok(verifier.contents(header, frames.position())?)
}

/// Checks a backup while it arrives in pieces.
#[derive(Default)]
pub struct Arriving {
    decoder: Decoder,
    verifier: Verifier,
}

impl Arriving {
    /// Checks what the next piece completes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        self.decoder.push(bytes);
        while let Some((at, frame)) = self.decoder.frame()? {
            self.verifier.frame(at, &frame)?;
        }
        Ok(())
    }

    /// Checks that nothing is missing.
    pub fn end(mut self) -> Result<Contents, Damage> {
        let header = self.decoder.header()?;
        self.decoder.end()?;
        let header = header.ok_or_else(|| Damage {
            code: "backup_truncated",
            at: 0,
            what: "the file is empty".to_owned(),
        })?;
        self.verifier.contents(header, self.decoder.position())
    }

    /// What has arrived so far.
    pub fn so_far(&self) -> (usize, Counts) {
        (self.verifier.partitions_done(), self.verifier.counts())
    }
}
