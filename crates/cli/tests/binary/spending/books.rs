//! The auditor's books: made from the provider's bill and what was submitted alone, so that nothing Stint says of itself
//! is in them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;
use stint::Amounts;
use stint::api::{Budget, BudgetState, LedgerEntry};

use super::payer::Errand;

/// Follows the bill as the provider writes it.
pub(super) struct Books {
    file: BufReader<File>,
    line: String,
    /// Calls by the key that the caller gave.
    calls: BTreeMap<String, Call>,
    violations: Vec<String>,
}

/// A line of the bill.
#[derive(Clone, Debug, Deserialize)]
struct Call {
    number: u64,
    fingerprint: u64,
    key: String,
    prompt_tokens: u64,
    completion_tokens: u64,
    usd_micros: u64,
}

impl Call {
    /// The id of the provider's answer, by which it is charged.
    fn id(&self) -> String {
        format!("chatcmpl-{:016x}{:08}", self.fingerprint, self.number)
    }

    fn amounts(&self) -> Amounts {
        Amounts::of([
            ("calls", 1),
            ("input_tokens", self.prompt_tokens),
            ("output_tokens", self.completion_tokens),
            ("usd_micros", self.usd_micros),
        ])
    }
}

impl Books {
    pub(super) fn open(bill: &Path) -> Self {
        let file = BufReader::new(File::open(bill).unwrap());
        Self { file, line: String::new(), calls: BTreeMap::new(), violations: Vec::new() }
    }

    /// Reads what the provider has written since.
    pub(super) fn read(&mut self) {
        while self.file.read_line(&mut self.line).unwrap() > 0 && self.line.ends_with('\n') {
            let call: Call = serde_json::from_str(&self.line).unwrap();
            self.line.clear();
            let key = call.key.clone();
            if self.calls.insert(key.clone(), call).is_some() {
                self.violations.push(format!("{key} was billed twice"));
            }
        }
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }

    /// A look at budgets in the middle of it all, behind what [`read`](Self::read) has read: no budget has used and holds
    /// more than its limit and its overshoot, and no more was billed.
    pub(super) fn look(&mut self, budgets: &[Budget], errands: &BTreeMap<u64, Errand>) {
        for budget in budgets {
            let path = &budget.path;
            let over = budget.overshoot.as_ref().map_or(0, |over| over.get("usd_micros"));
            for window in &budget.windows {
                let hard = window.limits["usd_micros"].hard.unwrap();
                let (used, held) = (window.used.get("usd_micros"), window.held.get("usd_micros"));
                if used + held > hard + over {
                    let window = &window.name;
                    self.violations.push(format!("{path} {window}: {used} used and {held} held of {hard}"));
                }
            }
            let hard = budget.windows.iter().map(|window| window.limits["usd_micros"].hard.unwrap()).min();
            let billed: u64 = self.of(path, errands).map(|(_, call)| call.usd_micros).sum();
            if hard.is_some_and(|hard| billed > hard + over) {
                self.violations.push(format!("{path}: {billed} billed of {hard:?}"));
            }
        }
    }

    /// At the end: every call was billed once and is booked once at each of its budgets, to the unit.
    pub(super) fn close(
        mut self,
        budgets: &[Budget],
        ledgers: &BTreeMap<String, Vec<LedgerEntry>>,
        errands: &BTreeMap<u64, Errand>,
    ) -> Vec<String> {
        self.read();
        for errand in errands.values() {
            let unbilled = (0..errand.calls).filter(|call| !self.calls.contains_key(&errand.key(*call)));
            let unbilled: Vec<String> =
                unbilled.map(|call| format!("{} was not billed", errand.key(call))).collect();
            self.violations.extend(unbilled);
        }
        let expected: usize = errands.values().map(|errand| errand.calls as usize).sum();
        if expected != self.calls.len() {
            self.violations.push(format!("{} calls billed, {expected} wanted", self.calls.len()));
        }
        for budget in budgets {
            let mut billed = Amounts::default();
            for (_, call) in self.of(&budget.path, errands) {
                billed = sum(&billed, &call.amounts());
            }
            let at = &budget.path;
            let used = budget.windows.iter().map(|window| (&window.name, &window.used));
            let wrong = used.filter(|(_, used)| **used != billed);
            let wrong: Vec<String> = wrong
                .map(|(window, used)| format!("{at} {window}: {used:?} used, {billed:?} billed"))
                .collect();
            self.violations.extend(wrong);
            if budget.state != BudgetState::Open
                || budget.holds + budget.waiting > 0
                || !budget.held.is_empty()
            {
                self.violations.push(format!("at rest {budget:?}"));
            }
        }
        for (tree, ledger) in ledgers {
            let wrong = self.entries_differ(tree, ledger, errands);
            self.violations.extend(wrong);
        }
        self.violations
    }

    /// What of a tree's ledger is not on the bill, or is another there, or stands there more or less often than once.
    fn entries_differ(
        &self,
        tree: &str,
        ledger: &[LedgerEntry],
        errands: &BTreeMap<u64, Errand>,
    ) -> Vec<String> {
        let mut booked: BTreeMap<(String, String), Vec<Amounts>> = BTreeMap::new();
        for entry in ledger {
            let id = entry.charge_id.clone().unwrap_or_default();
            booked.entry((entry.path.clone(), id)).or_default().push(entry.amounts.clone());
        }
        let mut wanted: BTreeMap<(String, String), Vec<Amounts>> = BTreeMap::new();
        for (path, call) in self.of(tree, errands) {
            wanted.entry((path.clone(), call.id())).or_default().push(call.amounts());
        }
        let all = booked.keys().chain(wanted.keys()).collect::<std::collections::BTreeSet<_>>();
        let differing = all.into_iter().filter(|at| booked.get(*at) != wanted.get(*at));
        differing
            .map(|at| format!("{at:?}: booked {:?}, billed {:?}", booked.get(at), wanted.get(at)))
            .collect()
    }

    /// Calls that count at a path, each with the path that its errand named.
    fn of<'a>(
        &'a self,
        at: &'a str,
        errands: &'a BTreeMap<u64, Errand>,
    ) -> impl Iterator<Item = (&'a String, &'a Call)> {
        self.calls.values().filter_map(move |call| {
            let (number, _) = call.key.strip_prefix("errand-")?.split_once('/')?;
            let errand = errands.get(&number.parse().ok()?)?;
            let is_under = |path: &&String| {
                path.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            Some((errand.paths.iter().find(is_under)?, call))
        })
    }
}

fn sum(a: &Amounts, b: &Amounts) -> Amounts {
    Amounts::of(a.0.keys().chain(b.0.keys()).map(|name| (name, a.get(name) + b.get(name))))
}
