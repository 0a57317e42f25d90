//! The backup format's reader: bytes in as they come, frames out, and where it stopped making sense.

use std::fmt;
use std::io::Read;

use bytes::{Bytes, BytesMut};
use stint_store::{KEY_BYTES_MAX, META, PartitionId, VALUE_BYTES_MAX, Write};
use xxhash_rust::xxh3::xxh3_64;

use super::format::{
    FRAME_HEAD_BYTES, Fields, Frame, HEAD_BYTES, HEADER_BYTES, Header, MAGIC, PAYLOAD_BYTES_MAX, SUM_BYTES,
    VERSION, WHOLE, seed, sum,
};

/// Bytes read from a file at once.
const READ_BYTES: usize = 256 << 10;

/// What is wrong with a backup, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The stable code: `backup_damaged`, `backup_truncated`, `backup_format` or `backup_failed`.
    pub code: &'static str,
    /// The byte at which what is wrong begins.
    pub at: u64,
    /// What.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.at, self.what)
    }
}

impl std::error::Error for Damage {}

/// Takes bytes and gives frames. Every frame is checked before anything of it is seen.
#[derive(Default)]
pub struct Decoder {
    buffer: BytesMut,
    /// Where in the backup the buffer begins.
    at: u64,
    header: Option<Header>,
    frames: u64,
    finished: bool,
}

impl Decoder {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that were given out as header and frames so far.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The header; `None` until enough bytes are there.
    pub fn header(&mut self) -> Result<Option<Header>, Damage> {
        if self.header.is_none() && self.buffer.len() >= HEADER_BYTES {
            let bytes = self.buffer.split_to(HEADER_BYTES).freeze();
            self.header = Some(read_header(bytes)?);
            self.at = HEADER_BYTES as u64;
        }
        Ok(self.header)
    }

    /// The next frame and the byte it begins at; `None` until all of it is there.
    pub fn frame(&mut self) -> Result<Option<(u64, Frame)>, Damage> {
        let Some(header) = self.header()? else { return Ok(None) };
        if self.buffer.is_empty() {
            return Ok(None);
        }
        if self.finished {
            return Err(self.damage("more follows the end of the backup"));
        }
        let Some(head) = self.buffer.get(..FRAME_HEAD_BYTES) else { return Ok(None) };
        let &[kind, partition, _, _, a, b, c, d] = head else { return Ok(None) };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > PAYLOAD_BYTES_MAX {
            return Err(
                self.damage(format!("a frame of {length} bytes, where at most {PAYLOAD_BYTES_MAX} are"))
            );
        }
        let whole = FRAME_HEAD_BYTES + length + SUM_BYTES;
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let at = self.at;
        let bytes = self.buffer.split_to(whole).freeze();
        let (framed, summed) = bytes.split_at(whole - SUM_BYTES);
        let wanted = sum(seed(&header), self.frames, framed);
        let damaged = |what: String| Damage { code: "backup_damaged", at, what };
        if summed != wanted.to_le_bytes() {
            let what = format!("the checksum of frame {} is wrong", self.frames);
            return Err(damaged(what));
        }
        let payload = bytes.slice(FRAME_HEAD_BYTES..FRAME_HEAD_BYTES + length);
        let frame = read_frame(kind, partition, self.frames, payload)
            .ok_or_else(|| damaged(format!("frame {} makes no sense", self.frames)))?;
        self.at += whole as u64;
        self.frames += 1;
        self.finished = matches!(frame, Frame::Finished(..) | Frame::Failed(_));
        Ok(Some((at, frame)))
    }

    /// Whether nothing is missing, now that there are no more bytes.
    pub fn end(&mut self) -> Result<(), Damage> {
        let at = self.at + self.buffer.len() as u64;
        if self.finished && self.buffer.is_empty() {
            return Ok(());
        }
        let what = match &self.header {
            None if at == 0 => "the file is empty".to_owned(),
            None if !MAGIC.starts_with(self.buffer.get(..at.min(8) as usize).unwrap_or_default()) => {
                return Err(not_a_backup());
            }
            None => "the file ends within its header".to_owned(),
            Some(_) => format!("the file ends after {} frames, before its last one", self.frames),
        };
        Err(Damage { code: "backup_truncated", at, what })
    }

    fn damage(&self, what: impl Into<String>) -> Damage {
        Damage { code: "backup_damaged", at: self.at, what: what.into() }
    }
}

fn not_a_backup() -> Damage {
    let what = "it does not begin as a backup does".to_owned();
    Damage { code: "backup_format", at: 0, what }
}

fn read_header(bytes: Bytes) -> Result<Header, Damage> {
    if !bytes.starts_with(MAGIC) {
        return Err(not_a_backup());
    }
    let damaged = |what: &str| Damage { code: "backup_damaged", at: 0, what: what.to_owned() };
    let (body, summed) = bytes.split_at(HEADER_BYTES - SUM_BYTES);
    if summed != xxh3_64(body).to_le_bytes() {
        return Err(damaged("the checksum of the header is wrong"));
    }
    let mut fields = Fields(bytes.slice(MAGIC.len()..HEADER_BYTES - SUM_BYTES));
    let mut read = || {
        let version = fields.u32()?;
        let (store_format, partitions, level) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let id = [fields.u64()?.to_le_bytes(), fields.u64()?.to_le_bytes()].concat().try_into().ok()?;
        let began_at = fields.i64()?;
        Some((version, Header { store_format, partitions, level, id, began_at }))
    };
    let (version, header) = read().ok_or_else(|| damaged("the header makes no sense"))?;
    if version != VERSION {
        let what = format!("the backup has format {version}, this build reads {VERSION}");
        return Err(Damage { code: "backup_format", at: 8, what });
    }
    Ok(header)
}

fn read_frame(kind: u8, partition: u8, frames: u64, payload: Bytes) -> Option<Frame> {
    let of = (partition <= META.0).then_some(PartitionId(partition));
    let mut fields = Fields(payload);
    let frame = match kind {
        b'B' => Frame::Begin(of?, fields.head()?),
        b'R' => Frame::Rows(of?, fields.u64()?, rows(&mut fields, false)?),
        b'W' => Frame::Writes(of?, fields.u64()?, rows(&mut fields, true)?),
        b'A' => Frame::Abandoned(of?, text(&mut fields)?),
        b'E' => Frame::End(of?, fields.head()?, fields.counts()?),
        b'F' if partition == WHOLE => {
            if fields.u64()? != frames {
                return None;
            }
            Frame::Finished(fields.u32()?, fields.counts()?, fields.i64()?)
        }
        b'X' if partition == WHOLE => Frame::Failed(text(&mut fields)?),
        _ => return None,
    };
    fields.0.is_empty().then_some(frame)
}

fn rows(fields: &mut Fields, deletes: bool) -> Option<Vec<Write>> {
    let mut rows = Vec::new();
    while !fields.0.is_empty() {
        let row = fields.row()?;
        let value_fits = row.value.as_ref().map_or(deletes, |value| value.len() <= VALUE_BYTES_MAX);
        if row.key.is_empty() || row.key.len() > KEY_BYTES_MAX || !value_fits {
            return None;
        }
        rows.push(row);
    }
    Some(rows)
}

fn text(fields: &mut Fields) -> Option<String> {
    let bytes = std::mem::take(&mut fields.0);
    String::from_utf8(bytes.to_vec()).ok()
}

const _: () =
    assert!(PAYLOAD_BYTES_MAX > super::format::PAYLOAD_BYTES + VALUE_BYTES_MAX + KEY_BYTES_MAX + HEAD_BYTES);

/// Why a backup could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It can't be read at all.
    #[error("the backup can't be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is damaged, cut off, or something else.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// Frames of a file or another source of bytes.
pub struct Frames<R> {
    source: R,
    decoder: Decoder,
    buffer: Vec<u8>,
    ended: bool,
}

impl<R: Read> Frames<R> {
    /// Begins to read.
    pub fn new(source: R) -> Self {
        Self { source, decoder: Decoder::default(), buffer: vec![0; READ_BYTES], ended: false }
    }

    /// The header.
    pub fn header(&mut self) -> Result<Header, ReadError> {
        loop {
            if let Some(header) = self.decoder.header()? {
                return Ok(header);
            }
            self.more()?;
        }
    }

    /// The next frame and the byte it begins at; `None` after the last.
    pub fn read(&mut self) -> Result<Option<(u64, Frame)>, ReadError> {
        loop {
            if let Some(frame) = self.decoder.frame()? {
                return Ok(Some(frame));
            }
            if self.ended {
                self.decoder.end()?;
                return Ok(None);
            }
            self.more()?;
        }
    }

    /// Bytes read and understood.
    pub fn position(&self) -> u64 {
        self.decoder.position()
    }

    fn more(&mut self) -> Result<(), ReadError> {
        if self.ended {
            self.decoder.end()?;
        }
        match self.source.read(&mut self.buffer) {
            Ok(0) => self.ended = true,
            Ok(count) => self.decoder.push(self.buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
