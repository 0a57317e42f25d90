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

/// One line of the file.
#[derive(Debug)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    /// As it stands in the file, without its end.
    pub(super) text: Vec<u8>,
    /// What it says.
    pub(super) request: Result<SubmitRequest, Problem>,
}

/// Lines that are sent together.
#[derive(Debug)]
pub(super) struct Batch {
    /// In their order.
    pub(super) lines: Vec<Line>,
    /// The last line of the file that was read for it, blank ones included.
    pub(super) last: u64,
    /// Bytes of the file read so far.
    pub(super) offset: u64,
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
    /// Lines in a batch, at most.
    pub(super) batch: usize,
}

/// Opens a file, or standard input for `-`. The length is known for files only.
pub(super) fn open(path: &Path) -> io::Result<(Box<dyn Read + Send>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let file = File::open(path)?;
    let about = file.metadata()?;
    Ok((Box::new(file), about.is_file().then_some(about.len())))
}

/// Reads to the end, or until nobody takes batches any more. Blocks, so it has a thread of its own.
pub(super) fn read(source: impl Read, form: &Form, batches: &mpsc::Sender<io::Result<Batch>>) {
    let mut reader = BufReader::with_capacity(1 << 16, source);
    let (mut number, mut offset) = (0, 0);
    let (mut lines, mut bytes) = (Vec::new(), 0);
    loop {
        let mut text = Vec::new();
        // Behind the last line nothing is read: standard input may have no more for a long time.
        let wanted = number < *form.range.end();
        let read = match wanted.then(|| read_line(&mut reader, &mut text)).transpose() {
            Ok(read) => read.unwrap_or(0),
            Err(error) => {
                // The reader of batches sees those before the error first.
                let last = Batch { lines, last: number, offset };
                let _ = batches.blocking_send(Ok(last)).and_then(|()| batches.blocking_send(Err(error)));
                return;
            }
        };
        let is_over = read == 0;
        if !is_over {
            number += 1;
            offset += read;
            if number < *form.range.start() || text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
        }
        let is_full = lines.len() >= form.batch || bytes + text.len() > BATCH_BYTES;
        if is_over || (is_full && !lines.is_empty()) {
            let last = if is_over { number } else { number - 1 };
            let batch = Batch { lines: std::mem::take(&mut lines), last, offset };
            bytes = 0;
            if batches.blocking_send(Ok(batch)).is_err() || is_over {
                return;
            }
        }
        bytes += text.len();
        lines.push(form.line(number, text));
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
    fn line(&self, number: u64, text: Vec<u8>) -> Line {
        let request = self.request(number, &text);
        Line { number, text, request }
    }

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
            batch: 3,
        }
    }

    fn batches(text: &str, form: &Form) -> Vec<Batch> {
        let (sender, mut receiver) = mpsc::channel(1_000);
        read(text.as_bytes(), form, &sender);
        drop(sender);
        let mut batches = Vec::new();
        while let Some(batch) = receiver.blocking_recv() {
            batches.push(batch.unwrap());
        }
        batches
    }

    fn numbers(batches: &[Batch]) -> Vec<Vec<u64>> {
        batches.iter().map(|batch| batch.lines.iter().map(|line| line.number).collect()).collect()
    }

    #[test]
    fn lines_keep_their_numbers_over_blank_ones_and_batches() {
        let text = "1\n\n2\r\n3\n  \n4\n5";
        let read = batches(text, &form(Some("k")));
        assert_eq!(numbers(&read), [vec![1, 3, 4], vec![6, 7]]);
        let ends: Vec<u64> = read.iter().map(|batch| batch.last).collect();
        // Batches without a gap between them: where one ends the next begins.
        assert_eq!(ends, [5, 7]);
        assert_eq!(read.last().unwrap().offset, text.len() as u64);
        assert_eq!(read[0].lines[1].text, b"2");
    }

    #[test]
    fn a_range_of_lines_is_cut_out() {
        let text = "1\n2\n3\n4\n5\n";
        let read = batches(text, &Form { range: 2..=4, ..form(Some("k")) });
        assert_eq!(numbers(&read).concat(), [2, 3, 4]);
        assert_eq!(read.last().unwrap().last, 4);
        assert_eq!(numbers(&batches("", &form(None))), [Vec::<u64>::new()]);
        assert_eq!(numbers(&batches("1\n", &Form { range: 5..=9, ..form(Some("k")) })).concat(), [0_u64; 0]);
    }

    #[test]
    fn a_line_is_a_submission_or_an_input_and_flags_stand_in() {
        let whole = form(None).line(1, br#"{"kind": "a", "input": {"x": 1}, "priority": 3}"#.to_vec());
        let request = whole.request.unwrap();
        assert_eq!((request.kind.as_str(), request.priority), ("a", Some(3)));
        let keyed = Form { key_prefix: Some("import".to_owned()), ..form(Some("a")) };
        let request =
            keyed.line(7, br#"{"$bytes": "AAE=", "content_type": "a/b"}"#.to_vec()).request.unwrap();
        assert_eq!(request.idempotency_key.as_deref(), Some("import:7"));
        assert_eq!(request.input, Payload::bytes(vec![0, 1], "a/b"));
    }

    #[test]
    fn a_wrong_line_says_what_is_wrong_with_it() {
        let code = |text: &str| form(None).line(1, text.as_bytes().to_vec()).request.unwrap_err();
        assert_eq!(code("{").code, Code::MalformedJson);
        assert_eq!(code(r#"{"kind": "a", "colour": 1}"#).field.as_deref(), Some("colour"));
        assert_eq!(code(r#"{"kind": "a", "priority": 101}"#).field.as_deref(), Some("priority"));
        assert_eq!(code("[]").code, Code::InvalidRequest);
        let long = "x".repeat(LINE_BYTES + 10) + "\n1\n";
        let read = batches(&long, &form(Some("k")));
        let lines: Vec<&Line> = read.iter().flat_map(|batch| &batch.lines).collect();
        assert_eq!(lines[0].request.as_ref().unwrap_err().code, Code::BodyTooLarge);
        assert!(lines[1].request.is_ok() && lines[1].number == 2);
    }
}
