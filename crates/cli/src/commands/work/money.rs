//! What a program says of money on its channel: `charge`, `hold` and `extend`. Each is answered.

use serde::Deserialize;
use serde_json::{Value, json};
use stint::api::{ChargeRequest, LeaseHoldRequest, Usage};
use stint::{Amounts, Charge, Context, Failure};

use super::channel::{Answers, stopped};

/// What was spent, in one of three ways.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with amounts, usage or answer")]
pub(super) struct Spent {
    id: Option<String>,
    step: Option<String>,
    amounts: Option<Amounts>,
    usage: Option<Usage>,
    /// What a provider answered.
    answer: Option<Value>,
}

/// What is to be spent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with amounts")]
pub(super) struct Asked {
    amounts: Amounts,
    /// The budget, where the execution names several.
    path: Option<String>,
}

impl Spent {
    /// The charge; of the step that is under way, if there is one and no other is named.
    pub(super) fn charge(self, step: Option<String>) -> Result<Charge, String> {
        let Self { id, step: named, amounts, usage, answer } = self;
        let step = named.or(step);
        // The server would refuse all that travels with it.
        let check = |amounts: &Option<Amounts>, usage: &Option<Usage>| {
            let charge_id = id.clone().unwrap_or_else(|| "unnamed".to_owned());
            let (amounts, usage, step) = (amounts.clone(), usage.clone(), step.clone());
            let request = ChargeRequest { charge_id, amounts, usage, step, namespace: None };
            request.validate().map_err(|problem| format!("charge: {problem}"))
        };
        let mut charge = match (&answer, amounts, usage) {
            (Some(answer), None, None) => {
                check(&Some(Amounts::default()), &None)?;
                Charge::from(answer)
            }
            (None, amounts, usage) => {
                check(&amounts, &usage)?;
                amounts
                    .map(Charge::from)
                    .or(usage.map(Charge::from))
                    .unwrap_or_else(|| Charge::from(&Value::Null))
            }
            (Some(_), ..) => return Err("charge: expected one of amounts, usage, answer".to_owned()),
        };
        if let Some(id) = id {
            charge = charge.id(id);
        }
        Ok(match step {
            Some(step) => charge.step(step),
            None => charge,
        })
    }
}

impl Asked {
    /// Fails if the server would refuse it.
    pub(super) fn check(self, what: &str) -> Result<Self, String> {
        let request = LeaseHoldRequest {
            id: what.to_owned(),
            amounts: self.amounts.clone(),
            path: self.path.clone(),
            ..LeaseHoldRequest::default()
        };
        request.validate().map_err(|problem| format!("{what}: {problem}"))?;
        Ok(self)
    }
}

/// Says a charge, now, and answers when it is recorded.
pub(super) fn charge(context: &Context, charge: Charge, answers: Answers) -> impl Future<Output = ()> + Send {
    let said = context.charge(charge);
    async move {
        let answer = match said.await {
            Ok(reply) => json!({"charge": reply}),
            Err(failure) => json!({"charge": {"recorded": false, "error": failure.to_string()}}),
        };
        // A program that has gone hears nothing.
        _ = answers.send(answer.to_string());
    }
}

/// Makes sure that so much is held.
pub(super) async fn hold(context: &Context, asked: Asked, answers: Answers) {
    let Asked { amounts, path } = asked;
    let held = match path {
        Some(path) => context.hold_at(&path, amounts).await,
        None => context.hold(amounts).await,
    };
    answer("hold", held.map(|()| true), &answers);
}

/// Asks for so much more.
pub(super) async fn extend(context: &Context, asked: Asked, answers: Answers) {
    let Asked { amounts, path } = asked;
    let extended = match path {
        Some(path) => context.extend_at(&path, amounts).await,
        None => context.extend(amounts).await,
    };
    answer("extend", extended, &answers);
}

fn answer(what: &str, granted: Result<bool, Failure>, answers: &Answers) {
    let answer = match granted {
        Ok(granted) => json!({what: granted}),
        Err(failure) => {
            let (why, text) = stopped(&failure);
            json!({what: false, why: text})
        }
    };
    _ = answers.send(answer.to_string());
}
