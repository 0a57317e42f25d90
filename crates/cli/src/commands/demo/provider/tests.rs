//! The provider over real HTTP: what it charges, and what it does not.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use stint::Reported;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Config, MODEL, PRICE, Provider};

async fn provider(bill: &Path, latency: Duration) -> Provider {
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    Provider::start(Config { listen, bill: bill.to_path_buf(), latency }).await.unwrap()
}

fn question(text: &str) -> Value {
    let system = json!({"role": "system", "content": "You are an agent that never stops. ".repeat(20)});
    json!({"model": MODEL, "messages": [system, {"role": "user", "content": text}]})
}

async fn post(provider: &Provider, key: Option<&str>, body: &Value) -> (StatusCode, Value) {
    let url = format!("http://{}/v1/chat/completions", provider.address());
    let mut request = reqwest::Client::new().post(url).json(body);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn bill(provider: &Provider) -> Value {
    reqwest::get(format!("http://{}/bill", provider.address())).await.unwrap().json().await.unwrap()
}

/// What an answer cost, by the usage that stands in it.
fn cost(answer: &Value) -> u64 {
    let usage = Reported::from_json(answer).unwrap().usage;
    let millionths = (usage.input_tokens - usage.cached_input_tokens) * PRICE.input
        + usage.cached_input_tokens * PRICE.cached_input
        + usage.output_tokens * PRICE.output
        + PRICE.call * 1_000_000;
    millionths.div_ceil(1_000_000)
}

#[tokio::test]
async fn the_same_key_is_charged_once_and_answered_alike() {
    let dir = tempfile::tempdir().unwrap();
    let provider = provider(&dir.path().join("bill"), Duration::ZERO).await;
    let body = question("What now?");
    let answers = join_all((0..8).map(|_| post(&provider, Some("step-1"), &body))).await;
    assert!(answers.iter().all(|answer| answer.0 == StatusCode::OK && *answer == answers[0]), "{answers:?}");
    assert_eq!(provider.total().calls, 1);
    assert_eq!(provider.total().usd_micros, cost(&answers[0].1));

    let (status, refusal) = post(&provider, Some("step-1"), &question("Something else?")).await;
    assert_eq!((status, &refusal["error"]["code"]), (StatusCode::CONFLICT, &json!("idempotency_conflict")));
    assert_eq!(provider.total().calls, 1);
}

#[tokio::test]
async fn the_bill_is_the_sum_of_all_answers_and_outlives_the_provider() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bill");
    let first = provider(&file, Duration::ZERO).await;
    let (mut sum, mut ids) = (0, Vec::new());
    for n in 0..20 {
        let key = (n % 2 == 0).then(|| format!("step-{n}"));
        let (status, answer) = post(&first, key.as_deref(), &question(&"Why? ".repeat(n))).await;
        assert_eq!(status, StatusCode::OK);
        sum += cost(&answer);
        ids.push(answer["id"].clone());
    }
    let shown = bill(&first).await;
    assert_eq!((&shown["total"]["usd_micros"], &shown["total"]["calls"]), (&json!(sum), &json!(20)));
    let entries = shown["entries"].as_array().unwrap();
    assert_eq!(entries.iter().map(|entry| entry["usd_micros"].as_u64().unwrap()).sum::<u64>(), sum);
    assert_eq!(entries.iter().map(|entry| entry["id"].clone()).collect::<Vec<_>>(), ids);
    drop(first);

    // A crash in the middle of a line.
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str("{\"number\":21,\"crea");
    std::fs::write(&file, text).unwrap();
    let second = provider(&file, Duration::ZERO).await;
    assert_eq!(bill(&second).await, shown);
    let (_, again) = post(&second, Some("step-4"), &question(&"Why? ".repeat(4))).await;
    assert_eq!((&again["id"], second.total().usd_micros), (&ids[4], sum));
    let (_, new) = post(&second, None, &question("New?")).await;
    assert_eq!(second.total().usd_micros, sum + cost(&new));
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 21);
}

#[tokio::test]
async fn who_goes_away_in_the_middle_of_a_call_has_been_charged() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bill");
    let slow = provider(&file, Duration::from_secs(3_600)).await;
    let body = question("Are you there?");
    let text = body.to_string();
    let mut caller = TcpStream::connect(slow.address()).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nidempotency-key: step-1\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    caller.write_all((head + &text).as_bytes()).await.unwrap();
    while bill(&slow).await["total"]["calls"] == json!(0) {}
    drop(caller);
    let charged = slow.total();
    drop(slow);

    let quick = provider(&file, Duration::ZERO).await;
    let (status, answer) = post(&quick, Some("step-1"), &body).await;
    assert_eq!((status, quick.total()), (StatusCode::OK, charged));
    assert_eq!(cost(&answer), charged.usd_micros);
}

#[tokio::test]
async fn an_answer_follows_from_the_request_and_keeps_to_its_bound() {
    let dir = tempfile::tempdir().unwrap();
    let provider = provider(&dir.path().join("bill"), Duration::ZERO).await;
    let usage = async |body: Value| {
        let (status, answer) = post(&provider, None, &body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        (answer["usage"].clone(), answer["choices"][0]["finish_reason"].clone())
    };
    let (first, reason) = usage(question("Well?")).await;
    assert_eq!((usage(question("Well?")).await.0, reason), (first.clone(), json!("stop")));
    assert!(first["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap() > 0, "{first}");
    for name in ["max_tokens", "max_completion_tokens"] {
        let mut body = question("Well?");
        body[name] = json!(7);
        let (usage, reason) = usage(body).await;
        assert_eq!((&usage["completion_tokens"], reason), (&json!(7), json!("length")));
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_costs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let provider = provider(&dir.path().join("bill"), Duration::ZERO).await;
    let messages = json!([{"role": "user", "content": "x"}]);
    let long = "k".repeat(256);
    for (key, body, status, code) in [
        (None, json!({"model": "gpt-5", "messages": messages}), 404, "model_not_found"),
        (None, json!({"model": MODEL, "messages": []}), 400, "invalid_request"),
        (None, json!({"model": MODEL}), 400, "invalid_request"),
        (None, json!([]), 400, "invalid_request"),
        (None, json!({"model": MODEL, "messages": messages, "stream": true}), 400, "invalid_request"),
        (None, json!({"model": MODEL, "messages": messages, "max_tokens": 0}), 400, "invalid_request"),
        (Some(long.as_str()), json!({"model": MODEL, "messages": messages}), 400, "invalid_idempotency_key"),
    ] {
        let (found, refusal) = post(&provider, key, &body).await;
        assert_eq!((found.as_u16(), &refusal["error"]["code"]), (status, &json!(code)), "{body}: {refusal}");
    }
    assert_eq!(provider.total().calls, 0);
}
