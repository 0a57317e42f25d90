//! Lines of bounded length from an asynchronous source.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Lines, one after the other. What is longer than the bound is cut.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    bytes_max: usize,
    is_cut: bool,
}

/// One line.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Line {
    /// What it says; bytes that are not UTF-8 are replaced.
    pub(super) text: String,
    /// Whether its end is missing.
    pub(super) is_cut: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads lines of at most `bytes_max` bytes.
    pub(super) fn new(reader: R, bytes_max: usize) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new(), bytes_max, is_cut: false }
    }

    /// The next line; `None` at the end. What was read is kept if this is dropped half-way.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let read = self.reader.fill_buf().await?;
            if read.is_empty() {
                return Ok((!self.line.is_empty() || self.is_cut).then(|| self.take()));
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let part = read.get(..end.unwrap_or(read.len())).unwrap_or_default();
            let room = self.bytes_max - self.line.len();
            self.is_cut |= part.len() > room;
            self.line.extend_from_slice(part.get(..room).unwrap_or(part));
            let used = part.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some(self.take()));
            }
        }
    }

    fn take(&mut self) -> Line {
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let text = String::from_utf8(line)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        Line { text, is_cut: std::mem::take(&mut self.is_cut) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    #[tokio::test]
    async fn lines_are_cut_at_their_bound_and_the_next_one_is_whole() {
        let mut lines = Lines::new(&b"one\r\n\nabcdefgh\nlast"[..], 5);
        let mut read = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            read.push((line.text, line.is_cut));
        }
        let expected = [("one", false), ("", false), ("abcde", true), ("last", false)];
        assert_eq!(read, expected.map(|(text, is_cut)| (text.to_owned(), is_cut)));
    }
}
