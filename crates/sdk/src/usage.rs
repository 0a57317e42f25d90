//! Reads what a call used, and its id, out of what providers answer: JSON in the shape of OpenAI (`chat/completions`
//! and `responses`) or of Anthropic (`messages`), whole or streamed.
//!
//! **Never here:** a price, a network, a guess. What a provider does not say is not reported.

use serde_json::Value;
use stint_api::Usage;

/// Longest event of a stream, in bytes: one of them repeats the whole response.
const EVENT_BYTES: usize = 16 * 1024 * 1024;

/// What a provider said of one call.
///
/// ```
/// let response = serde_json::json!({"id": "c1", "model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 2}});
/// let reported: Option<stint::Reported> = stint::Reported::from_json(&response);
/// assert_eq!(reported.as_ref().unwrap().response_id.as_deref(), Some("c1"));
/// // A stream whose events were read already says the same.
/// let mut meter = stint::Meter::new();
/// meter.event(&response);
/// assert_eq!(meter.reported(), reported);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// What it used.
    pub usage: Usage,
    /// The provider's id of its response: the natural id of the charge.
    pub response_id: Option<String>,
}

/// Reads usage out of a stream while it passes by.
///
/// ```
/// let mut meter = stint::Meter::new();
/// meter.feed(b"data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n");
/// meter.feed(b"data: {\"id\":\"c1\",\"model\":\"m\",\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n");
/// meter.feed(b"data: [DONE]\n\n");
/// assert!(meter.is_final());
/// assert_eq!(meter.reported().unwrap().usage.input_tokens, 5);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// Bytes of a line whose end has not come.
    line: Vec<u8>,
    /// Data of an event whose end has not come.
    data: String,
    /// The event under way is too long: it is passed over.
    lost: bool,
    response_id: Option<String>,
    model: Option<String>,
    counts: Counts,
    ended: bool,
}

/// Numbers as providers give them; each may come later, or again.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    input: Option<u64>,
    output: Option<u64>,
    /// Cached tokens that are part of `input`.
    cached_within: Option<u64>,
    /// Cached tokens beside `input`.
    cached_beside: Option<u64>,
    /// Tokens beside `input` that were written into the cache.
    written_beside: Option<u64>,
    /// Something stood where a number belongs.
    garbled: bool,
}

impl Reported {
    /// Reads a whole response. `None` if it does not say which model it was or what it used: then nobody knows, which is
    /// not the same as nothing.
    ///
    /// Tokens out of a cache and into it are counted as input too, wherever the provider puts them.
    pub fn from_json(response: &Value) -> Option<Self> {
        let mut meter = Meter::new();
        meter.event(response);
        meter.reported()
    }
}

impl Meter {
    /// Of a stream that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes of a body of server-sent events, cut anywhere.
    pub fn feed(&mut self, chunk: &[u8]) {
        let mut lines = chunk.split(|byte| *byte == b'\n');
        let last = lines.next_back().unwrap_or_default();
        for line in lines {
            self.extend(line);
            self.end_line();
        }
        self.extend(last);
    }

    /// Takes the data of one event, as clients that read events give it out. `[DONE]` and what is no JSON says nothing.
    pub fn data(&mut self, data: &str) {
        if let Ok(event) = serde_json::from_str(data) {
            self.event(&event);
        }
    }

    /// Takes one event. What came before is kept where this one says nothing.
    pub fn event(&mut self, event: &Value) {
        // `responses` and Anthropic's first event put the response into an envelope.
        let body =
            ["response", "message"].into_iter().find_map(|name| event.get(name).filter(|v| v.is_object()));
        let body = body.unwrap_or(event);
        keep(&mut self.response_id, text(body, "id"));
        keep(&mut self.model, text(body, "model"));
        if let Some(usage) = body.get("usage").filter(|usage| usage.is_object()) {
            self.counts.read(usage);
        }
        self.ended |= is_end(event);
    }

    /// The stream is over: takes what came without an end of its own.
    pub fn end(&mut self) {
        self.end_line();
        self.end_line();
    }

    /// What has been reported so far. Of a stream that was cut this may be less than was used: see [`Meter::is_final`].
    pub fn reported(&self) -> Option<Reported> {
        Some(Reported {
            usage: self.counts.usage(self.model.clone()?)?,
            response_id: self.response_id.clone(),
        })
    }

    /// Whether the answer came to its end, and the provider has said what it used.
    pub fn is_final(&self) -> bool {
        self.ended && self.reported().is_some()
    }

    fn extend(&mut self, bytes: &[u8]) {
        if self.line.len() + self.data.len() + bytes.len() > EVENT_BYTES {
            self.lost = true;
        }
        if !self.lost {
            self.line.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self) {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end_matches('\r');
        if let Some(data) = line.strip_prefix("data:") {
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            self.data.push('\n');
        } else if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            if !std::mem::take(&mut self.lost) {
                self.data(&data);
            }
        }
    }
}

impl Counts {
    fn read(&mut self, usage: &Value) {
        for (count, paths) in [
            (&mut self.input, ["/prompt_tokens", "/input_tokens"].as_slice()),
            (&mut self.output, &["/completion_tokens", "/output_tokens"]),
            (
                &mut self.cached_within,
                &["/prompt_tokens_details/cached_tokens", "/input_tokens_details/cached_tokens"],
            ),
            (&mut self.cached_beside, &["/cache_read_input_tokens"]),
            (&mut self.written_beside, &["/cache_creation_input_tokens"]),
        ] {
            let said = paths.iter().find_map(|path| usage.pointer(path).filter(|said| !said.is_null()));
            if let Some(said) = said {
                *count = said.as_u64();
                self.garbled |= count.is_none();
            }
        }
    }

    /// `None` without a count of tokens read, with one that is no number, or if the sums don't fit.
    fn usage(&self, model: String) -> Option<Usage> {
        let input = self.input.filter(|_| !self.garbled)?;
        let beside = self.cached_beside.unwrap_or(0);
        let written = self.written_beside.unwrap_or(0);
        let input_tokens = input.checked_add(beside)?.checked_add(written)?;
        // More cached than read is nonsense that must not keep the rest from being charged.
        let cached_within = self.cached_within.unwrap_or(0).min(input);
        Some(Usage {
            model,
            input_tokens,
            cached_input_tokens: beside + cached_within,
            cache_write_tokens: written,
            // Embeddings write nothing, and say nothing of it.
            output_tokens: self.output.unwrap_or(0),
            calls: None,
        })
    }
}

/// Whether an event says that nothing more will be written.
fn is_end(event: &Value) -> bool {
    let kind = event.get("type").and_then(Value::as_str);
    let finished = |choice: &Value| choice.get("finish_reason").is_some_and(Value::is_string);
    matches!(kind, Some("message_delta" | "response.completed" | "response.incomplete" | "response.failed"))
        || event.get("choices").and_then(Value::as_array).is_some_and(|choices| choices.iter().any(finished))
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn keep<T>(known: &mut Option<T>, said: Option<T>) {
    if said.is_some() {
        *known = said;
    }
}
