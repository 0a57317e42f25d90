//! How an execution's end is printed, and what exit code it means.

use anyhow::Result;
use stint::Outcome;
use stint::api::{ExecutionState, Payload, ResultReply};

use crate::exit::Failed;
use crate::output;

/// Prints the output, as JSON for programs with its state; an end without an output is an error.
pub(crate) fn print(id: &str, outcome: Outcome<Payload>, how: Form) -> Result<()> {
    let Outcome { state, output, failure } = outcome;
    let reply = ResultReply { state, output, error: failure };
    match (how, &reply.output) {
        (Form::Reply, _) => output::json(&reply)?,
        (_, Some(Payload::Bytes { bytes, .. })) => output::bytes(bytes)?,
        (Form::Raw, Some(Payload::Json(json))) => match serde_json::from_str::<String>(json.get()) {
            Ok(text) => output::line(text)?,
            Err(_) => output::line(json.get())?,
        },
        (Form::Plain, Some(Payload::Json(json))) => output::line(json.get())?,
        (_, None) => {}
    }
    if reply.output.is_some() {
        return Ok(());
    }
    let why = reply.error.map(|error| format!(": {}: {}", error.kind, error.message)).unwrap_or_default();
    Err(unfinished(id, state, &why))
}

/// The form in which an output is printed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// The output alone: JSON, or the bytes.
    Plain,
    /// The same, but a JSON string as its text.
    Raw,
    /// State and output or error, as JSON.
    Reply,
}

impl Form {
    /// What the flags ask for.
    pub(crate) fn of(json: bool, raw: bool) -> Self {
        match (json, raw) {
            (true, _) => Self::Reply,
            (false, true) => Self::Raw,
            (false, false) => Self::Plain,
        }
    }
}

/// An execution that gave nothing, or nothing yet.
pub(crate) fn unfinished(id: &str, state: ExecutionState, why: &str) -> anyhow::Error {
    Failed::Unfinished { state, text: format!("{id} is {state}{why}") }.into()
}
