//! Reads lines, turns them into submissions, and puts them together in batches.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde_json::value::RawValue;
use stint::api::{BODY_BYTES, Code, Limits, Payload, Problem, SubmitRequest, decode};
use tokio::sync::mpsc;

use super::super::submission::Fields;

/// Bytes of lines in one request, at most, so that its body stays below the server's limit.
const BATCH_BYTES: usize = BODY_BYTES * 3 / 4;

/// The longest line, in bytes: a longer one would not fit into a request.
const LINE_BYTES: usize = BODY_BYTES;

/// Lines that were read and not yet taken.
const AHEAD: usize = 4_000;

/// One line of the file.
#[derive(Debug)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    /// As it stands in the file, without its end.
    pub(super) text: Vec<u8>,
    /// What it says.
    pub(super) request: Result<SubmitRequest, Problem>,
    /// Bytes of the file up to its end.
    pub(super) offset: u64,
}

/// Lines that are sent together: those that are there, so that a slow source is not waited for.
#[derive(Debug)]
pub(super) struct Batches {
    lines: mpsc::Receiver<io::Result<Line>>,
    /// The first of the next batch, if it was too long for the last.
    carry: Option<io::Result<Line>>,
    /// Lines in a batch, at most.
    lines_max: usize,
}

/// How lines become submissions.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// With a kind, a line is an input.
    pub(super) kind: Option<String>,
    /// What lines leave out.
    pub(super) fields: Fields,
    /// Makes keys out of line numbers.
    pub(super) key_prefix: Option<String>,
    /// The lines to read.
    pub(super) range: std::ops::RangeInclusive<u64>,
}

/// Opens a file, or standard input for `-`. The length is known for files only.
pub(super) fn open(path: &Path) -> io::Result<(Box<dyn Read + Send>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let file = File::open(path)?;
    let about = file.metadata()?;
    if about.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok((Box::new(file), about.is_file().then_some(about.len())))
}

impl Batches {
    /// Reads `source` in a thread of its own, which ends with the process at the latest.
    pub(super) fn read(source: impl Read + Send + 'static, form: Form, lines_max: usize) -> Self {
        let (sender, lines) = mpsc::channel(AHEAD);
        std::thread::spawn(move || read(source, &form, &sender));
        Self { lines, carry: None, lines_max }
    }

    /// The next lines, at least one; `None` at the end. Nothing is lost if this is dropped half-way.
    pub(super) async fn next(&mut self) -> Option<io::Result<Vec<Line>>> {
        let first = match self.carry.take() {
            Some(line) => line,
            None => self.lines.recv().await?,
        };
        let first = match first {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        let mut bytes = first.text.len();
        let mut batch = vec![first];
        while batch.len() < self.lines_max {
            match self.lines.try_recv() {
                Ok(Ok(line)) if bytes + line.text.len() <= BATCH_BYTES => {
                    bytes += line.text.len();
                    batch.push(line);
                }
                Ok(line) => {
                    self.carry = Some(line);
                    break;
                }
                Err(_) => break,
            }
        }
        Some(Ok(batch))
    }
}

/// Reads to the end of the range, or until nobody takes lines any more.
fn read(source: impl Read, form: &Form, lines: &mpsc::Sender<io::Result<Line>>) {
    let mut reader = BufReader::with_capacity(1 << 16, source);
    let mut offset = 0;
    // Behind the last line nothing is read: standard input may have no more for a long time.
    for number in 1..=*form.range.end() {
        let mut text = Vec::new();
        let line = match read_line(&mut reader, &mut text) {
            Ok(0) => return,
            Ok(read) => {
                offset += read;
                if number < *form.range.start() || text.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                let request = form.request(number, &text);
                Ok(Line { number, text, request, offset })
            }
            Err(error) => Err(error),
        };
        let is_over = line.is_err();
        if lines.blocking_send(line).is_err() || is_over {
            return;
        }
    }
}

/// Reads one line without its end and says how many bytes of the source it took. Of a line that is too long
/// only the beginning is kept.
fn read_line(reader: &mut impl BufRead, text: &mut Vec<u8>) -> io::Result<u64> {
    let mut read = reader.by_ref().take(LINE_BYTES as u64 + 1).read_until(b'\n', text)? as u64;
    if text.last() == Some(&b'\n') {
        text.pop();
        if text.last() == Some(&b'\r') {
            text.pop();
        }
    } else if text.len() > LINE_BYTES {
        read += reader.skip_until(b'\n')? as u64;
    }
    Ok(read)
}

impl Form {
    fn request(&self, number: u64, text: &[u8]) -> Result<SubmitRequest, Problem> {
        if text.len() > LINE_BYTES {
            let detail = format!("the line is longer than {LINE_BYTES} bytes");
            return Err(Problem::new(Code::BodyTooLarge, detail));
        }
        let mut request = match &self.kind {
            Some(kind) => SubmitRequest::new(kind.clone(), input(text)?),
            None => decode(text).map_err(of_line)?,
        };
        self.fields.complete(&mut request);
        if let (None, Some(prefix)) = (&request.idempotency_key, &self.key_prefix) {
            request.idempotency_key = Some(format!("{prefix}:{number}"));
        }
        // Sizes may be configured on the server, which checks them.
        request.validate(&Limits { payload_bytes: usize::MAX })?;
        Ok(request)
    }
}

fn input(text: &[u8]) -> Result<Payload, Problem> {
    match decode::<Box<RawValue>>(text) {
        // `{"$bytes": ...}` is read as the server reads it.
        Ok(json) if json.get().starts_with('{') => decode(text).map_err(of_line),
        Ok(json) => Ok(Payload::Json(json)),
        Err(problem) => Err(of_line(problem)),
    }
}

/// Problems of a body are told of the line that it came from.
fn of_line(mut problem: Problem) -> Problem {
    let detail = problem.detail.replace("the body", "the line").replace(" at line 1 column ", " at column ");
    problem.detail = detail.into();
    problem
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    fn form(kind: Option<&str>) -> Form {
        Form {
            kind: kind.map(str::to_owned),
            fields: Fields::default(),
            key_prefix: None,
            range: 1..=u64::MAX,
        }
    }

    async fn lines(text: &str, form: Form) -> Vec<Line> {
        let mut batches = Batches::read(io::Cursor::new(text.to_owned()), form, 3);
        let mut lines = Vec::new();
        while let Some(batch) = batches.next().await {
            let batch = batch.unwrap();
            assert!((1..=3).contains(&batch.len()));
            lines.extend(batch);
        }
        lines
    }

    fn numbers(lines: &[Line]) -> Vec<u64> {
        lines.iter().map(|line| line.number).collect()
    }

    #[tokio::test]
    async fn lines_keep_their_numbers_over_blank_ones() {
        let text = "1\n\n2\r\n3\n  \n4\n5";
        let read = lines(text, form(Some("k"))).await;
        assert_eq!(numbers(&read), [1, 3, 4, 6, 7]);
        assert_eq!(read.last().unwrap().offset, text.len() as u64);
        assert_eq!(read[1].text, b"2");
        assert!(lines("", form(None)).await.is_empty());
    }

    #[tokio::test]
    async fn a_range_of_lines_is_cut_out() {
        let text = "1\n2\n3\n4\n5\n";
        assert_eq!(numbers(&lines(text, Form { range: 2..=4, ..form(Some("k")) }).await), [2, 3, 4]);
        assert!(lines("1\n", Form { range: 5..=9, ..form(Some("k")) }).await.is_empty());
    }

    #[tokio::test]
    async fn batches_stay_below_what_a_body_may_be() {
        let line = format!("\"{}\"\n", "x".repeat(BATCH_BYTES / 2 + 1));
        let mut batches = Batches::read(io::Cursor::new(line.repeat(3)), form(Some("k")), 3);
        while let Some(batch) = batches.next().await {
            assert_eq!(batch.unwrap().len(), 1);
        }
    }

    #[test]
    fn a_line_is_a_submission_or_an_input() {
        let whole = form(None).request(1, br#"{"kind": "a", "input": {"x": 1}, "priority": 3}"#).unwrap();
        assert_eq!((whole.kind.as_str(), whole.priority), ("a", Some(3)));
        let keyed = Form { key_prefix: Some("import".to_owned()), ..form(Some("a")) };
        let request = keyed.request(7, br#"{"$bytes": "AAE=", "content_type": "a/b"}"#).unwrap();
        assert_eq!(request.idempotency_key.as_deref(), Some("import:7"));
        assert_eq!(request.input, Payload::bytes(vec![0, 1], "a/b"));
    }

    #[tokio::test]
    async fn a_wrong_line_says_what_is_wrong_with_it() {
        let problem = |text: &str| form(None).request(1, text.as_bytes()).unwrap_err();
        assert_eq!(problem("{").code, Code::MalformedJson);
        assert_eq!(problem(r#"{"kind": "a", "colour": 1}"#).field.as_deref(), Some("colour"));
        assert_eq!(problem(r#"{"kind": "a", "priority": 101}"#).field.as_deref(), Some("priority"));
        assert_eq!(problem("[]").code, Code::InvalidRequest);
        let long = "x".repeat(LINE_BYTES + 10) + "\n1\n";
        let read = lines(&long, form(Some("k"))).await;
        assert_eq!(read[0].request.as_ref().unwrap_err().code, Code::BodyTooLarge);
        assert!(read[1].request.is_ok() && read[1].number == 2);
    }
}
