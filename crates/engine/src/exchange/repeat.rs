//! What unread replies said is said again by the next, each thing once, and never more than a bound.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stint_api::{Answer, ExchangeAnswer, ExchangeReply, StepReply};

use super::session::Session;

/// Payloads of unread replies: above it a worker gets no more leases, and the oldest answers are not said again.
pub(super) const UNREAD_BYTES: usize = 16 << 20;

/// Bytes of what is not a payload, about.
const FRAME_BYTES: usize = 200;

/// Says again what unread replies said, unless `reply` says it already. Each of them said what those before it had said.
pub(super) fn repeat(unread: &[Arc<ExchangeReply>], session: &Session, reply: &mut ExchangeReply) {
    let mut said = BTreeSet::new();
    // A later stop leaves less time.
    let mut stops = BTreeMap::new();
    for before in unread {
        let leases = before.leases.iter();
        reply.leases.extend(
            leases
                .filter(|lease| said.insert(("lease", lease.lease.clone(), None)))
                .filter(|lease| lease.lease.parse().is_ok_and(|lease| session.holds(lease)))
                .cloned(),
        );
        let answers = before.answers.iter();
        reply.answers.extend(
            answers
                .filter(|answer| {
                    let about = if answer.logs { "logs" } else { "answer" };
                    said.insert((about, answer.lease.clone(), answer.key.clone()))
                })
                .cloned(),
        );
        stops.extend(before.stops.iter().map(|stop| (stop.lease.clone(), stop.clone())));
    }
    let now = std::mem::take(&mut reply.stops);
    stops.extend(now.into_iter().map(|stop| (stop.lease.clone(), stop)));
    reply.stops = stops.into_values().collect();
    let mut bytes = 0;
    let newest = reply.answers.iter().rev().take_while(|answer| {
        bytes += answer_bytes(answer);
        bytes <= UNREAD_BYTES
    });
    let kept = newest.count();
    reply.answers.drain(..reply.answers.len() - kept);
}

/// How much memory a reply takes, about.
pub(super) fn bytes_of(reply: &ExchangeReply) -> usize {
    let leases = reply.leases.iter().map(|lease| {
        let steps = lease.steps.iter().filter_map(|step| step.result.as_ref());
        FRAME_BYTES + lease.execution.input.size() + steps.map(|result| result.size()).sum::<usize>()
    });
    leases.chain(reply.answers.iter().map(answer_bytes)).sum()
}

fn answer_bytes(answer: &ExchangeAnswer) -> usize {
    FRAME_BYTES
        + match &answer.answer {
            Answer::Step(StepReply::Result(result)) => result.size(),
            _ => 0,
        }
}
