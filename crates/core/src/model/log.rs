//! An execution's log: lines that its attempts wrote, in records of their own, and how much there is of it.

use minicbor::{Decode, Encode};

use crate::Millis;
use crate::ids::RequestId;

/// Lines kept of one execution, over all attempts and replays.
pub const LOG_LINES_MAX: u32 = 10_000;

/// Bytes of lines kept of one execution: 1 MiB.
pub const LOG_BYTES_MAX: u32 = 1 << 20;

/// Calls that are recognised when they are sent again. A worker process speaks one after the other; this many others
/// may speak beside it.
const CALLS_MAX: usize = 8;

/// How much an execution has logged. It stands in the execution's record, so that a call reads nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct LogSize {
    /// Records, numbered from 0 without gaps.
    #[n(0)]
    pub records: u32,
    /// Lines in them.
    #[n(1)]
    pub lines: u32,
    /// Bytes of the lines.
    #[n(2)]
    pub bytes: u32,
    /// Marks of the last calls that had an id.
    #[n(3)]
    calls: Vec<u32>,
}

impl LogSize {
    /// Whether the log holds what this call brought.
    pub fn has_taken(&self, call: &RequestId) -> bool {
        self.calls.contains(&mark(call))
    }

    /// Makes room for these lines, or says that there is none.
    pub(crate) fn add(&mut self, lines: &[String]) -> bool {
        let count = u32::try_from(lines.len()).ok().and_then(|count| self.lines.checked_add(count));
        let bytes = lines.iter().map(String::len).sum::<usize>();
        let bytes = u32::try_from(bytes).ok().and_then(|bytes| self.bytes.checked_add(bytes));
        match (count.filter(|count| *count <= LOG_LINES_MAX), bytes.filter(|bytes| *bytes <= LOG_BYTES_MAX)) {
            (Some(count), Some(bytes)) => {
                (self.lines, self.bytes, self.records) = (count, bytes, self.records + 1);
                true
            }
            _ => false,
        }
    }

    /// Remembers a call.
    pub(crate) fn note(&mut self, call: &RequestId) {
        if self.calls.len() >= CALLS_MAX {
            self.calls.remove(0);
        }
        self.calls.push(mark(call));
    }
}

fn mark(call: &RequestId) -> u32 {
    call.0.iter().take(4).fold(0, |mark, byte| mark << 8 | u32::from(*byte))
}

/// The lines of one call.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct LogRecord {
    /// When they came.
    #[n(0)]
    pub at: Millis,
    /// Which attempt wrote them.
    #[n(1)]
    pub attempt: u32,
    /// The lines, in order.
    #[n(2)]
    pub lines: Vec<String>,
}

impl LogRecord {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        super::record::to_vec(self)
    }
}
