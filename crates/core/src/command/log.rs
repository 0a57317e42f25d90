//! Logging: lines that a running attempt writes for people to read.

use super::context::Context;
use super::{Outcome, Refusal};
use crate::ids::{LeaseRef, RequestId};
use crate::key;
use crate::model::{LOG_BYTES_MAX, LOG_LINES_MAX, LogRecord};

/// Keep lines; all of them or none.
#[derive(Clone, Debug)]
pub struct Log {
    /// The lease.
    pub lease: LeaseRef,
    /// The lines, in order; at least one.
    pub lines: Vec<String>,
    /// The call's own id, if it may be sent again: the same one writes once.
    pub request: Option<RequestId>,
}

impl Log {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let mut execution = context.leased(&self.lease)?;
        let size = execution.log.get_or_insert_default();
        if self.request.is_some_and(|request| size.has_taken(&request)) {
            return Ok(Outcome::Logged(self.lines.len()));
        }
        let record = size.records;
        let (lines, bytes) = (LOG_LINES_MAX - size.lines, LOG_BYTES_MAX - size.bytes);
        if !size.add(&self.lines) {
            return Err(Refusal::LogFull { lines, bytes });
        }
        if let Some(request) = &self.request {
            size.note(request);
        }
        let (at, attempt) = (context.now(), execution.attempt);
        let kept = LogRecord { at, attempt, lines: self.lines.clone() };
        context.put_cold(key::log_lines(execution.id, record), kept.encode());
        context.put_silently(execution);
        Ok(Outcome::Logged(self.lines.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;

    fn log_as(bed: &mut Bed, lease: LeaseRef, lines: &[&str], call: Option<u8>) -> Result<Outcome, Refusal> {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        bed.log(lease, lines, call.map(|n| RequestId([n; 16])))
    }

    #[test]
    fn lines_are_kept_by_attempt_in_the_order_of_their_calls() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        assert_eq!(log_as(&mut bed, lease, &["a", "b"], None), Ok(Outcome::Logged(2)));
        bed.pass(5);
        log_as(&mut bed, lease, &["c"], None).unwrap();
        bed.fail_as(lease, "Broken", None, Some(0)).unwrap();
        assert_eq!(log_as(&mut bed, lease, &["late"], None), Err(Refusal::LeaseLost));
        let lease = bed.lease();
        log_as(&mut bed, lease, &["d"], None).unwrap();
        bed.complete(lease, "1").unwrap();
        bed.replay(id, None).unwrap();
        let lease = bed.lease();
        log_as(&mut bed, lease, &["e"], None).unwrap();
        let kept: Vec<_> = bed
            .logs(id)
            .into_iter()
            .map(|r| (r.at - crate::bed::START, r.attempt, r.lines.concat()))
            .collect();
        let expected = [(0, 1, "ab"), (5, 1, "c"), (5, 2, "d"), (5, 3, "e")];
        assert_eq!(kept, expected.map(|(at, attempt, lines)| (at, attempt, lines.to_owned())));
    }

    #[test]
    fn a_call_that_is_sent_again_writes_once() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        for call in [1, 2, 1, 3, 2, 3] {
            assert_eq!(log_as(&mut bed, lease, &["x"], Some(call)), Ok(Outcome::Logged(1)));
        }
        assert_eq!(bed.logs(id).len(), 3);
        for call in 4..40 {
            log_as(&mut bed, lease, &["x"], Some(call)).unwrap();
        }
        let size = minicbor::to_vec(bed.show(id).execution.log.unwrap()).unwrap();
        assert!(size.len() < 60, "{} bytes: the calls remembered are bounded", size.len());
    }

    #[test]
    fn a_full_log_takes_all_or_nothing() {
        let mut bed = Bed::new();
        let id = bed.submit(|_| ());
        let lease = bed.lease();
        let large = "x".repeat(1_000_000);
        log_as(&mut bed, lease, &[&large], None).unwrap();
        let left = Err(Refusal::LogFull { lines: 9_999, bytes: 48_576 });
        assert_eq!(log_as(&mut bed, lease, &["y", &large], None), left);
        log_as(&mut bed, lease, &["y"], None).unwrap();
        assert_eq!(bed.logs(id).len(), 2);

        let many = bed.submit(|_| ());
        let lease = bed.lease();
        let lines = vec![""; 9_999];
        log_as(&mut bed, lease, &lines, None).unwrap();
        assert_eq!(
            log_as(&mut bed, lease, &["", ""], None),
            Err(Refusal::LogFull { lines: 1, bytes: 1 << 20 })
        );
        log_as(&mut bed, lease, &[""], None).unwrap();
        assert_eq!(bed.logs(many).iter().map(|record| record.lines.len()).sum::<usize>(), 10_000);
    }
}
