//! Usage is read as providers write it, whole and streamed.

#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use serde_json::{Value, json};
use stint::{Meter, Reported, Usage};

fn reported(id: &str, model: &str, [input, cached, output]: [u64; 3]) -> Reported {
    with_written(id, model, [input, cached, 0, output])
}

/// With tokens written into the provider's cache.
fn with_written(id: &str, model: &str, [input, cached, written, output]: [u64; 4]) -> Reported {
    Reported {
        usage: Usage {
            model: model.to_owned(),
            input_tokens: input,
            cached_input_tokens: cached,
            cache_write_tokens: written,
            output_tokens: output,
            calls: None,
        },
        response_id: Some(id.to_owned()),
    }
}

fn chat(usage: Value) -> Value {
    json!({
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion",
        "created": 1_741_569_952,
        "model": "gpt-4.1-2025-04-14",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "Hello!", "refusal": null, "annotations": []},
            "logprobs": null,
            "finish_reason": "stop"
        }],
        "usage": usage,
        "service_tier": "default"
    })
}

#[test]
fn chat_completions_have_cached_tokens_among_those_read() {
    let response = chat(json!({
        "prompt_tokens": 2_006,
        "completion_tokens": 300,
        "total_tokens": 2_306,
        "prompt_tokens_details": {"cached_tokens": 1_920, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 128, "audio_tokens": 0}
    }));
    assert_eq!(
        Reported::from_json(&response),
        Some(reported("chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "gpt-4.1-2025-04-14", [2_006, 1_920, 300]))
    );
}

#[test]
fn responses_count_alike_under_other_names() {
    let response = json!({
        "id": "resp_67ccd2bed1ec8190b14f964abc054267",
        "object": "response",
        "status": "completed",
        "model": "gpt-4.1-2025-04-14",
        "output": [{"type": "message", "id": "msg_67", "status": "completed", "role": "assistant", "content": []}],
        "usage": {
            "input_tokens": 36,
            "input_tokens_details": {"cached_tokens": 12},
            "output_tokens": 87,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 123
        }
    });
    assert_eq!(
        Reported::from_json(&response),
        Some(reported("resp_67ccd2bed1ec8190b14f964abc054267", "gpt-4.1-2025-04-14", [36, 12, 87]))
    );
}

#[test]
fn messages_have_cached_tokens_beside_those_read() {
    let response = json!({
        "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": "Hi!"}],
        "stop_reason": "end_turn",
        "usage": {
            "input_tokens": 50,
            "cache_creation_input_tokens": 248,
            "cache_read_input_tokens": 1_800,
            "output_tokens": 503
        }
    });
    assert_eq!(
        Reported::from_json(&response),
        Some(with_written("msg_013Zva2CMHLNnXjNJJKqJ2EF", "claude-sonnet-4-5", [2_098, 1_800, 248, 503]))
    );
}

#[test]
fn embeddings_write_nothing_and_have_no_id() {
    let response = json!({
        "object": "list",
        "data": [],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 8, "total_tokens": 8}
    });
    let found = Reported::from_json(&response).unwrap();
    assert_eq!((found.usage.input_tokens, found.usage.output_tokens, found.response_id), (8, 0, None));
}

#[test]
fn what_is_not_said_is_not_made_up() {
    for response in [
        json!(null),
        json!([]),
        json!({"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}),
        json!({"id": "x", "model": "m"}),
        json!({"id": "x", "usage": {"prompt_tokens": 1, "completion_tokens": 1}}),
        chat(json!(null)),
        chat(json!({})),
        chat(json!({"completion_tokens": 5})),
        chat(json!({"prompt_tokens": "5", "completion_tokens": 5})),
        chat(json!({"prompt_tokens": 5, "completion_tokens": 5.5})),
        chat(json!({"prompt_tokens": -5, "completion_tokens": 5})),
        chat(json!({"input_tokens": u64::MAX, "cache_read_input_tokens": 1})),
    ] {
        assert_eq!(Reported::from_json(&response), None, "{response}");
    }
}

#[test]
fn more_cached_than_read_does_not_hinder_the_charge() {
    let response = chat(json!({
        "prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}
    }));
    let usage = Reported::from_json(&response).unwrap().usage;
    assert_eq!((usage.input_tokens, usage.cached_input_tokens), (5, 5));
    assert_eq!(usage.validate(), Ok(()));
}

/// A stream of `chat/completions`, asked to include usage.
const CHAT: &str = r#"data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}

data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":4}}}

data: [DONE]

"#;

/// A stream of `responses`.
const RESPONSES: &str = r#"event: response.created
data: {"type":"response.created","response":{"id":"resp_67c9","object":"response","status":"in_progress","model":"gpt-4.1","output":[],"usage":null}}

event: response.output_item.added
data: {"type":"response.output_item.added","output_index":0,"item":{"id":"msg_67c9","type":"message","status":"in_progress","role":"assistant","content":[]}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","item_id":"msg_67c9","output_index":0,"content_index":0,"delta":"Hi"}

event: response.completed
data: {"type":"response.completed","response":{"id":"resp_67c9","object":"response","status":"completed","model":"gpt-4.1","output":[{"id":"msg_67c9","type":"message"}],"usage":{"input_tokens":37,"input_tokens_details":{"cached_tokens":2},"output_tokens":11,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":48}}}

"#;

/// A stream of `messages`.
const MESSAGES: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1nZd","type":"message","role":"assistant","content":[],"model":"claude-sonnet-4-5","stop_reason":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":3,"cache_read_input_tokens":100,"output_tokens":1}}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

"#;

fn streams() -> [(&'static str, Reported); 3] {
    [
        (CHAT, reported("chatcmpl-123", "gpt-4o-mini", [19, 4, 10])),
        (RESPONSES, reported("resp_67c9", "gpt-4.1", [37, 2, 11])),
        (MESSAGES, with_written("msg_1nZd", "claude-sonnet-4-5", [128, 100, 3, 15])),
    ]
}

#[test]
fn streams_are_read_however_they_are_cut() {
    for (stream, expected) in streams() {
        for ends in ["\n", "\r\n"] {
            let bytes = stream.replace('\n', ends).into_bytes();
            for size in [1, 2, 7, 100, bytes.len()] {
                let mut meter = Meter::new();
                bytes.chunks(size).for_each(|chunk| meter.feed(chunk));
                assert_eq!(meter.reported().as_ref(), Some(&expected), "by {size} bytes");
                assert!(meter.is_final());
            }
        }
    }
}

#[test]
fn events_read_by_somebody_else_say_the_same() {
    for (stream, expected) in streams() {
        let mut meter = Meter::new();
        stream.lines().filter_map(|line| line.strip_prefix("data: ")).for_each(|data| meter.data(data));
        assert_eq!(meter.reported(), Some(expected));
    }
}

#[test]
fn a_stream_that_was_cut_is_not_final() {
    for (stream, expected) in streams() {
        let whole = stream.trim_end().len();
        for cut in 0..stream.len() {
            let mut meter = Meter::new();
            meter.feed(&stream.as_bytes()[..cut]);
            assert!(!meter.is_final() || meter.reported().as_ref() == Some(&expected), "cut at {cut}");
            meter.end();
            assert!(cut < whole || meter.is_final(), "cut at {cut}");
        }
        let before = &stream[..stream.find("message_delta").unwrap_or(stream.len() / 2)];
        let mut meter = Meter::new();
        meter.feed(before.as_bytes());
        assert!(!meter.is_final());
    }
    // What Anthropic says first is worth having when nothing more comes.
    let mut meter = Meter::new();
    meter.feed(&MESSAGES.as_bytes()[..MESSAGES.find("event: ping").unwrap()]);
    assert_eq!(meter.reported(), Some(with_written("msg_1nZd", "claude-sonnet-4-5", [128, 100, 3, 1])));
}

#[test]
fn the_last_of_running_totals_counts() {
    let mut meter = Meter::new();
    for output in 1..=3 {
        let finish = (output == 3).then_some("stop");
        meter.event(&json!({
            "id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}],
            "usage": {"prompt_tokens": 4, "completion_tokens": output}
        }));
        assert_eq!(meter.is_final(), output == 3);
    }
    assert_eq!(meter.reported(), Some(reported("c", "m", [4, 0, 3])));
}

#[test]
fn an_event_without_an_end_is_passed_over() {
    let mut meter = Meter::new();
    meter.feed(b"data: \"");
    for _ in 0..20 {
        meter.feed(&[b'x'; 1 << 20]);
    }
    meter.feed(b"\"\n\n");
    assert_eq!(meter.reported(), None);
    meter.feed(CHAT.as_bytes());
    assert_eq!(meter.reported(), Some(reported("chatcmpl-123", "gpt-4o-mini", [19, 4, 10])));
}
