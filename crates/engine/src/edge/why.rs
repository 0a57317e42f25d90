//! What an execution waits for, in words: what the hub knows first, then what its partition says.

use stint_api::{Instant, Waiting, WaitingForBudget, WhyReply};
use stint_core::Millis;
use stint_core::command::{AHEAD_MAX, Place, Reason, WhyAnswer};
use stint_core::model::{Group, Shortfall, State};

use super::{budget, view};
use crate::workers::{Lack, Workers};

/// The answer to `why`.
pub(crate) fn reply(answer: WhyAnswer, place: Option<&Place>, workers: &Workers) -> WhyReply {
    let execution = &answer.execution;
    let waits = matches!(execution.state(), State::Ready | State::Scheduled | State::Suspended);
    let lack = workers.lack(&execution.group).filter(|_| waits);
    let blocked = answer.state == "blocked";
    let mut waiting_for: Vec<Waiting> =
        lack.as_ref().map(|lack| lacking(lack, &execution.group)).into_iter().collect();
    let reasons = answer.reasons.iter();
    // That nobody can run it says more than that somebody will.
    waiting_for.extend(
        reasons
            .filter(|reason| lack.is_none() || !matches!(reason, Reason::Worker { .. }))
            .map(|reason| waiting(reason, place, &execution.group)),
    );
    WhyReply {
        state: view::seen_state(execution.state(), blocked),
        waiting_for,
        until: answer.until.map(Instant::from_millis),
    }
}

fn lacking(lack: &Lack, group: &Group) -> Waiting {
    let (lane, kind) = (&group.lane, &group.kind);
    let (reason, detail) = match lack {
        Lack::Lane => ("no_worker", format!("no worker that serves lane `{lane}` was seen lately")),
        Lack::Kind => ("no_worker", format!("no worker of lane `{lane}` runs kind `{kind}`")),
        Lack::Capability(missing) => {
            ("no_capable_worker", format!("no worker of lane `{lane}` fulfils {}", quoted(missing)))
        }
    };
    Waiting { reason: reason.to_owned(), detail, until: None, budget: None }
}

fn waiting(reason: &Reason, place: Option<&Place>, group: &Group) -> Waiting {
    let lane = &group.lane;
    let (name, detail, until): (_, _, Option<Millis>) = match reason {
        Reason::Delay { until } => ("delay", "it is due later".to_owned(), Some(*until)),
        Reason::Backoff { until, failures } => {
            let times = if *failures == 1 { "once".to_owned() } else { format!("{failures} times") };
            ("retry_backoff", format!("it failed {times} and is tried again later"), Some(*until))
        }
        Reason::LanePaused => ("lane_paused", format!("lane `{lane}` is paused"), None),
        Reason::Paused => ("paused", "it is paused".to_owned(), None),
        Reason::Worker { ahead } => ("worker", ahead_of(*ahead), None),
        Reason::Running { worker, lease_expires } => {
            ("running", format!("worker `{worker}` runs it"), Some(*lease_expires))
        }
        Reason::TimerQuarantined => (
            "timer_quarantined",
            "what the clock owes it failed three times: a fault of the server's".to_owned(),
            None,
        ),
        Reason::Budget { path, shortfall, behind, .. } => {
            let missing = missing(shortfall, place);
            let until = missing.and_then(|missing| missing.resets_at);
            ("budget", detail_of(path, missing, behind.is_some()), until)
        }
        Reason::Stopping { until, message } => {
            let why = message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            ("stopping", format!("its worker was asked to stop{why}"), Some(*until))
        }
    };
    let budget = waiting_for_budget(reason, place);
    Waiting { reason: name.to_owned(), detail, until: until.map(Instant::from_millis), budget }
}

fn waiting_for_budget(reason: &Reason, place: Option<&Place>) -> Option<WaitingForBudget> {
    let Reason::Budget { path, shortfall, behind, since, .. } = reason else { return None };
    Some(WaitingForBudget {
        path: path.clone(),
        position: place.map(|place| place.ahead as u64 + 1),
        behind: behind.map(|id| id.to_string()),
        shortfall: missing(shortfall, place).map(budget::shortfall),
        since: since.map(Instant::from_millis),
    })
}

/// What is missing now, as the queue says; if it doesn't, what was missing when it last did. None if only others are before it.
fn missing<'a>(told: &'a Shortfall, place: Option<&'a Place>) -> Option<&'a Shortfall> {
    let missing = place.map_or(Some(told), |place| place.shortfall.as_ref());
    missing.filter(|missing| !missing.dimension.is_empty())
}

fn detail_of(path: &str, missing: Option<&Shortfall>, behind: bool) -> String {
    let before = if behind { "others of the same budgets are before it: " } else { "" };
    let Some(Shortfall { path: at, window, dimension, limit, used, held, missing, .. }) = missing else {
        return format!("{before}budget `{path}` serves those before it first");
    };
    format!(
        "{before}budget `{at}` lacks {missing} {dimension} in window `{window}`: {used} used and {held} held of {limit}"
    )
}

fn ahead_of(ahead: usize) -> String {
    let ahead = match ahead {
        0 => "nothing".to_owned(),
        AHEAD_MAX.. => format!("at least {AHEAD_MAX}"),
        _ => ahead.to_string(),
    };
    format!("it waits for a free worker; in its partition, one of 64, {ahead} of its kind stands before it")
}

fn quoted(texts: &[String]) -> String {
    texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(" and ")
}
