//! What the demo found: totals beside the direct count, and how often each file ran.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use stint::api::{AttemptOutcome, AttemptView};

use super::count::Class;
use super::work::Counted;
use crate::exit::Failed;

/// Files listed by name at most; the rest is a number.
const LISTED: usize = 20;

/// Who was killed, by process id.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Killed {
    pub(super) worker: Option<u32>,
    pub(super) server: Option<u32>,
}

/// One file: what came through Stint, what the direct count says, and what it took.
#[derive(Debug)]
pub(super) struct FileRun {
    pub(super) name: String,
    pub(super) counted: Result<Counted, String>,
    pub(super) direct: Counted,
    pub(super) attempts: Vec<AttemptView>,
}

/// A line of the table of totals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
struct Pair {
    stint: u64,
    direct: u64,
}

/// The whole.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    files: usize,
    totals: BTreeMap<&'static str, Pair>,
    /// Files by the number of attempts they took.
    runs: BTreeMap<usize, usize>,
    /// Files that ran more than once, with how each attempt ended.
    run_again: Vec<(String, Vec<String>)>,
    /// Files that are not text, with why.
    odd: Vec<(String, String)>,
    /// Files that changed while the demo ran, so that no comparison makes sense.
    changed: Vec<String>,
    steps_from_journal: u64,
    differences: Vec<String>,
    killed: Killed,
    elapsed_ms: u64,
}

impl FileRun {
    /// Whether the file was another one at some point of the run.
    fn has_changed(&self) -> bool {
        let Ok(counted) = &self.counted else { return false };
        counted.stamps != self.direct.stamps
    }

    fn difference(&self) -> Option<String> {
        let completed = |a: &&AttemptView| a.outcome == Some(AttemptOutcome::Completed);
        let times = self.attempts.iter().filter(completed).count();
        if times != 1 {
            return Some(format!("{}: completed {times} times", self.name));
        }
        match &self.counted {
            Err(reason) => Some(format!("{}: {reason}", self.name)),
            Ok(_) if self.has_changed() => None,
            Ok(counted) if counted.class != self.direct.class || counted.counts != self.direct.counts => {
                Some(format!("{}: {:?} is not {:?}", self.name, counted, self.direct))
            }
            Ok(_) => None,
        }
    }
}

impl Report {
    pub(super) fn new(files: Vec<FileRun>, killed: Killed, elapsed: Duration) -> Self {
        let mut report = Self {
            files: files.len(),
            totals: ROWS.iter().map(|row| (*row, Pair::default())).collect(),
            runs: BTreeMap::new(),
            run_again: Vec::new(),
            odd: Vec::new(),
            changed: Vec::new(),
            steps_from_journal: 0,
            differences: files.iter().filter_map(FileRun::difference).collect(),
            killed,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        };
        for file in &files {
            report.add(file);
        }
        report
    }

    fn add(&mut self, file: &FileRun) {
        *self.runs.entry(file.attempts.len()).or_default() += 1;
        if file.attempts.len() > 1 {
            self.run_again.push((file.name.clone(), file.attempts.iter().map(ending).collect()));
        }
        if file.has_changed() {
            self.changed.push(file.name.clone());
            return;
        }
        if file.direct.class != Class::Text {
            self.odd.push((file.name.clone(), describe(&file.direct.class)));
        }
        if let Ok(counted) = &file.counted {
            self.steps_from_journal += u64::from(counted.from_journal);
            for (row, value) in rows(counted) {
                self.totals.entry(row).or_default().stint += value;
            }
        }
        for (row, value) in rows(&file.direct) {
            self.totals.entry(row).or_default().direct += value;
        }
    }

    pub(super) fn print(&self) {
        let mut totals = Table::new();
        totals.set_header(["", "through Stint", "direct count", "difference"]);
        for row in ROWS {
            let pair = self.totals.get(row).copied().unwrap_or_default();
            let difference = i128::from(pair.stint) - i128::from(pair.direct);
            totals.add_row([
                row.to_owned(),
                pair.stint.to_string(),
                pair.direct.to_string(),
                difference.to_string(),
            ]);
        }
        for column in totals.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("{totals}");
        let mut runs = Table::new();
        runs.set_header(["attempts", "files"]);
        for (attempts, files) in &self.runs {
            runs.add_row([attempts.to_string(), files.to_string()]);
        }
        println!("{runs}");
        list("ran more than once", &self.run_again, |(name, ends)| format!("{name}: {}", ends.join(", ")));
        list("not text", &self.odd, |(name, why)| format!("{name}: {why}"));
        list("changed while the demo ran, not compared", &self.changed, Clone::clone);
        list("DIFFERENCES", &self.differences, Clone::clone);
        if let (Some(worker), Some(server)) = (self.killed.worker, self.killed.server) {
            println!(
                "{} files in {:.1} s through SIGKILL of worker process {worker} and of server process {server}; \
                 {} steps came from the journal of an earlier attempt",
                self.files,
                self.elapsed_ms as f64 / 1_000.0,
                self.steps_from_journal,
            );
        }
    }

    pub(super) fn verdict(&self) -> Result<()> {
        if self.differences.is_empty() {
            return Ok(());
        }
        Err(Failed::Difference(format!("{} files differ", self.differences.len())).into())
    }
}

const ROWS: [&str; 9] =
    ["text files", "empty", "not UTF-8", "too large", "unreadable", "gone", "lines", "words", "tokens"];

fn rows(counted: &Counted) -> [(&'static str, u64); 4] {
    let class = match counted.class {
        Class::Text => "text files",
        Class::Empty => "empty",
        Class::NotUtf8 => "not UTF-8",
        Class::TooLarge => "too large",
        Class::Unreadable { .. } => "unreadable",
        Class::Gone => "gone",
    };
    let counts = counted.counts;
    [(class, 1), ("lines", counts.lines), ("words", counts.words), ("tokens", counts.tokens)]
}

fn describe(class: &Class) -> String {
    match class {
        Class::Text => "text".to_owned(),
        Class::Empty => "empty".to_owned(),
        Class::NotUtf8 => "not UTF-8".to_owned(),
        Class::TooLarge => "too large".to_owned(),
        Class::Unreadable { reason } => format!("unreadable: {reason}"),
        Class::Gone => "gone".to_owned(),
    }
}

fn ending(attempt: &AttemptView) -> String {
    let outcome = match attempt.outcome {
        Some(outcome) => format!("{outcome:?}").to_lowercase(),
        None => "running".to_owned(),
    };
    format!("{outcome} by {}", attempt.worker)
}

fn list<T>(title: &str, items: &[T], line: impl Fn(&T) -> String) {
    if items.is_empty() {
        return;
    }
    println!("{title}: {}", items.len());
    for item in items.iter().take(LISTED) {
        println!("  {}", line(item));
    }
    if items.len() > LISTED {
        println!("  and {} more", items.len() - LISTED);
    }
}
