//! What unread replies said is said again by the next, each thing once, and never more than a bound.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stint_api::{Answer, ExchangeAnswer, ExchangeReply, StepReply};
use stint_core::LeaseRef;

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
                .filter(|lease| said.insert(("lease", lease.lease.clone(), [None, None, None])))
                .filter(|lease| {
                    lease
                        .lease
                        .parse()
                        .is_ok_and(|lease: LeaseRef| session.lease_of(lease.execution) == Some(lease))
                })
                .cloned(),
        );
        let answers = before.answers.iter();
        reply.answers.extend(
            answers
                .filter(|answer| {
                    let ExchangeAnswer { key, logs, charge_id, hold, .. } = answer;
                    let about = if *logs { "logs" } else { "answer" };
                    said.insert((about, answer.lease.clone(), [key, charge_id, hold].map(Clone::clone)))
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

#[cfg(test)]
mod tests {
    use stint_api::{ChargeReply, ExtendReply};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_answer_that_was_not_read_is_said_again_and_once() {
        let about = |charge_id: Option<&str>, hold: Option<&str>, answer| ExchangeAnswer {
            lease: "a".to_owned(),
            key: None,
            logs: false,
            charge_id: charge_id.map(str::to_owned),
            hold: hold.map(str::to_owned),
            answer,
        };
        let charged = |id| about(Some(id), None, Answer::Charged(ChargeReply::default()));
        let extended = |id| about(None, Some(id), Answer::Extended(ExtendReply::default()));
        let answers = vec![charged("c1"), charged("c2"), extended("h1"), extended("h2")];
        let unread = Arc::new(ExchangeReply { n: 1, answers: answers.clone(), ..ExchangeReply::default() });
        let mut reply = ExchangeReply::default();
        repeat(&[unread.clone(), unread], &Session::new(Instant::now()), &mut reply);
        assert_eq!(reply.answers, answers);
    }
}
