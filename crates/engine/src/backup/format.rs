//! The backup format, byte for byte: `docs/BACKUP.md` is its description, this file its writer.
//!
//! A header, then frames. Every frame carries a checksum over itself, its number and the backup's id, so a frame that is
//! damaged, missing, repeated or another backup's is seen where it stands. All numbers are little-endian.

use bytes::{BufMut, Bytes, BytesMut};
use stint_store::{Head, NodeId, PartitionId, Table, Write};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// What every backup begins with.
pub(super) const MAGIC: &[u8; 8] = b"stintBK1";

/// Version of the format.
pub(super) const VERSION: u32 = 1;

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 56;

/// Bytes of a frame before its payload.
pub(super) const FRAME_HEAD_BYTES: usize = 8;

/// Bytes of the checksum behind it.
pub(super) const SUM_BYTES: usize = 8;

/// A payload ends at the first row beyond so many bytes.
pub(super) const PAYLOAD_BYTES: usize = 1 << 20;

/// No payload is longer: one row may come on top.
pub(super) const PAYLOAD_BYTES_MAX: usize = 8 << 20;

/// Bytes of a head.
pub(super) const HEAD_BYTES: usize = 44;

/// The length that stands for "deleted".
const DELETED: u32 = u32::MAX;

/// The partition of frames that are about the whole backup.
pub(super) const WHOLE: u8 = u8::MAX;

/// What a backup says of itself before anything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Format of the store it was made from.
    pub store_format: u32,
    /// That store's number of partitions, without the one for facts of the whole store.
    pub partitions: u32,
    /// The level that its maker knows.
    pub level: u32,
    /// Random; two backups have different ones.
    pub id: [u8; 16],
    /// When it was begun, ms since 1970 UTC.
    pub began_at: i64,
}

impl Header {
    /// The id in hexadecimal digits.
    pub fn id_text(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.id))
    }
}

/// How much a section or a backup holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Records read from the tables.
    pub rows: u64,
    /// Puts and deletes committed meanwhile.
    pub writes: u64,
    /// Bytes of keys and values of both.
    pub bytes: u64,
}

impl Counts {
    /// Counts one more row or write.
    pub(super) fn add(&mut self, teed: bool, write: &Write) {
        if teed {
            self.writes += 1;
        } else {
            self.rows += 1;
        }
        self.bytes += (write.key.len() + write.value.as_ref().map_or(0, Bytes::len)) as u64;
    }

    /// Counts another section.
    pub(super) fn sum(&mut self, other: Self) {
        self.rows += other.rows;
        self.writes += other.writes;
        self.bytes += other.bytes;
    }
}

/// One frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// A partition's section begins; the partition stood here.
    Begin(PartitionId, Head),
    /// Records as they stood at this version.
    Rows(PartitionId, u64, Vec<Write>),
    /// What the commit of this version put and deleted; a large one fills several frames.
    Writes(PartitionId, u64, Vec<Write>),
    /// The section counts for nothing, for this reason; the partition begins again later.
    Abandoned(PartitionId, String),
    /// The section is complete, and is the partition's state at this head.
    End(PartitionId, Head, Counts),
    /// The backup is complete: sections, sum of their counts, and when it was ended.
    Finished(u32, Counts, i64),
    /// The backup could not be completed.
    Failed(String),
}

impl Frame {
    fn kind(&self) -> u8 {
        match self {
            Self::Begin(..) => b'B',
            Self::Rows(..) => b'R',
            Self::Writes(..) => b'W',
            Self::Abandoned(..) => b'A',
            Self::End(..) => b'E',
            Self::Finished(..) => b'F',
            Self::Failed(_) => b'X',
        }
    }

    fn partition(&self) -> u8 {
        match self {
            Self::Begin(p, ..)
            | Self::Rows(p, ..)
            | Self::Writes(p, ..)
            | Self::Abandoned(p, ..)
            | Self::End(p, ..) => p.0,
            Self::Finished(..) | Self::Failed(_) => WHOLE,
        }
    }
}

/// Writes a backup, frame by frame.
pub(super) struct Writer {
    seed: u64,
    frames: u64,
}

impl Writer {
    /// The writer of this backup, and the header's bytes.
    pub(super) fn begin(header: &Header) -> (Self, Bytes) {
        let mut bytes = BytesMut::with_capacity(HEADER_BYTES);
        bytes.put_slice(MAGIC);
        bytes.put_u32_le(VERSION);
        bytes.put_u32_le(header.store_format);
        bytes.put_u32_le(header.partitions);
        bytes.put_u32_le(header.level);
        bytes.put_slice(&header.id);
        bytes.put_i64_le(header.began_at);
        let sum = xxh3_64(&bytes);
        bytes.put_u64_le(sum);
        (Self { seed: seed(header), frames: 0 }, bytes.freeze())
    }

    /// The bytes of the next frame.
    pub(super) fn frame(&mut self, frame: &Frame) -> Bytes {
        let mut bytes = BytesMut::with_capacity(256);
        bytes.put_u8(frame.kind());
        bytes.put_u8(frame.partition());
        bytes.put_u16_le(0);
        bytes.put_u32_le(0);
        match frame {
            Frame::Begin(_, head) => put_head(&mut bytes, head),
            Frame::Rows(_, version, rows) | Frame::Writes(_, version, rows) => {
                bytes.put_u64_le(*version);
                rows.iter().for_each(|row| put_row(&mut bytes, row));
            }
            Frame::Abandoned(_, reason) | Frame::Failed(reason) => bytes.put_slice(reason.as_bytes()),
            Frame::End(_, head, counts) => {
                put_head(&mut bytes, head);
                put_counts(&mut bytes, counts);
            }
            Frame::Finished(sections, counts, ended_at) => {
                bytes.put_u64_le(self.frames);
                bytes.put_u32_le(*sections);
                put_counts(&mut bytes, counts);
                bytes.put_i64_le(*ended_at);
            }
        }
        let length = u32::try_from(bytes.len() - FRAME_HEAD_BYTES).unwrap_or(u32::MAX);
        if let Some(place) = bytes.get_mut(4..FRAME_HEAD_BYTES) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        let sum = sum(self.seed, self.frames, &bytes);
        bytes.put_u64_le(sum);
        self.frames += 1;
        bytes.freeze()
    }
}

/// What a backup's checksums begin with.
pub(super) fn seed(header: &Header) -> u64 {
    xxh3_64(&header.id)
}

/// Checksum of the frame of this number.
pub(super) fn sum(seed: u64, number: u64, frame: &[u8]) -> u64 {
    xxh3_64_with_seed(frame, seed.wrapping_add(number))
}

fn put_head(bytes: &mut BytesMut, head: &Head) {
    for number in [head.timeline, head.version, head.nonce, head.committer.0] {
        bytes.put_u64_le(number);
    }
    bytes.put_i64_le(head.now_ms);
    bytes.put_u32_le(head.level);
}

fn put_counts(bytes: &mut BytesMut, counts: &Counts) {
    for number in [counts.rows, counts.writes, counts.bytes] {
        bytes.put_u64_le(number);
    }
}

fn put_row(bytes: &mut BytesMut, row: &Write) {
    bytes.put_u8(match row.table {
        Table::Live => 0,
        Table::Cold => 1,
        Table::Ordered => 2,
    });
    // A store takes no longer keys and values, so both lengths fit.
    bytes.put_u16_le(u16::try_from(row.key.len()).unwrap_or(u16::MAX));
    let length = row.value.as_ref().map_or(DELETED, |value| u32::try_from(value.len()).unwrap_or(DELETED));
    bytes.put_u32_le(length);
    bytes.put_slice(&row.key);
    bytes.put_slice(row.value.as_deref().unwrap_or_default());
}

/// Reads numbers and texts from the front of a payload.
pub(super) struct Fields(pub(super) Bytes);

impl Fields {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.bytes(N)?;
        taken[..].try_into().ok()
    }

    fn bytes(&mut self, length: usize) -> Option<Bytes> {
        (length <= self.0.len()).then(|| self.0.split_to(length))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    pub(super) fn head(&mut self) -> Option<Head> {
        Some(Head {
            timeline: self.u64()?,
            version: self.u64()?,
            nonce: self.u64()?,
            committer: NodeId(self.u64()?),
            now_ms: self.i64()?,
            level: self.u32()?,
        })
    }

    pub(super) fn counts(&mut self) -> Option<Counts> {
        Some(Counts { rows: self.u64()?, writes: self.u64()?, bytes: self.u64()? })
    }

    pub(super) fn row(&mut self) -> Option<Write> {
        let [table] = self.take()?;
        let table = match table {
            0 => Table::Live,
            1 => Table::Cold,
            2 => Table::Ordered,
            _ => return None,
        };
        let key_length = u16::from_le_bytes(self.take()?);
        let value_length = self.u32()?;
        let key = self.bytes(usize::from(key_length))?;
        let value = match value_length {
            DELETED => None,
            length => Some(self.bytes(usize::try_from(length).ok()?)?),
        };
        Some(Write { table, key, value })
    }
}
