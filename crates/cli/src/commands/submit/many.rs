//! Many submissions from one file: in batches, several under way, so that the server is never waited for without
//! need and never flooded.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use stint::api::{Class, Problem, SubmitReply, SubmitRequest};
use stint::{Client, Error};
use tokio::sync::watch;

use super::Args;
use super::lines::{self, Batches, Line};
use super::tally::{Fate, Tally};
use crate::exit::Failed;
use crate::output;
use crate::signals::Interrupts;

/// The first wait before lines are sent again that the server could not take yet, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Refused lines that are named on standard error. All of them are in --rejects and --json.
const NAMED_MAX: u64 = 100;

/// A batch, after it was sent.
struct Sent {
    lines: Vec<(Line, Verdict)>,
    /// Why nothing more should be sent.
    failed: Option<Error>,
}

/// What the server says to a line.
enum Verdict {
    Accepted(SubmitReply),
    Refused(Problem),
    Open,
    Unknown,
}

/// Everything that is told on the way.
struct Report {
    bar: ProgressBar,
    rejects: Option<File>,
    as_json: bool,
    tally: Tally,
}

pub(super) fn run(args: Args) -> Result<()> {
    let path = args.file.clone().unwrap_or_default();
    let named = |error| Failed::Usage(format!("{}: {error}", path.display()));
    let (source, length) = lines::open(&path).map_err(named)?;
    if args.to_line.is_some_and(|last| last < args.from_line) {
        return Err(
            Failed::Usage("--to-line is before --from-line: there is nothing to submit".to_owned()).into()
        );
    }
    let create = |path: &Path| {
        File::create(path).map_err(|error| Failed::Usage(format!("{}: {error}", path.display())))
    };
    let rejects = args.rejects.as_deref().map(create).transpose()?;
    let form = lines::Form {
        kind: args.kind,
        fields: args.fields,
        key_prefix: args.key_prefix,
        range: args.from_line..=args.to_line.unwrap_or(u64::MAX),
    };
    let in_flight = usize::try_from(args.in_flight)?;
    let batches = Batches::read(source, form, usize::try_from(args.batch)?);
    let mut report = Report {
        bar: bar(length),
        rejects,
        as_json: args.connection.json,
        tally: Tally::from(args.from_line),
    };
    let began = Instant::now();
    let ended = args.connection.run(|client| {
        let report = &mut report;
        async move { submit(client, batches, in_flight, report).await }
    });
    report.bar.finish_and_clear();
    let tally = report.tally;
    if ended.is_err() {
        // However it ended, also where the end itself is quiet: this must be known.
        eprintln!("stint: {}", tally.how_to_go_on());
        return ended;
    }
    let seconds = began.elapsed().as_secs_f64();
    let rate = tally.accepted as f64 / seconds.max(0.001);
    eprintln!("{tally} in {seconds:.1} s, {rate:.0} a second");
    match tally.refused {
        0 => Ok(()),
        refused => Err(Failed::Refused(format!("{refused} of {} lines were refused", tally.ended())).into()),
    }
}

async fn submit(client: Client, mut batches: Batches, in_flight: usize, report: &mut Report) -> Result<()> {
    let mut interrupts = Interrupts::listen()?;
    let (stop, stopped) = watch::channel(false);
    let mut under_way = FuturesOrdered::new();
    let mut is_exhausted = false;
    let mut failed: Option<anyhow::Error> = None;
    while !(under_way.is_empty() && (is_exhausted || failed.is_some())) {
        tokio::select! {
            biased;
            () = interrupts.heard() => {
                if failed.replace(Failed::Interrupted.into()).is_some() {
                    // Told twice: what is under way is not waited for.
                    break;
                }
                report.say("stopping; waiting for answers under way (again to stop at once)");
                stop.send_replace(true);
            }
            Some(sent) = under_way.next(), if !under_way.is_empty() => {
                let stops = report.take(sent);
                if let Err(error) = stops {
                    failed.get_or_insert(error);
                    stop.send_replace(true);
                }
            }
            batch = batches.next(), if failed.is_none() && !is_exhausted && under_way.len() < in_flight => match batch {
                Some(Ok(batch)) => under_way.push_back(send(client.clone(), batch, stopped.clone(), report.bar.clone())),
                Some(Err(error)) => failed = Some(anyhow::Error::new(error).context("the file can't be read any further")),
                None => is_exhausted = true,
            },
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Sends a batch until each of its lines has a fate. What can't be taken yet (a full lane, a server with too much
/// to do) is sent again until it is taken or `stopped`.
async fn send(
    client: Client,
    lines: Vec<Line>,
    mut stopped: watch::Receiver<bool>,
    bar: ProgressBar,
) -> Sent {
    let mut verdicts: Vec<Verdict> = Vec::with_capacity(lines.len());
    let mut open: Vec<(usize, SubmitRequest)> = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        verdicts.push(match &line.request {
            Ok(request) => {
                open.push((index, request.clone()));
                Verdict::Open
            }
            Err(problem) => Verdict::Refused(problem.clone()),
        });
    }
    let mut settle = |index: usize, verdict: Verdict| {
        if let Some(slot) = verdicts.get_mut(index) {
            *slot = verdict;
        }
    };
    let first = lines.first().map_or(0, |line| line.number);
    let (mut failed, mut wait, mut has_waited) = (None, WAITS.0, false);
    while !open.is_empty() {
        let busy = match client.submit_batch(open.iter().map(|(_, request)| request.clone().into())).await {
            Ok(results) => {
                let mut busy = None;
                let mut left = Vec::new();
                for ((index, request), result) in open.into_iter().zip(results) {
                    match result.map_err(alone) {
                        Ok(reply) => settle(index, Verdict::Accepted(reply)),
                        Err(problem) if problem.code.class() == Class::Retryable => {
                            busy = Some(problem);
                            left.push((index, request));
                        }
                        Err(problem) => settle(index, Verdict::Refused(problem)),
                    }
                }
                open = left;
                busy
            }
            Err(Error::Refused(problem)) => match blamed(&problem) {
                Some((at, problem)) if at < open.len() => {
                    let (index, _) = open.remove(at);
                    settle(index, Verdict::Refused(problem));
                    None
                }
                _ if problem.code.class() == Class::Retryable => Some(problem),
                _ => {
                    failed = Some(Error::Refused(problem));
                    break;
                }
            },
            Err(error) => {
                for (index, _) in open.drain(..) {
                    settle(index, Verdict::Unknown);
                }
                failed = Some(error);
                break;
            }
        };
        let Some(problem) = busy else { continue };
        if *stopped.borrow() {
            break;
        }
        bar.set_message(format!("waiting: {}", problem.code));
        if !has_waited {
            has_waited = true;
            bar.suspend(|| eprintln!("stint: waiting from line {first} on: {problem}"));
        }
        let asked = problem.retry_after_ms.map_or(wait, Duration::from_millis);
        wait = (wait * 2).min(WAITS.1);
        let _ = tokio::time::timeout(asked.min(WAITS.1), stopped.wait_for(|stopped| *stopped)).await;
    }
    Sent { lines: lines.into_iter().zip(verdicts).collect(), failed }
}

/// The submission of a batch that a problem is about, and the problem as if that had been alone.
fn blamed(problem: &Problem) -> Option<(usize, Problem)> {
    let (index, rest) = problem.field.as_deref()?.strip_prefix("executions[")?.split_once(']')?;
    let field = rest.trim_start_matches('.');
    let field = (!field.is_empty()).then(|| field.to_owned());
    Some((index.parse().ok()?, Problem { field, ..problem.clone() }))
}

/// A problem as if its submission had not been part of a batch.
fn alone(problem: Problem) -> Problem {
    blamed(&problem).map_or(problem, |(_, problem)| problem)
}

impl Report {
    /// Tells what became of a batch. An error says that nothing more should be sent.
    fn take(&mut self, sent: Sent) -> Result<()> {
        let mut printed = Vec::new();
        for (line, verdict) in sent.lines {
            let fate = match verdict {
                Verdict::Accepted(reply) => {
                    if self.as_json {
                        let mut entry = json!({"line": line.number, "id": reply.id, "state": reply.state});
                        if reply.existed {
                            entry["existed"] = true.into();
                        }
                        writeln!(printed, "{entry}")?;
                    }
                    Fate::Accepted { existed: reply.existed }
                }
                Verdict::Refused(problem) => {
                    self.refuse(&line, &problem, &mut printed)?;
                    Fate::Refused
                }
                Verdict::Open => Fate::Open,
                Verdict::Unknown => Fate::Unknown,
            };
            self.tally.note(line.number, fate);
            self.bar.set_position(line.offset);
        }
        self.bar.set_message(format!("{} lines", self.tally.ended()));
        output::bytes(&printed)?;
        sent.failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn refuse(&mut self, line: &Line, problem: &Problem, printed: &mut Vec<u8>) -> Result<()> {
        if self.as_json {
            writeln!(printed, "{}", json!({"line": line.number, "error": problem}))?;
        }
        if self.tally.refused < NAMED_MAX {
            self.say(&format!("line {}: {problem}", line.number));
        } else if self.tally.refused == NAMED_MAX {
            self.say("further refused lines are only counted here; --rejects and --json have them all");
        }
        if let Some(rejects) = &mut self.rejects {
            let mut text = line.text.clone();
            text.push(b'\n');
            rejects.write_all(&text).context("the file for refused lines can't be written")?;
        }
        Ok(())
    }

    fn say(&self, what: &str) {
        self.bar.suspend(|| eprintln!("stint: {what}"));
    }
}

fn bar(length: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
    }
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length), "{bar:40} {percent:>3} %  {msg}  {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg}  {elapsed}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
