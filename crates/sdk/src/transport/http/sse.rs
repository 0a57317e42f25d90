//! Server-sent events, as the server sends them: `data:` holds an event as JSON, whose cursor is its id.

use futures_util::stream;
use reqwest::Response;
use stint_api::ExecutionEvent;

use super::SILENCE;
use crate::transport::{EventStream, SendError};

/// The longest line there can be: an event is far shorter.
const LINE_BYTES: usize = 1 << 20;

/// What was read and not given out.
struct Reading {
    response: Response,
    bytes: Vec<u8>,
    data: String,
}

/// The events of a response.
pub(super) fn events(response: Response) -> EventStream {
    let reading = Reading { response, bytes: Vec::new(), data: String::new() };
    Box::pin(stream::try_unfold(reading, async |mut reading| {
        let event = reading.next().await?;
        Ok(event.map(|event| (event, reading)))
    }))
}

impl Reading {
    async fn next(&mut self) -> Result<Option<ExecutionEvent>, SendError> {
        loop {
            while let Some(line) = take_line(&mut self.bytes) {
                if let Some(event) = self.read(&line)? {
                    return Ok(Some(event));
                }
            }
            if self.bytes.len() > LINE_BYTES {
                return Err(SendError::Garbled("a line without an end".to_owned()));
            }
            match tokio::time::timeout(SILENCE, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => self.bytes.extend_from_slice(&chunk),
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(error)) => return Err(SendError::Lost(super::cause(&error))),
                Err(_) => return Err(SendError::Lost("the stream fell silent".to_owned())),
            }
        }
    }

    /// Takes a line; an empty one ends an event. Comments and other fields say nothing that is not in the data.
    fn read(&mut self, line: &str) -> Result<Option<ExecutionEvent>, SendError> {
        if let Some(data) = line.strip_prefix("data:") {
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            self.data.push('\n');
            return Ok(None);
        }
        if !line.is_empty() || self.data.is_empty() {
            return Ok(None);
        }
        let data = std::mem::take(&mut self.data);
        serde_json::from_str(&data).map(Some).map_err(|error| SendError::Garbled(error.to_string()))
    }
}

/// The next whole line, without its end.
fn take_line(bytes: &mut Vec<u8>) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line: Vec<u8> = bytes.drain(..=end).collect();
    let line = String::from_utf8_lossy(&line);
    Some(line.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_either_way() {
        let mut bytes = b"one\r\ntwo\n\nhalf".to_vec();
        let lines: Vec<String> = std::iter::from_fn(|| take_line(&mut bytes)).collect();
        assert_eq!(lines, ["one", "two", ""]);
        assert_eq!(bytes, b"half");
    }
}
