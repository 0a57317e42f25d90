//! Get, load, scan, range and changes: their scripts' arguments and answers.

use bytes::Bytes;
use redis::Value;

use super::layout::{PartitionKeys, bound, decode_head, encode_head};
use super::link::{CallError, Link};
use super::script::{Call, Scripts};
use crate::contract::{Changes, Head, Page, Range, StoreError, Table, Values};

/// Bytes at which a page ends.
const PAGE_BYTES: usize = 1 << 20;

/// Records that the first page of a load asks for; later ones by the size of what came.
const LOAD_FIRST: usize = 256;
const LOAD_MAX: usize = 8_192;

/// Records at which a page of a scan ends: the server does nothing else meanwhile.
const SCAN_MAX: usize = 4_096;

/// Rows of a page of a range, however many are asked for: the server does nothing else meanwhile.
const RANGE_MAX: usize = 4_096;

pub(super) async fn get(
    link: &Link,
    scripts: &Scripts,
    at: &PartitionKeys,
    keys: &[(Table, Bytes)],
) -> Result<Values, StoreError> {
    let mut order = Vec::with_capacity(keys.len());
    let mut args: Vec<&[u8]> = Vec::with_capacity(keys.len() + 1);
    let mut counts = Vec::with_capacity(12);
    args.push(&[]);
    for wanted in [Table::Live, Table::Cold, Table::Ordered] {
        let before = order.len();
        for (place, (_, key)) in keys.iter().enumerate().filter(|(_, (table, _))| *table == wanted) {
            order.push(place);
            args.push(key);
        }
        counts.extend_from_slice(&u32::try_from(order.len() - before).unwrap_or(u32::MAX).to_be_bytes());
    }
    if let Some(first) = args.first_mut() {
        *first = &counts;
    }
    let call = Call {
        code: &scripts.get,
        keys: &[&at.head, &at.live, &at.cold, &at.index, &at.values],
        args: &args,
    };
    let mut reply = array(call.send(link).await.map_err(failure)?)?.into_iter();
    let head = head(reply.next())?;
    let mut values = vec![None; keys.len()];
    for (place, value) in order.into_iter().zip(reply) {
        if let Some(slot) = values.get_mut(place) {
            *slot = maybe_bytes(value)?;
        }
    }
    Ok(Values { values, head })
}

pub(super) async fn load(
    link: &Link,
    scripts: &Scripts,
    at: &PartitionKeys,
    cursor: Option<Bytes>,
) -> Result<Page, StoreError> {
    let (cursor, run, wanted) = match &cursor {
        None => ("0", "", LOAD_FIRST),
        Some(cursor) => {
            decode_cursor(cursor).ok_or_else(|| StoreError::Fatal("not a cursor of a load".to_owned()))?
        }
    };
    let wanted_text = wanted.to_string();
    let call = Call {
        code: &scripts.load,
        keys: &[&at.head, &at.live],
        args: &[cursor.as_bytes(), run.as_bytes(), wanted_text.as_bytes()],
    };
    let mut reply = array(call.send(link).await.map_err(failure)?)?.into_iter();
    let head = head(reply.next())?;
    let run = bytes(reply.next())?;
    let next = bytes(reply.next())?;
    let rows = rows(array(reply.next().unwrap_or_default())?.into_iter())?;
    let cursor = (&next[..] != b"0").then(|| {
        let size: usize = rows.iter().map(|(key, value)| key.len() + value.len()).sum();
        let wanted = match rows.len() {
            0 => wanted,
            count => (PAGE_BYTES / (size / count).max(1)).clamp(1, LOAD_MAX),
        };
        let mut cursor = wanted.to_string().into_bytes();
        for part in [&run, &next] {
            cursor.push(b' ');
            cursor.extend_from_slice(part);
        }
        cursor.into()
    });
    Ok(Page { rows, cursor, head })
}

pub(super) async fn scan(
    link: &Link,
    scripts: &Scripts,
    at: &PartitionKeys,
    cursor: Option<Bytes>,
) -> Result<Page, StoreError> {
    let (cursor, run) = match &cursor {
        None => ("0", ""),
        Some(cursor) => std::str::from_utf8(cursor)
            .ok()
            .and_then(|cursor| cursor.split_once(' '))
            .ok_or_else(|| StoreError::Fatal("not a cursor of a scan".to_owned()))?,
    };
    let (bytes_wanted, records) = (PAGE_BYTES.to_string(), SCAN_MAX.to_string());
    let call = Call {
        code: &scripts.scan,
        keys: &[&at.head, &at.cold],
        args: &[cursor.as_bytes(), run.as_bytes(), bytes_wanted.as_bytes(), records.as_bytes()],
    };
    let mut reply = array(call.send(link).await.map_err(failure)?)?.into_iter();
    let head = head(reply.next())?;
    let run = bytes(reply.next())?;
    let next = bytes(reply.next())?;
    let rows = rows(reply)?;
    let cursor = (&next[..] != b"0").then(|| [&next[..], b" ", &run].concat().into());
    Ok(Page { rows, cursor, head })
}

pub(super) async fn range(
    link: &Link,
    scripts: &Scripts,
    at: &PartitionKeys,
    range: &Range,
) -> Result<Page, StoreError> {
    let (from, to) = (bound(b'[', &range.from), bound(b'(', &range.to));
    let limit = range.limit.clamp(1, RANGE_MAX).to_string();
    let page = PAGE_BYTES.to_string();
    let bounds: [&[u8]; 3] = if range.reverse { [&to, &from, b"REV"] } else { [&from, &to, b""] };
    let [first, last, direction] = bounds;
    let call = Call {
        code: &scripts.range,
        keys: &[&at.head, &at.index, &at.values],
        args: &[first, last, direction, limit.as_bytes(), page.as_bytes()],
    };
    let mut reply = array(call.send(link).await.map_err(failure)?)?.into_iter();
    let head = head(reply.next())?;
    let more = reply.next() == Some(Value::Int(1));
    let rows = rows(reply)?;
    let cursor = rows.last().filter(|_| more).map(|(key, _)| {
        if range.reverse {
            return key.clone();
        }
        // The least key above this one.
        let mut next = key.to_vec();
        next.push(0);
        next.into()
    });
    Ok(Page { rows, cursor, head })
}

pub(super) async fn changes(
    link: &Link,
    scripts: &Scripts,
    at: &PartitionKeys,
    since: Head,
) -> Result<Changes, StoreError> {
    let (encoded, version) = (encode_head(since), since.version.to_string());
    let call = Call {
        code: &scripts.changes,
        keys: &[&at.head, &at.live, &at.log],
        args: &[&encoded, version.as_bytes()],
    };
    let reply = match call.send(link).await.map_err(failure)? {
        Value::Int(0) => return Ok(Changes::TooOld),
        reply => reply,
    };
    let mut reply = array(reply)?.into_iter();
    let head = head(reply.next())?;
    let mut rows = Vec::with_capacity(reply.len() / 2);
    while let Some(key) = reply.next() {
        rows.push((bytes(Some(key))?, maybe_bytes(reply.next().unwrap_or_default())?));
    }
    Ok(Changes::Since { rows, head })
}

/// A read has no outcome to be unknown: whatever went wrong, it may be tried again.
pub(super) fn failure(error: CallError) -> StoreError {
    StoreError::Unavailable(error.message().to_owned())
}

pub(super) fn array(value: Value) -> Result<Vec<Value>, StoreError> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(odd()),
    }
}

fn decode_cursor(cursor: &[u8]) -> Option<(&str, &str, usize)> {
    let mut parts = std::str::from_utf8(cursor).ok()?.split(' ');
    let (wanted, run, cursor) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
    Some((cursor, run, wanted))
}

fn head(value: Option<Value>) -> Result<Head, StoreError> {
    match value {
        Some(Value::Nil) => Ok(Head::default()),
        Some(Value::BulkString(bytes)) => decode_head(&bytes).ok_or_else(odd),
        _ => Err(odd()),
    }
}

fn rows(mut values: impl ExactSizeIterator<Item = Value>) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
    let mut rows = Vec::with_capacity(values.len() / 2);
    while let Some(key) = values.next() {
        rows.push((bytes(Some(key))?, bytes(values.next())?));
    }
    Ok(rows)
}

fn bytes(value: Option<Value>) -> Result<Bytes, StoreError> {
    maybe_bytes(value.unwrap_or_default())?.ok_or_else(odd)
}

fn maybe_bytes(value: Value) -> Result<Option<Bytes>, StoreError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes.into())),
        Value::SimpleString(text) => Ok(Some(text.into())),
        _ => Err(odd()),
    }
}

fn odd() -> StoreError {
    StoreError::Fatal(
        "a script answered what it never answers; another program may use the same prefix".to_owned(),
    )
}
