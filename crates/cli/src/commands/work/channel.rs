//! Descriptor 3 of a program: lines of JSON, for what standard input and output can't say.
//!
//! The program says `progress`, `log`, `step` (with or without an `output`), `error`, `charge`, `hold` or `extend`, one of them
//! in a line. A step without an output and what is about money is answered, and a line that makes no sense; nothing else is
//! ever sent to the program, so that a shell script may read one line after it asked.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use stint::api::{PAYLOAD_BYTES, Payload};
use stint::{Context, Failure};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};

use super::lines::{Line, Lines};
use super::money::{self, Asked, Spent};
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
    charge: Option<Spent>,
    hold: Option<Asked>,
    extend: Option<Asked>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a percentage, or an object with percent and message")]
enum Progress {
    Percent(u8),
    Report { percent: u8, message: Option<String> },
}

/// Where steps that were begun wait for their output.
type Begun = Mutex<BTreeMap<String, oneshot::Sender<Box<RawValue>>>>;

/// Answers on their way to the program.
pub(super) type Answers = mpsc::UnboundedSender<String>;

/// What one line says.
#[derive(Debug)]
enum Say {
    Progress(u8, String),
    Log(String),
    Error(Told),
    Begin(String),
    Record(String, Box<RawValue>),
    Charge(Spent),
    Hold(Asked),
    Extend(Asked),
}

/// What is known of a program by what it said.
#[derive(Default)]
pub(super) struct Heard {
    /// The error that it told last.
    pub(super) told: Mutex<Option<Told>>,
    /// It asks before it goes on, and so hears of a stop at its next question.
    pub(super) asks: AtomicBool,
    /// How it ended, once it has.
    pub(super) ended: watch::Sender<Option<ExitStatus>>,
}

/// Listens to the program until it closes the channel.
pub(super) async fn serve(stream: UnixStream, context: &Context, log: &Log, heard: &Heard) {
    let (reader, writer) = stream.into_split();
    let (answers, to_send) = mpsc::unbounded_channel();
    tokio::join!(listen(reader, context, log, heard, answers), send(writer, to_send));
}

async fn listen(reader: OwnedReadHalf, context: &Context, log: &Log, heard: &Heard, answers: Answers) {
    let mut lines = Lines::new(reader, LINE_BYTES);
    let begun = Begun::default();
    let mut steps = FuturesUnordered::new();
    let mut asks: FuturesUnordered<BoxFuture<'_, ()>> = FuturesUnordered::new();
    loop {
        tokio::select! {
            // A step whose output was just said is recorded before the next line is looked at.
            biased;
            Some(()) = steps.next(), if !steps.is_empty() => {}
            Some(()) = asks.next(), if !asks.is_empty() => {}
            line = lines.next() => match line {
                Ok(Some(line)) if line.text.trim().is_empty() => {}
                Ok(Some(line)) => match read(&line) {
                    Ok(Say::Progress(percent, message)) => context.progress(percent, message),
                    Ok(Say::Log(text)) => text.lines().for_each(|line| log.line(line)),
                    Ok(Say::Error(error)) => *locked(&heard.told) = Some(error),
                    Ok(Say::Begin(key)) => {
                        heard.asks.store(true, Ordering::Relaxed);
                        steps.push(begin(context, key, &begun, answers.clone()));
                    }
                    Ok(Say::Charge(spent)) => match spent.charge(only(&begun)) {
                        Ok(charge) => asks.push(Box::pin(money::charge(context, charge, answers.clone()))),
                        Err(wrong) => refuse(&answers, log, &wrong),
                    },
                    Ok(Say::Hold(asked)) => {
                        heard.asks.store(true, Ordering::Relaxed);
                        asks.push(Box::pin(money::hold(context, asked, answers.clone())));
                    }
                    Ok(Say::Extend(asked)) => {
                        heard.asks.store(true, Ordering::Relaxed);
                        asks.push(Box::pin(money::extend(context, asked, answers.clone())));
                    }
                    Ok(Say::Record(key, output)) => match locked(&begun).remove(&key) {
                        // Nobody waits for it if its attempt has gone meanwhile.
                        Some(step) => drop(step.send(output)),
                        None => refuse(&answers, log, &format!("step `{key}` was not begun, or is recorded already")),
                    },
                    Err(wrong) => refuse(&answers, log, &wrong),
                },
                // Nobody says anything any more; a step without its output waits in vain.
                Ok(None) | Err(_) => break,
            },
        }
    }
    // What a program that ended by itself has begun is over. One that was killed may have called what still spends: its
    // steps are broken off.
    let mut ended = heard.ended.subscribe();
    let by_itself = matches!(ended.wait_for(Option::is_some).await.as_deref(), Ok(Some(status)) if status.code().is_some());
    if by_itself {
        locked(&begun).clear();
        while steps.next().await.is_some() {}
    }
}

/// The step that is under way, if it is one.
fn only(begun: &Begun) -> Option<String> {
    let begun = locked(begun);
    begun.keys().next().filter(|_| begun.len() == 1).cloned()
}

/// How a program is told that it can't go on: `stop` if its budget has stopped it and it is to end, without having failed.
pub(super) fn stopped(failure: &Failure) -> (&'static str, String) {
    match failure.kind() {
        "suspended" => ("stop", failure.message().to_owned()),
        _ => ("error", failure.to_string()),
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
                Err(_) => Err(Failure::new("step_unfinished", "the program ended without its output")),
            }
        }
    };
    let ended =
        context.step_or_reconcile(&key, || ask("run"), || async { ask("unknown").await.map(Some) }).await;
    let answer = match ended {
        Ok(_) if is_asked.load(Ordering::Relaxed) => return,
        Ok(result) => format!(r#"{{"step":{name},"result":{}}}"#, result.get()),
        Err(failure) => {
            let (why, text) = stopped(&failure);
            json!({"step": name, why: text}).to_string()
        }
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
    let Said { progress, log, step, output, error, charge, hold, extend } = said;
    let says = [
        progress.is_some(),
        log.is_some(),
        step.is_some(),
        error.is_some(),
        charge.is_some(),
        hold.is_some(),
        extend.is_some(),
    ];
    let is_one = says.into_iter().filter(|is_said| *is_said).count() == 1;
    let said = match (progress, log, step, output) {
        _ if !is_one => None,
        (Some(Progress::Percent(percent)), _, _, None) => Some(Say::Progress(percent, String::new())),
        (Some(Progress::Report { percent, message }), _, _, None) => {
            Some(Say::Progress(percent, message.unwrap_or_default()))
        }
        (_, Some(text), _, None) => Some(Say::Log(text)),
        (_, _, Some(key), None) => Some(Say::Begin(key)),
        (_, _, Some(key), Some(output)) => match serde_json::from_str::<Payload>(output.get()) {
            Ok(Payload::Json(_)) => Some(Say::Record(key, output)),
            _ => return Err(format!("the output of step `{key}` is bytes; a step's output here is JSON")),
        },
        (None, None, None, None) => match (error, charge, hold, extend) {
            (Some(error), ..) => Some(Say::Error(error)),
            (_, Some(charge), ..) => Some(Say::Charge(charge)),
            (_, _, Some(hold), _) => Some(Say::Hold(hold.check("hold")?)),
            (_, _, _, extend) => extend.map(|extend| extend.check("extend")).transpose()?.map(Say::Extend),
        },
        _ => None,
    };
    said.ok_or_else(|| {
        format!(
            "expected one of progress, log, step (with or without output), error, charge, hold, extend in `{}`",
            head(&line.text)
        )
    })
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
        assert!(say(r#"{"charge": {"amounts": {"calls": 1}}}"#).starts_with("Charge"));
        assert!(say(r#"{"hold": {"amounts": {"calls": 1}, "path": "acme"}}"#).starts_with("Hold"));
        assert!(say(r#"{"extend": {"amounts": {"calls": 1}}}"#).starts_with("Extend"));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for wrong in ["{}", r#"{"log": "a", "progress": 1}"#, r#"{"output": 1}"#] {
            assert!(say(wrong).starts_with("expected one of"), "{wrong}: {}", say(wrong));
        }
        assert!(say(r#"{"stpe": "a"}"#).contains("unknown field `stpe`"));
        assert!(say(r#"{"hold": {"amounts": {}}}"#).starts_with("hold: "));
        assert!(say(r#"{"extend": {"amounts": {"calls": 1}, "path": "/"}}"#).starts_with("extend: "));
        for wrong in [
            r#"{"amounts": {"calls": 1}, "usage": {"model": "m"}}"#,
            "{}",
            r#"{"answer": {}, "amounts": {}}"#,
        ] {
            let spent: Spent = serde_json::from_str(wrong).unwrap();
            assert!(spent.charge(None).unwrap_err().starts_with("charge: "), "{wrong}");
        }
        assert!(say("progress 40").contains("in `progress 40`"));
        assert!(
            say(r#"{"step": "a", "output": {"$bytes": "AA==", "content_type": "a/b"}}"#).contains("is bytes")
        );
    }
}
