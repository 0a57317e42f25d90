//! Actions on many executions: the job's own record. What is done to each execution is a command of its own.

use super::context::Context;
use super::{Outcome, Refusal};
use crate::find::Filter;
use crate::ids::BulkId;
use crate::key;
use crate::model::{
    BULK_ERRORS_MAX, BULK_JOBS_MAX, BulkAction, BulkError, BulkJob, BulkState, BulkTally, Record,
};

/// Change one job.
#[derive(Clone, Debug)]
pub struct Bulk {
    /// Whose.
    pub namespace: String,
    /// The job.
    pub id: BulkId,
    /// The change.
    pub change: BulkChange,
}

/// What becomes of a job.
#[derive(Clone, Debug)]
pub enum BulkChange {
    /// It begins; one that is there already is left as it is.
    Start {
        /// What is done.
        action: BulkAction,
        /// To which.
        filter: Filter,
        /// How many there are.
        matched: u64,
        /// There may be more.
        at_least: bool,
    },
    /// A page was dealt with. Nothing, if another node was quicker.
    Advance {
        /// Where the page began.
        from: Option<String>,
        /// Where the next begins; `None` if that was the last.
        to: Option<String>,
        /// What became of its executions.
        tally: BulkTally,
        /// Those that were refused.
        errors: Vec<BulkError>,
    },
    /// Begin no other page.
    Stop,
}

impl Bulk {
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<Outcome, Refusal> {
        let known = context.partition.bulk(&self.namespace, self.id).cloned();
        let job = match (&self.change, known) {
            (BulkChange::Start { .. }, Some(job)) => return Ok(Outcome::Bulk(Box::new(job))),
            (BulkChange::Start { action, filter, matched, at_least }, None) => {
                make_room(context)?;
                let started_at = context.now();
                let until = filter.until.map_or(started_at + 1, |until| until.min(started_at + 1));
                BulkJob {
                    id: self.id,
                    action: action.clone(),
                    filter: Filter { until: Some(until), ..filter.clone() },
                    started_at,
                    state: BulkState::Running,
                    ended_at: None,
                    matched: *matched,
                    at_least: *at_least,
                    cursor: None,
                    tally: BulkTally::default(),
                    errors: Vec::new(),
                }
            }
            (_, None) => return Err(Refusal::BulkNotFound(self.id)),
            (_, Some(job)) if job.state != BulkState::Running => return Ok(Outcome::Bulk(Box::new(job))),
            (BulkChange::Advance { from, .. }, Some(job)) if *from != job.cursor => {
                return Ok(Outcome::Bulk(Box::new(job)));
            }
            (BulkChange::Advance { to, tally, errors, .. }, Some(mut job)) => {
                job.tally.changed += tally.changed;
                job.tally.skipped += tally.skipped;
                job.tally.failed += tally.failed;
                let room = BULK_ERRORS_MAX.saturating_sub(job.errors.len());
                job.errors.extend(errors.iter().take(room).cloned());
                job.cursor.clone_from(to);
                if to.is_none() {
                    end(&mut job, BulkState::Done, context.now());
                }
                job
            }
            (BulkChange::Stop, Some(mut job)) => {
                end(&mut job, BulkState::Stopped, context.now());
                job
            }
        };
        context.put_record(key::bulk(self.id), Some(Record::Bulk(Box::new(job.clone()))));
        Ok(Outcome::Bulk(Box::new(job)))
    }
}

fn end(job: &mut BulkJob, state: BulkState, now: crate::Millis) {
    job.state = state;
    job.ended_at = Some(now);
}

/// Forgets the job that ended first, if there are too many.
fn make_room(context: &mut Context<'_>) -> Result<(), Refusal> {
    if context.partition.bulks().count() < BULK_JOBS_MAX {
        return Ok(());
    }
    let ended = context.partition.bulks().filter_map(|job| Some((job.ended_at?, job.id))).min();
    let (_, oldest) = ended.ok_or(Refusal::TooManyBulks { max: BULK_JOBS_MAX })?;
    context.put_record(key::bulk(oldest), None);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bed::Bed;
    use crate::command::Command;

    fn change(bed: &mut Bed, n: u8, change: BulkChange) -> Result<BulkJob, Refusal> {
        let bulk = Bulk { namespace: "default".into(), id: BulkId([n; 16]), change };
        match bed.run(Command::Bulk(bulk))? {
            Outcome::Bulk(job) => Ok(*job),
            other => panic!("{other:?}"),
        }
    }

    fn start() -> BulkChange {
        let filter = Filter { lane: Some("mail".into()), ..Filter::all("default") };
        BulkChange::Start { action: BulkAction::Pause, filter, matched: 5, at_least: false }
    }

    fn advance(from: Option<&str>, to: Option<&str>, changed: u64) -> BulkChange {
        let error =
            BulkError { execution: [1; 16], code: "wrong_state".into(), detail: "not running".into() };
        let tally = BulkTally { changed, skipped: 1, failed: 15 };
        let text = |at: Option<&str>| at.map(str::to_owned);
        BulkChange::Advance { from: text(from), to: text(to), tally, errors: vec![error; 15] }
    }

    #[test]
    fn a_job_goes_on_page_by_page_and_counts() {
        let mut bed = Bed::new();
        let job = change(&mut bed, 1, start()).unwrap();
        assert_eq!((job.state, job.filter.until), (BulkState::Running, Some(bed.now + 1)));
        bed.pass(10);
        assert_eq!(change(&mut bed, 1, start()).unwrap(), job, "asked for twice");
        change(&mut bed, 1, advance(None, Some("a"), 3)).unwrap();
        let job = change(&mut bed, 1, advance(None, Some("a"), 3)).unwrap();
        assert_eq!(job.tally, BulkTally { changed: 3, skipped: 1, failed: 15 }, "a page counts once");
        let job = change(&mut bed, 1, advance(Some("a"), None, 2)).unwrap();
        assert_eq!((job.state, job.ended_at), (BulkState::Done, Some(bed.now)));
        assert_eq!((job.tally.changed, job.errors.len()), (5, BULK_ERRORS_MAX));
        let again = change(&mut bed, 1, BulkChange::Stop).unwrap();
        assert_eq!(again, job, "what is done can't be stopped");
    }

    #[test]
    fn a_stopped_job_takes_no_other_page() {
        let mut bed = Bed::new();
        change(&mut bed, 1, start()).unwrap();
        assert_eq!(change(&mut bed, 1, BulkChange::Stop).unwrap().state, BulkState::Stopped);
        assert_eq!(change(&mut bed, 1, advance(None, Some("a"), 3)).unwrap().tally.changed, 0);
        let other = BulkId([2; 16]);
        assert_eq!(change(&mut bed, 2, BulkChange::Stop), Err(Refusal::BulkNotFound(other)));
    }

    #[test]
    fn the_oldest_that_has_ended_makes_room() {
        let mut bed = Bed::new();
        for n in 1..=BULK_JOBS_MAX as u8 {
            change(&mut bed, n, start()).unwrap();
        }
        let max = BULK_JOBS_MAX;
        assert_eq!(change(&mut bed, 200, start()), Err(Refusal::TooManyBulks { max }));
        change(&mut bed, 7, BulkChange::Stop).unwrap();
        bed.pass(1);
        change(&mut bed, 3, BulkChange::Stop).unwrap();
        change(&mut bed, 200, start()).unwrap();
        assert!(bed.partition.bulk("default", BulkId([7; 16])).is_none());
        assert!(bed.partition.bulk("default", BulkId([3; 16])).is_some());
        assert!(bed.partition.bulk("theirs", BulkId([3; 16])).is_none());
    }
}
