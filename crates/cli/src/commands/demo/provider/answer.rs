//! What the provider answers. It follows from the request alone, so that two runs cost the same.

use serde::Deserialize;
use serde_json::{Value, json};

use super::bill::Entry;

/// Answers that are not cut have from this many tokens...
const OUTPUT_TOKENS_MIN: u64 = 100;
/// ... to fewer than this.
const OUTPUT_TOKENS_END: u64 = 400;

/// Bytes that count as a token.
const TOKEN_BYTES: u64 = 4;

/// Tokens that every message has beside its text.
const MESSAGE_TOKENS: u64 = 4;

/// Prompts are cached in blocks of so many tokens, up to the last message.
const CACHED_TOKENS: u64 = 16;

/// What answers are made of: a token each.
const WORDS: [&str; 8] = ["think", "look", "ask", "try", "fail", "learn", "wait", "again"];

/// A call, as far as it matters.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) model: String,
    /// What tells one request from another.
    pub(super) fingerprint: u64,
    pub(super) prompt_tokens: u64,
    /// Those of them that are read from the cache: what comes before the last message.
    pub(super) cached_tokens: u64,
    pub(super) completion_tokens: u64,
    /// Whether the caller's bound has cut the answer.
    pub(super) is_cut: bool,
}

#[derive(Deserialize)]
struct Body {
    model: String,
    messages: Vec<Message>,
    #[serde(alias = "max_completion_tokens")]
    max_tokens: Option<u64>,
    #[serde(default)]
    stream: bool,
}

#[derive(Deserialize)]
struct Message {
    content: Value,
}

impl Request {
    /// Reads a body; the error says what is wrong with it.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let read: Body = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if read.stream {
            return Err("this provider does not stream; leave `stream` out".to_owned());
        }
        if read.max_tokens == Some(0) {
            return Err("`max_tokens` is at least 1".to_owned());
        }
        let (last, before) = read.messages.split_last().ok_or("`messages` is empty")?;
        let before: u64 = before.iter().map(Message::tokens).sum();
        let fingerprint = fingerprint(body);
        let wished = OUTPUT_TOKENS_MIN + fingerprint % (OUTPUT_TOKENS_END - OUTPUT_TOKENS_MIN);
        let completion_tokens = read.max_tokens.map_or(wished, |most| wished.min(most));
        Ok(Self {
            model: read.model,
            fingerprint,
            prompt_tokens: before + last.tokens(),
            cached_tokens: before - before % CACHED_TOKENS,
            completion_tokens,
            is_cut: completion_tokens < wished,
        })
    }
}

impl Message {
    fn tokens(&self) -> u64 {
        let bytes = match &self.content {
            Value::String(text) => text.len(),
            other => other.to_string().len(),
        };
        MESSAGE_TOKENS + (bytes as u64).div_ceil(TOKEN_BYTES)
    }
}

/// The answer to what stands on the bill.
pub(super) fn completion(entry: &Entry) -> Value {
    let words: Vec<&str> = WORDS
        .iter()
        .copied()
        .cycle()
        .skip(entry.number as usize)
        .take(entry.completion_tokens as usize)
        .collect();
    json!({
        "id": entry.id(),
        "object": "chat.completion",
        "created": entry.created,
        "model": entry.model,
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": words.join(" "), "refusal": null},
            "logprobs": null,
            "finish_reason": if entry.is_cut { "length" } else { "stop" },
        }],
        "usage": {
            "prompt_tokens": entry.prompt_tokens,
            "completion_tokens": entry.completion_tokens,
            "total_tokens": entry.prompt_tokens + entry.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": entry.cached_tokens, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
    })
}

/// FNV-1a: the same in every build, which the standard library's hashes do not promise.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
