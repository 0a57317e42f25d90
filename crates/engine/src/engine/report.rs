//! Reports: what was spent, by what, and how long the rest lasts. Made from roll-ups, and where there are none yet from the
//! ledger's entries: the result is the same.

use std::collections::{BTreeMap, BTreeSet};

use stint_api::{Amounts, Instant, ReportBy, ReportEvery, ReportReply, ReportRequest, ReportRow, RunsOut};
use stint_api::{Code, LIST_LIMIT, Problem};
use stint_core::Millis;
use stint_core::command::{BudgetView, Outcome, ShowBudget, budget_home};
use stint_core::model::{DAY_MS, HOUR_MS, RollUp, WindowKind, is_under};
use stint_core::{Command, ExecutionId, model};

use super::budgets::check_budget;
use super::{Engine, Inner};
use crate::CallError;
use crate::edge::problem::{problem, unexpected};
use crate::find::tags_of;

/// A report whose hours become days while it is made is made again so often.
const MADE_MAX: usize = 10;

/// What a report adds up.
#[derive(Default)]
struct Sums {
    rows: BTreeMap<(Option<Millis>, String), Sum>,
    total: Sum,
    /// Of the path that was asked about.
    own: Rate,
    /// Of each level.
    rates: Vec<Rate>,
    detailed_since: Option<Millis>,
}

/// What a budget spent of late, those below it included.
#[derive(Default)]
struct Rate {
    last_hour: Sum,
    last_day: Sum,
}

/// Sums by dimension; what is given back may come before what it was taken from.
#[derive(Default)]
struct Sum {
    amounts: BTreeMap<String, i128>,
    charges: u64,
}

impl Engine {
    /// Sums up what was spent under a budget, and says how long the rest lasts at that rate.
    pub async fn report(
        &self,
        namespace: &str,
        path: &str,
        request: ReportRequest,
    ) -> Result<ReportReply, Problem> {
        check_budget(namespace, path)?;
        let (levels, missing) = self.0.levels(namespace, path).await?;
        let now = self.0.node.now();
        let by = request.by.clone().unwrap_or(ReportBy::Path);
        let sums = self.0.sums(namespace, path, &levels, &by, &request, now).await?;
        let Sums { mut rows, total, own, rates, detailed_since } = sums;
        rows.retain(|_, sum| !sum.amounts.is_empty());
        // A budget that was deleted has left its ledger; one that never was has none.
        if let Some(missing) = missing.filter(|_| rows.is_empty()) {
            return Err(missing);
        }
        let truncated = rows.len() > LIST_LIMIT as usize;
        let shown = rows.into_iter().take(LIST_LIMIT as usize).map(|((at, key), sum)| ReportRow {
            at: at.map(Instant::from_millis),
            key,
            amounts: sum.over(1),
            less: sum.less(),
            charges: sum.charges,
        });
        // One that only watches, above, is in nobody's way.
        let limiting =
            levels.iter().zip(&rates).filter(|(level, _)| level.path == path || level.budget.acts());
        let soonest = limiting.filter_map(|(level, rate)| runs_out(level, rate, now));
        let runs_out = soonest.min_by_key(|out| out.in_ms);
        Ok(ReportReply {
            path: path.to_owned(),
            by: name(&by),
            rows: shown.collect(),
            total: total.over(1),
            less: total.less(),
            truncated,
            burn_per_hour: own.last_hour.over(1),
            burn_per_hour_of_day: own.last_day.over(24),
            runs_out,
            detailed_since: detailed_since.map(Instant::from_millis),
        })
    }
}

impl Inner {
    /// The budget of a path, behind those above it: work needs all of them. And that it is not there, if it is not.
    async fn levels(
        &self,
        namespace: &str,
        path: &str,
    ) -> Result<(Vec<BudgetView>, Option<Problem>), Problem> {
        let (mut levels, mut missing) = (Vec::new(), None);
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for at in ends.filter_map(|end| path.get(..end)) {
            let show = ShowBudget { namespace: namespace.to_owned(), path: at.to_owned() };
            match self.call(budget_home(namespace, at), Command::ShowBudget(show)).await {
                Ok(Outcome::Budget(view)) => levels.push(*view),
                Ok(_) => return Err(unexpected()),
                Err(problem) if problem.code == Code::BudgetNotFound => {
                    missing = Some(problem).filter(|_| at == path);
                }
                Err(problem) => return Err(problem),
            }
        }
        Ok((levels, missing))
    }

    async fn sums(
        &self,
        namespace: &str,
        path: &str,
        levels: &[BudgetView],
        by: &ReportBy,
        request: &ReportRequest,
        now: Millis,
    ) -> Result<Sums, Problem> {
        for _ in 0..MADE_MAX {
            if let Some(sums) = self.try_sums(namespace, path, levels, by, request, now).await? {
                return Ok(sums);
            }
        }
        Err(problem(CallError::Overloaded))
    }

    /// The sums of a report; none if hours became days meanwhile.
    async fn try_sums(
        &self,
        namespace: &str,
        path: &str,
        levels: &[BudgetView],
        by: &ReportBy,
        request: &ReportRequest,
        now: Millis,
    ) -> Result<Option<Sums>, Problem> {
        let since = request.since.map_or(Millis::MIN, |since| since.millis());
        let until = request.until.map_or(Millis::MAX, |until| until.millis());
        let (hour_ago, day_ago) = (now - HOUR_MS + 1, now - DAY_MS + 1);
        let edges = [since, until, hour_ago, day_ago];
        let top = levels.first().map_or(path, |top| top.path.as_str());
        let mut pieces = self.pieces(namespace, path, top, since.min(day_ago), &edges).await?;
        let mut sums = Sums::default();
        sums.rates.resize_with(levels.len(), Rate::default);
        let mut tags: BTreeMap<ExecutionId, Vec<(String, String)>> = BTreeMap::new();
        while let Some(page) = pieces.next(self).await? {
            if let ReportBy::Tag(_) = by {
                let of = page.iter().filter_map(|(_, rolled)| rolled.of.execution);
                let unknown: BTreeSet<ExecutionId> = of.filter(|id| !tags.contains_key(id)).collect();
                tags.extend(tags_of(&self.node, &unknown).await.map_err(problem)?);
            }
            for (at, rolled) in page {
                let is_own = is_under(&rolled.of.path, path);
                if at >= since && at < until && is_own {
                    let begun = request.every.map(|every| begin(every, at));
                    sums.rows.entry((begun, key(by, &rolled, &tags))).or_default().add(&rolled);
                    sums.total.add(&rolled);
                }
                let above = levels.iter().zip(&mut sums.rates);
                let above = above.filter(|(level, _)| is_under(&rolled.of.path, &level.path));
                let own = is_own.then_some(&mut sums.own);
                for rate in above.map(|(_, rate)| rate).chain(own) {
                    if at >= hour_ago {
                        rate.last_hour.add(&rolled);
                    }
                    if at >= day_ago {
                        rate.last_day.add(&rolled);
                    }
                }
            }
        }
        sums.detailed_since = pieces.detailed_since();
        Ok(pieces.hold(self).await?.then_some(sums))
    }
}

impl Sum {
    fn add(&mut self, rolled: &RollUp) {
        self.charges += rolled.charges;
        let wide = |sum: u128| i128::try_from(sum).unwrap_or(i128::MAX);
        for (dimension, sum) in rolled.spent.iter() {
            let at = self.amounts.entry(dimension.to_owned()).or_default();
            *at = at.saturating_add(wide(sum));
        }
        for (dimension, sum) in rolled.refunded.iter() {
            let at = self.amounts.entry(dimension.to_owned()).or_default();
            *at = at.saturating_sub(wide(sum));
        }
    }

    /// By how much more was given back than spent.
    fn less(&self) -> Amounts {
        let each = |(dimension, amount): (&String, &i128)| {
            (dimension.clone(), u64::try_from(amount.saturating_neg().max(0)).unwrap_or(u64::MAX))
        };
        Amounts(self.amounts.iter().map(each).filter(|(_, amount)| *amount > 0).collect())
    }

    /// What was spent per each of so many parts, rounded up.
    fn over(&self, parts: u64) -> Amounts {
        let each = |(dimension, amount): (&String, &i128)| {
            let amount = u64::try_from((*amount).max(0)).unwrap_or(u64::MAX);
            (dimension.clone(), amount.div_ceil(parts))
        };
        Amounts(self.amounts.iter().map(each).filter(|(_, amount)| *amount > 0).collect())
    }
}

fn begin(every: ReportEvery, at: Millis) -> Millis {
    let length = match every {
        ReportEvery::Hour => HOUR_MS,
        ReportEvery::Day => DAY_MS,
    };
    at - at.rem_euclid(length)
}

/// Under what something spent is summed. Tags are those that its execution was submitted with; once that is trimmed, none.
fn key(by: &ReportBy, rolled: &RollUp, tags: &BTreeMap<ExecutionId, Vec<(String, String)>>) -> String {
    let of = &rolled.of;
    match by {
        ReportBy::Path => of.path.clone(),
        ReportBy::Kind => of.kind.clone().unwrap_or_default(),
        ReportBy::Execution => of.execution.map(|id| id.to_string()).unwrap_or_default(),
        ReportBy::Model => of.model.clone().unwrap_or_default(),
        ReportBy::Tag(key) => {
            let tags = of.execution.and_then(|id| tags.get(&id));
            let found = tags.into_iter().flatten().find(|(name, _)| name == key);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        }
    }
}

fn name(by: &ReportBy) -> String {
    match by {
        ReportBy::Path => "path".to_owned(),
        ReportBy::Kind => "kind".to_owned(),
        ReportBy::Execution => "execution".to_owned(),
        ReportBy::Model => "model".to_owned(),
        ReportBy::Tag(key) => format!("tag.{key}"),
    }
}

/// The hard limit that is reached first at the present rate, unless its period ends before.
fn runs_out(view: &BudgetView, Rate { last_hour, last_day }: &Rate, now: Millis) -> Option<RunsOut> {
    let mut first: Option<RunsOut> = None;
    for (window, seen) in view.budget.windows.iter().zip(&view.windows) {
        for (dimension, limit) in &window.limits {
            let Some(hard) = limit.hard else { continue };
            let spent = |sum: &Sum| sum.amounts.get(dimension).copied().filter(|spent| *spent > 0);
            // Micro-parts of an hour are not worth telling: a rate is what was spent in so many ms.
            let rate = spent(last_hour).map(|spent| (spent, HOUR_MS));
            let Some((spent, within)) = rate.or_else(|| spent(last_day).map(|spent| (spent, DAY_MS))) else {
                continue;
            };
            let left = left(hard, seen, dimension);
            let in_ms = i128::from(left) * i128::from(within) / spent;
            let in_ms = Millis::try_from(in_ms).unwrap_or(Millis::MAX);
            let at = now.saturating_add(in_ms);
            let ends = seen.end.filter(|_| !matches!(window.kind, WindowKind::Rolling { .. }));
            let is_first = first.as_ref().is_none_or(|first| u64::try_from(in_ms).unwrap_or(0) < first.in_ms);
            if is_first && ends.is_none_or(|end| at < end) {
                first = Some(RunsOut {
                    path: view.path.clone(),
                    window: window.name.clone(),
                    dimension: dimension.clone(),
                    left,
                    in_ms: u64::try_from(in_ms).unwrap_or(0),
                    at: Instant::from_millis(at),
                });
            }
        }
    }
    first
}

/// What is left of a limit, top-ups included.
fn left(hard: u64, seen: &stint_core::command::WindowView, dimension: &str) -> u64 {
    let more = seen.top_ups.iter().map(|top_up: &model::TopUp| top_up.left.get(dimension));
    let counted = seen.used.get(dimension).saturating_sub(seen.topped.get(dimension));
    more.fold(hard.saturating_sub(counted), u64::saturating_add)
}
