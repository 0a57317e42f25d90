//! What is counted in a file: lines, words and tokens. The workers and the demo's own direct count share this.

use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// Files above this are shown as too large and not counted.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Text is tokenized in pieces of about this size, cut at line ends where there are any, so that one pass over
/// a piece stays short and bounded in memory.
const PIECE_BYTES: usize = 64 << 10;

/// What a file turned out to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "class", rename_all = "snake_case")]
pub(super) enum Class {
    /// Counted.
    Text,
    /// Nothing in it.
    Empty,
    /// Not valid UTF-8.
    NotUtf8,
    /// Above 16 MiB.
    TooLarge,
    /// Exists, but can't be read.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// Not there (any more).
    Gone,
}

/// A file's size and time of change, to tell a wrong count from a file that changed meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Stamp {
    bytes: u64,
    changed_ns: u64,
}

/// A file as it was read once.
#[derive(Debug)]
pub(super) struct ReadFile {
    pub(super) class: Class,
    pub(super) stamp: Option<Stamp>,
    pub(super) text: String,
}

/// The three counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) lines: u64,
    pub(super) words: u64,
    pub(super) tokens: u64,
}

/// Reads a file whole. Every way in which that can go wrong is a class, not an error.
pub(super) fn read(path: &Path) -> ReadFile {
    let nothing = |class, stamp| ReadFile { class, stamp, text: String::new() };
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return nothing(Class::Gone, None),
        Err(error) => return nothing(Class::Unreadable { reason: error.kind().to_string() }, None),
    };
    let stamp = file.metadata().ok().map(|meta| Stamp {
        bytes: meta.len(),
        changed_ns: meta
            .modified()
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |at| at.as_nanos() as u64),
    });
    let mut bytes = Vec::new();
    if let Err(error) = file.by_ref().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes) {
        return nothing(Class::Unreadable { reason: error.kind().to_string() }, stamp);
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return nothing(Class::TooLarge, stamp);
    }
    if bytes.is_empty() {
        return nothing(Class::Empty, stamp);
    }
    match String::from_utf8(bytes) {
        Ok(text) => ReadFile { class: Class::Text, stamp, text },
        Err(_) => nothing(Class::NotUtf8, stamp),
    }
}

/// Lines as an editor shows them: a last line without a line end counts.
pub(super) fn lines(text: &str) -> u64 {
    text.lines().count() as u64
}

/// Words: runs of what is not white space.
pub(super) fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// Tokens of the cl100k vocabulary.
pub(super) fn tokens(text: &str) -> u64 {
    let vocabulary = tiktoken_rs::cl100k_base_singleton();
    pieces(text).map(|piece| vocabulary.encode_ordinary(piece).len() as u64).sum()
}

/// All three, as the direct count does it.
pub(super) fn all(text: &str) -> Counts {
    Counts { lines: lines(text), words: words(text), tokens: tokens(text) }
}

fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(piece_end(rest));
        rest = after;
        Some(piece)
    })
}

fn piece_end(text: &str) -> usize {
    if text.len() <= PIECE_BYTES {
        return text.len();
    }
    let end = text.floor_char_boundary(PIECE_BYTES);
    match text.get(..end).and_then(|head| head.rfind('\n')) {
        Some(line_end) => line_end + 1,
        None => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let text = "Hello world\nwithout a line end";
        assert_eq!(all(text), Counts { lines: 2, words: 6, tokens: 7 });
        assert_eq!(all(""), Counts::default());
    }

    #[test]
    fn long_texts_are_cut_at_line_ends_and_characters() {
        let line = "some words of a line\n".repeat(10_000);
        assert!(pieces(&line).all(|piece| piece.ends_with('\n') && piece.len() <= PIECE_BYTES));
        let wide = "\u{00e4}".repeat(100_000);
        assert_eq!(pieces(&wide).map(str::len).sum::<usize>(), wide.len());
        assert!(tokens(&wide) > 0);
    }

    #[test]
    fn odd_files_have_a_class() {
        let folder = tempfile::tempdir().unwrap();
        let class = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            read(&path).class
        };
        assert_eq!(class("text", b"x"), Class::Text);
        assert_eq!(class("empty", b""), Class::Empty);
        assert_eq!(class("binary", &[0xff, 0xfe, 0]), Class::NotUtf8);
        assert_eq!(read(&folder.path().join("none")).class, Class::Gone);
        assert!(matches!(read(folder.path()).class, Class::Unreadable { .. }));
    }
}
