//! Descriptor 3 of a program: lines of JSON, for what standard input and output can't say.
//!
//! The program says `progress`, `log`, `step` (with or without an `output`) or `error`, one of them in a line. Only a step
//! without an output is answered, and a line that makes no sense; nothing else is ever sent to the program, so that a
//! shell script may read one line after it asked.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use stint::api::{PAYLOAD_BYTES, Payload};
use stint::{Context, Failure};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use super::lines::{Line, Lines};
use super::program::Log;

/// The longest line, in bytes: a step's output and what stands around it.
const LINE_BYTES: usize = PAYLOAD_BYTES + 4 * 1_024;

/// An error that the program told before it failed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    /// What `non_retryable` and filters go by.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// For people.
    pub(super) message: Option<String>,
    /// Any JSON.
    pub(super) details: Option<Value>,
    /// `false`: no further attempt.
    pub(super) retry: Option<bool>,
    /// The next attempt not before this.
    pub(super) retry_after_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    progress: Option<Progress>,
    log: Option<String>,
    step: Option<String>,
    #[serde(default, deserialize_with = "present")]
    output: Option<Box<RawValue>>,
    error: Option<Told>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Progress {
    Percent(u8),
    Report { percent: u8, message: Option<String> },
}

/// Where steps that were begun wait for their output.
type Begun = Mutex<BTreeMap<String, oneshot::Sender<Box<RawValue>>>>;

/// Answers on their way to the program.
type Answers = mpsc::UnboundedSender<String>;

/// What one line says.
#[derive(Debug)]
enum Say {
    Progress(u8, String),
    Log(String),
    Error(Told),
    Begin(String),
    Record(String, Box<RawValue>),
}

/// Listens to the program until it closes the channel. The error that it told last is kept in `told`.
pub(super) async fn serve(stream: UnixStream, context: &Context, log: &Log, told: &Mutex<Option<Told>>) {
    let (reader, writer) = stream.into_split();
    let (answers, to_send) = mpsc::unbounded_channel();
    tokio::join!(listen(reader, context, log, told, answers), send(writer, to_send));
}

async fn listen(
    reader: OwnedReadHalf,
    context: &Context,
    log: &Log,
    told: &Mutex<Option<Told>>,
    answers: Answers,
) {
    let mut lines = Lines::new(reader, LINE_BYTES);
    let begun = Begun::default();
    let mut steps = FuturesUnordered::new();
    loop {
        tokio::select! {
            // A step whose output was just said is recorded before the next line is looked at.
            biased;
            Some(()) = steps.next(), if !steps.is_empty() => {}
            line = lines.next() => match line {
                Ok(Some(line)) if line.text.trim().is_empty() => {}
                Ok(Some(line)) => match read(&line) {
                    Ok(Say::Progress(percent, message)) => context.progress(percent, message),
                    Ok(Say::Log(text)) => text.lines().for_each(|line| log.line(line)),
                    Ok(Say::Error(error)) => *locked(told) = Some(error),
                    Ok(Say::Begin(key)) => steps.push(begin(context, key, &begun, answers.clone())),
                    Ok(Say::Record(key, output)) => match locked(&begun).remove(&key) {
                        // Nobody waits for it if its attempt has gone meanwhile.
                        Some(step) => drop(step.send(output)),
                        None => refuse(&answers, log, &format!("step `{key}` was not begun, or is recorded already")),
                    },
                    Err(wrong) => refuse(&answers, log, &wrong),
                },
                // Nobody says anything any more; a step without its output waits in vain.
                Ok(None) | Err(_) => return,
            },
        }
    }
}

/// Answers whether to run a step, and records its output when that is said.
async fn begin(context: &Context, key: String, begun: &Begun, answers: Answers) {
    let name = Value::from(key.as_str());
    if locked(begun).contains_key(&key) {
        // Asked twice in one attempt: it still has to run.
        let _ = answers.send(json!({"step": name, "run": true}).to_string());
        return;
    }
    let is_asked = AtomicBool::new(false);
    let ask = |answer: &'static str| {
        is_asked.store(true, Ordering::Relaxed);
        let (sender, output) = oneshot::channel();
        locked(begun).insert(key.clone(), sender);
        // A program that has gone hears nothing, and this future goes with it.
        let _ = answers.send(json!({"step": name, answer: true}).to_string());
        async move {
            match output.await {
                Ok(output) => Ok::<Box<RawValue>, Failure>(output),
                Err(_) => std::future::pending().await,
            }
        }
    };
    let ended =
        context.step_or_reconcile(&key, || ask("run"), || async { ask("unknown").await.map(Some) }).await;
    let answer = match ended {
        Ok(_) if is_asked.load(Ordering::Relaxed) => return,
        Ok(result) => format!(r#"{{"step":{name},"result":{}}}"#, result.get()),
        Err(failure) => json!({"step": name, "error": failure.to_string()}).to_string(),
    };
    let _ = answers.send(answer);
}

/// Sends answers until there will be no more. A program that does not read is not written to any further.
async fn send(mut writer: OwnedWriteHalf, mut answers: mpsc::UnboundedReceiver<String>) {
    while let Some(mut answer) = answers.recv().await {
        answer.push('\n');
        if writer.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn refuse(answers: &Answers, log: &Log, wrong: &str) {
    log.line(&format!("descriptor 3: {wrong}"));
    let _ = answers.send(json!({"error": wrong}).to_string());
}

fn read(line: &Line) -> Result<Say, String> {
    if line.is_cut {
        return Err(format!("a line is longer than {LINE_BYTES} bytes"));
    }
    let said: Said =
        serde_json::from_str(&line.text).map_err(|error| format!("{error} in `{}`", head(&line.text)))?;
    match said {
        Said { progress: Some(progress), log: None, step: None, output: None, error: None } => {
            Ok(match progress {
                Progress::Percent(percent) => Say::Progress(percent, String::new()),
                Progress::Report { percent, message } => Say::Progress(percent, message.unwrap_or_default()),
            })
        }
        Said { progress: None, log: Some(text), step: None, output: None, error: None } => Ok(Say::Log(text)),
        Said { progress: None, log: None, step: None, output: None, error: Some(error) } => {
            Ok(Say::Error(error))
        }
        Said { progress: None, log: None, step: Some(key), output: None, error: None } => Ok(Say::Begin(key)),
        Said { progress: None, log: None, step: Some(key), output: Some(output), error: None } => {
            match serde_json::from_str::<Payload>(output.get()) {
                Ok(Payload::Json(_)) => Ok(Say::Record(key, output)),
                _ => Err(format!("the output of step `{key}` is bytes; a step's output here is JSON")),
            }
        }
        _ => Err(format!(
            "expected one of progress, log, step (with or without output), error in `{}`",
            head(&line.text)
        )),
    }
}

/// The beginning of a line that is wrong, for people.
fn head(text: &str) -> &str {
    text.get(..text.floor_char_boundary(80)).unwrap_or_default()
}

/// Present is `Some`, `null` included.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(text: &str) -> String {
        match read(&Line { text: text.to_owned(), is_cut: false }) {
            Ok(said) => format!("{said:?}"),
            Err(wrong) => wrong,
        }
    }

    #[test]
    fn one_line_says_one_thing() {
        assert_eq!(say(r#"{"progress": 40}"#), "Progress(40, \"\")");
        assert_eq!(say(r#"{"progress": {"percent": 40, "message": "half"}}"#), "Progress(40, \"half\")");
        assert_eq!(say(r#"{"log": "here"}"#), "Log(\"here\")");
        assert_eq!(say(r#"{"step": "a"}"#), "Begin(\"a\")");
        assert_eq!(say(r#"{"step": "a", "output": null}"#), "Record(\"a\", RawValue(null))");
        assert!(say(r#"{"error": {"type": "t", "message": "m", "retry": false}}"#).starts_with("Error"));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for wrong in ["{}", r#"{"log": "a", "progress": 1}"#, r#"{"output": 1}"#] {
            assert!(say(wrong).starts_with("expected one of"), "{wrong}: {}", say(wrong));
        }
        assert!(say(r#"{"stpe": "a"}"#).contains("unknown field `stpe`"));
        assert!(say("progress 40").contains("in `progress 40`"));
        assert!(
            say(r#"{"step": "a", "output": {"$bytes": "AA==", "content_type": "a/b"}}"#).contains("is bytes")
        );
    }
}
