//! What the demo's workers are given and give back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stint::{Context, Failure};

use super::count::{self, Class, Counts, Stamp};

/// The handlers' kind.
pub(super) const KIND: &str = "count-file";

/// One file, relative to the folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Input {
    pub(super) path: String,
}

/// What one file turned out to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Counted {
    pub(super) class: Class,
    pub(super) counts: Counts,
    /// The file's stamps when it was read: more than one if it changed between two steps.
    pub(super) stamps: Vec<Option<Stamp>>,
    /// Steps whose result came from the journal of an earlier attempt.
    #[serde(default)]
    pub(super) from_journal: u32,
}

/// A step's journaled result.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Step {
    count: u64,
    stamp: Option<Stamp>,
}

/// The handler: reads the file, then counts in three journaled steps.
pub(super) async fn handle(ctx: &Context, file: std::path::PathBuf) -> Result<Counted, Failure> {
    let read = tokio::task::spawn_blocking(move || count::read(&file)).await?;
    if read.class != Class::Text {
        return Ok(Counted {
            class: read.class,
            counts: Counts::default(),
            stamps: vec![read.stamp],
            from_journal: 0,
        });
    }
    let text: Arc<str> = read.text.into();
    let mut ran = 0;
    let mut step = async |key: &str, count: fn(&str) -> u64| {
        let (text, stamp) = (Arc::clone(&text), read.stamp);
        let ran = &mut ran;
        ctx.step(key, || async move {
            *ran += 1;
            let count = tokio::task::spawn_blocking(move || count(&text)).await?;
            Ok(Step { count, stamp })
        })
        .await
    };
    let lines = step("lines", count::lines).await?;
    let words = step("words", count::words).await?;
    let tokens = step("tokens", count::tokens).await?;
    let mut stamps = vec![lines.stamp, words.stamp, tokens.stamp];
    stamps.dedup();
    Ok(Counted {
        class: Class::Text,
        counts: Counts { lines: lines.count, words: words.count, tokens: tokens.count },
        stamps,
        from_journal: 3 - ran,
    })
}
