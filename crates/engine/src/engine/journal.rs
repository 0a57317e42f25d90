//! What hangs on an execution: its journaled steps, and the lines it logged.

use bytes::Bytes;
use stint_api::{
    Code, Instant, LogLine, LogReply, LogRequest, LogsReply, Problem, RequestKey, STEP_KEY_CHARS, StepState,
    StepView, StepsReply, check_namespace,
};
use stint_core::command::{Log, Outcome};
use stint_core::model::{LogRecord, StepRecord};
use stint_core::{Command, ExecutionId, Key, key};
use stint_store as store;

use super::act::after;
use super::{Engine, Inner};
use crate::edge::page::{self, bad_cursor, pair};
use crate::edge::problem::{execution_id, problem, unexpected};
use crate::edge::{payload, route};

/// Bytes of records at which a page closes, however few they are.
const PAGE_BYTES: usize = 4 << 20;

impl Engine {
    /// An execution's journaled steps by key, from behind a cursor on.
    pub async fn steps(
        &self,
        namespace: &str,
        id: &str,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<StepsReply, Problem> {
        check_namespace(namespace)?;
        let (id, limit) = (execution_id(id)?, page::limit(limit)?);
        // Its answer leaves when all that it saw is committed, so the range sees all of the journal.
        self.0.peek(namespace, id).await?;
        let all = key::steps(id);
        let from = match cursor {
            None => all.clone(),
            Some(last) if last.is_empty() || last.len() > STEP_KEY_CHARS => return Err(bad_cursor()),
            Some(last) => behind(key::step(id, last)),
        };
        let (rows, more) = self.0.rows(id, from, after(&all), limit).await?;
        let steps = rows.into_iter().map(|(row, value)| step(row.get(all.bytes.len()..), &value));
        let steps = steps.collect::<Option<Vec<_>>>().ok_or_else(|| unreadable("a step"))?;
        let next_cursor = steps.last().filter(|_| more).map(|step| step.key.clone());
        Ok(StepsReply { steps, next_cursor })
    }

    /// Keeps lines of a running attempt, once per request key.
    pub async fn log(
        &self,
        lease: &str,
        request: LogRequest,
        key: Option<RequestKey>,
    ) -> Result<LogReply, Problem> {
        request.validate()?;
        let lease = self.0.leased(lease, request.namespace.as_deref()).await?;
        let log = Log { lease, lines: request.lines, request: key.as_ref().map(route::request_id) };
        logged(self.0.call(lease.execution.partition(), Command::Log(log)).await?)
    }

    /// Lines that an execution's attempts logged, or one of them, from behind a cursor on.
    pub async fn logs(
        &self,
        namespace: &str,
        id: &str,
        attempt: Option<u32>,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<LogsReply, Problem> {
        check_namespace(namespace)?;
        let (id, limit) = (execution_id(id)?, page::limit(limit)?);
        // The record and the line in it that come next.
        let (mut record, mut line) = match cursor {
            None => (0_u32, 0_usize),
            Some(cursor) => pair(cursor).ok_or_else(bad_cursor)?,
        };
        let size = self.0.peek(namespace, id).await?.log;
        let records = size.map_or(0, |size| size.records);
        let mut lines = Vec::new();
        while record < records {
            let (from, to) = (key::log_lines(id, record), key::log_lines(id, records));
            // Every record holds a line at least, and all of them little more than a page's bytes.
            let (rows, _) = self.0.rows(id, from, to, limit).await?;
            if rows.is_empty() {
                return Err(unreadable("a part of the log"));
            }
            for (_, value) in rows {
                let part =
                    minicbor::decode::<LogRecord>(&value).map_err(|_| unreadable("a part of the log"))?;
                let wanted = attempt.is_none_or(|attempt| attempt == part.attempt);
                for text in part.lines.into_iter().skip(line).filter(|_| wanted) {
                    if lines.len() == limit {
                        return Ok(LogsReply { lines, next_cursor: Some(format!("{record}-{line}")) });
                    }
                    let at = Instant::from_millis(part.at);
                    lines.push(LogLine { attempt: part.attempt, at, line: text });
                    line += 1;
                }
                (record, line) = (record + 1, 0);
            }
        }
        Ok(LogsReply { lines, next_cursor: None })
    }
}

impl Inner {
    /// The first ordered records of a range, and whether there may be more.
    async fn rows(
        &self,
        id: ExecutionId,
        from: Key,
        to: Key,
        limit: usize,
    ) -> Result<(Vec<(Bytes, Bytes)>, bool), Problem> {
        let partition = store::PartitionId(id.partition().0);
        let mut range = store::Range { from: from.bytes, to: to.bytes, reverse: false, limit };
        let (mut rows, mut bytes) = (Vec::new(), 0);
        loop {
            let page = self.node.shared().store.range(partition, range.clone()).await;
            let page = page.map_err(|error| problem(crate::CallError::Store(error.to_string())))?;
            bytes += page.rows.iter().map(|(row, value)| row.len() + value.len()).sum::<usize>();
            rows.extend(page.rows);
            let Some(cursor) = page.cursor else { return Ok((rows, false)) };
            if rows.len() >= limit || bytes >= PAGE_BYTES {
                return Ok((rows, true));
            }
            (range.from, range.limit) = (cursor, limit - rows.len());
        }
    }
}

/// What lines came to.
pub(crate) fn logged(outcome: Outcome) -> Result<LogReply, Problem> {
    match outcome {
        Outcome::Logged(lines) => Ok(LogReply { accepted: lines as u64 }),
        _ => Err(unexpected()),
    }
}

fn step(key: Option<&[u8]>, value: &[u8]) -> Option<StepView> {
    let key = std::str::from_utf8(key?).ok()?.to_owned();
    let record = minicbor::decode::<StepRecord>(value).ok()?;
    let state = if record.result.is_some() { StepState::Recorded } else { StepState::Started };
    Some(StepView {
        key,
        state,
        attempt: record.attempt(),
        at: Instant::from_millis(record.recorded_at.unwrap_or(record.begun_at)),
        output: record.result.map(|result| payload::stored(&result, None)),
    })
}

/// The first key behind this one.
fn behind(key: Key) -> Key {
    let mut bytes = key.bytes.to_vec();
    bytes.push(0);
    Key { table: key.table, bytes: bytes.into() }
}

fn unreadable(what: &str) -> Problem {
    Problem::new(Code::Internal, format!("{what} of this execution can't be read"))
}
