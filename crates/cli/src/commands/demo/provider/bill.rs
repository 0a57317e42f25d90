//! The provider's own bill: in memory, and a line of JSON for each call in a file that outlives the process.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::PRICE;
use super::answer::Request;

/// A call that was charged, with all that its answer is made of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Its place on the bill, from 1.
    pub(super) number: u64,
    /// When, in seconds since 1970.
    pub(super) created: i64,
    /// The caller's `Idempotency-Key`.
    pub(super) key: Option<String>,
    pub(super) fingerprint: u64,
    pub(super) model: String,
    pub(super) prompt_tokens: u64,
    pub(super) cached_tokens: u64,
    pub(super) completion_tokens: u64,
    pub(super) is_cut: bool,
    /// What it cost.
    pub(super) usd_micros: u64,
}

/// All of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(in crate::commands::demo) struct Total {
    pub(in crate::commands::demo) calls: u64,
    pub(in crate::commands::demo) usd_micros: u64,
    pub(in crate::commands::demo) input_tokens: u64,
    pub(in crate::commands::demo) output_tokens: u64,
}

/// The bill.
#[derive(Debug)]
pub(super) struct Bill {
    entries: Vec<Entry>,
    /// Places in `entries` by key.
    by_key: BTreeMap<String, usize>,
    total: Total,
    file: File,
    /// Bytes of whole lines in it.
    length: u64,
}

/// Why nothing was charged.
#[derive(Debug, thiserror::Error)]
pub(super) enum BillError {
    /// The key belongs to another request.
    #[error("this `Idempotency-Key` was used for another request")]
    OtherRequest,
    /// What is not on the bill is not done.
    #[error("the bill can't be written: {0}")]
    File(#[from] io::Error),
}

impl Entry {
    /// The id of its answer.
    pub(super) fn id(&self) -> String {
        format!("chatcmpl-{:016x}{:08}", self.fingerprint, self.number)
    }
}

impl Bill {
    /// Continues the bill in this file, which is made if need be. A last line that was cut by a crash was never
    /// answered, and is removed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64)?;
        let mut bill = Self {
            entries: Vec::new(),
            by_key: BTreeMap::new(),
            total: Total::default(),
            file,
            length: whole as u64,
        };
        for line in text.get(..whole).unwrap_or_default().lines() {
            bill.add(serde_json::from_str(line)?);
        }
        Ok(bill)
    }

    /// Charges a call, or finds the charge that was made under the same key.
    pub(super) fn charge(
        &mut self,
        key: Option<&str>,
        request: &Request,
        created: i64,
    ) -> Result<Entry, BillError> {
        if let Some(before) = key.and_then(|key| self.entries.get(*self.by_key.get(key)?)) {
            if before.fingerprint != request.fingerprint {
                return Err(BillError::OtherRequest);
            }
            return Ok(before.clone());
        }
        let entry = Entry {
            number: self.total.calls + 1,
            created,
            key: key.map(str::to_owned),
            fingerprint: request.fingerprint,
            model: request.model.clone(),
            prompt_tokens: request.prompt_tokens,
            cached_tokens: request.cached_tokens,
            completion_tokens: request.completion_tokens,
            is_cut: request.is_cut,
            usd_micros: price(request),
        };
        let mut line = serde_json::to_vec(&entry).map_err(io::Error::from)?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            // Half a line would spoil the next one.
            self.file.set_len(self.length)?;
            return Err(error.into());
        }
        self.length += line.len() as u64;
        self.add(entry.clone());
        Ok(entry)
    }

    /// The sum of all.
    pub(super) fn total(&self) -> Total {
        self.total
    }

    /// Whether a call was made under this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// What each call has cost, by the id of its answer.
    pub(super) fn costs(&self) -> Vec<(String, u64)> {
        self.entries.iter().map(|entry| (entry.id(), entry.usd_micros)).collect()
    }

    /// All of it, for whoever asks.
    pub(super) fn document(&self) -> Value {
        let entries: Vec<Value> = self
            .entries
            .iter()
            .map(|entry| {
                json!({
                    "id": entry.id(),
                    "idempotency_key": entry.key,
                    "created": entry.created,
                    "model": entry.model,
                    "prompt_tokens": entry.prompt_tokens,
                    "cached_tokens": entry.cached_tokens,
                    "completion_tokens": entry.completion_tokens,
                    "usd_micros": entry.usd_micros,
                })
            })
            .collect();
        json!({"total": self.total, "entries": entries})
    }

    fn add(&mut self, entry: Entry) {
        let total = &mut self.total;
        total.calls += 1;
        total.usd_micros += entry.usd_micros;
        total.input_tokens += entry.prompt_tokens;
        total.output_tokens += entry.completion_tokens;
        if let Some(key) = &entry.key {
            self.by_key.insert(key.clone(), self.entries.len());
        }
        self.entries.push(entry);
    }
}

/// Each call is rounded up to a whole millionth of a dollar, as the bill has no smaller unit.
fn price(request: &Request) -> u64 {
    let uncached = request.prompt_tokens - request.cached_tokens;
    let tokens = uncached * PRICE.input
        + request.cached_tokens * PRICE.cached_input
        + request.completion_tokens * PRICE.output;
    tokens.div_ceil(1_000_000) + PRICE.call
}
