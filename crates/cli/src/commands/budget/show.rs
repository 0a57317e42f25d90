//! A budget, as people read it.

use anyhow::Result;
use stint::api::{Budget, BudgetLimit, BudgetWindow, OnHard, WindowKind};

use super::super::amounts::{one as amount, shown};
use super::super::connection::Connection;
use super::super::show::word;
use crate::{clock, output};

/// Budgets, a row for each limit.
pub(super) fn tree(budgets: &[Budget], connection: &Connection) -> Result<()> {
    if connection.json {
        return budgets.iter().try_for_each(output::json);
    }
    let rows = budgets.iter().flat_map(|budget| {
        let limits = budget.windows.iter().flat_map(|window| {
            window.limits.iter().map(move |(dimension, limit)| (window, dimension, limit))
        });
        limits.enumerate().map(|(index, (window, dimension, limit))| {
            let first = index == 0;
            [
                if first { budget.path.clone() } else { String::new() },
                if first { word(&budget.state) } else { String::new() },
                window.name.clone(),
                amount(dimension, window.used.get(dimension)),
                amount(dimension, window.held.get(dimension)),
                bound(window, dimension, limit).map(|bound| amount(dimension, bound)).unwrap_or_default(),
                window.period.end.map(clock::until).unwrap_or_default(),
            ]
        })
    });
    output::table(["budget", "state", "window", "used", "held", "limit", "resets"], rows)
}

/// One budget with all that it is set to.
pub(super) fn one(budget: &Budget, connection: &Connection) -> Result<()> {
    if connection.json {
        return output::json(budget);
    }
    let on_hard = if budget.shadow { "nothing: it only watches".to_owned() } else { word(&budget.on_hard) };
    let mut lines = vec![
        ("path", budget.path.clone()),
        ("namespace", budget.namespace.clone()),
        ("state", word(&budget.state)),
        ("on a breach", on_hard),
        ("held", format!("{} in {} holds", nothing(shown(&budget.held)), budget.holds)),
        ("waiting", budget.waiting.to_string()),
        ("in doubt", format!("{} ms", budget.in_doubt_ms)),
        ("stop grace", format!("{} ms", budget.stop_grace_ms)),
    ];
    if let Some(hold) = &budget.default_hold {
        lines.push(("default hold", shown(hold)));
    }
    if let Some(overshoot) = &budget.overshoot {
        lines.push(("overshoot", shown(overshoot)));
    }
    if budget.carry_over {
        lines.push(("carry-over", "what a period leaves is added to the next".to_owned()));
    }
    for (name, value) in lines {
        output::line(format_args!("{name:<16} {value}"))?;
    }
    output::line("")?;
    let rows = budget.windows.iter().flat_map(|window| {
        window.limits.iter().map(move |(dimension, limit)| {
            let soft: Vec<String> = limit.soft.iter().map(word_or_number).collect();
            [
                window.name.clone(),
                word(&window.kind),
                amount(dimension, window.used.get(dimension)),
                amount(dimension, window.held.get(dimension)),
                bound(window, dimension, limit).map(|bound| amount(dimension, bound)).unwrap_or_default(),
                soft.join(" "),
                window.period.end.map(clock::until).unwrap_or_default(),
            ]
        })
    });
    output::table(["window", "kind", "used", "held", "limit", "soft", "resets"], rows)?;
    for window in &budget.windows {
        for top_up in &window.top_ups {
            let until = top_up.expires_at.map(|at| format!(", until {at}")).unwrap_or_default();
            let (left, of) = (nothing(shown(&top_up.left)), shown(&top_up.amounts));
            output::line(format_args!(
                "top-up {} of {}: {left} left of {of}{until}",
                top_up.id, window.name
            ))?;
        }
    }
    Ok(())
}

/// Whether anything can start now, and what is in the way, in words: level by level, from the root down.
pub(super) fn explain(budgets: &[Budget], connection: &Connection) -> Result<()> {
    if connection.json {
        return budgets.iter().try_for_each(output::json);
    }
    budgets.iter().try_for_each(explained)
}

fn explained(budget: &Budget) -> Result<()> {
    output::line(format_args!("{} is {}.", budget.path, word(&budget.state)))?;
    for window in &budget.windows {
        for (dimension, limit) in &window.limits {
            output::line(format_args!("  {}", sentence(window, dimension, limit)))?;
        }
    }
    let said = match (budget.shadow, budget.breached, budget.overcommitted, budget.exhausted) {
        (true, ..) => "It only watches: nothing is refused or stopped for it.".to_owned(),
        (_, true, ..) => {
            let told = match budget.on_hard {
                OnHard::Block => "goes on".to_owned(),
                other => format!("is told to {}", word(&other)),
            };
            format!(
                "More is used than there is: nothing starts, and what runs {told}. A raise, a top-up, a refund or a new \
                 period ends that."
            )
        }
        (_, _, true, _) => {
            "More is used and held than there is: nothing new starts before that has fallen.".to_owned()
        }
        (_, _, _, true) => {
            let waiting = budget.waiting;
            format!(
                "{waiting} wait, the first of them for more than is free here; nothing else starts before."
            )
        }
        _ if has_nothing(budget) => {
            "All of it is used or held: nothing that needs more starts here.".to_owned()
        }
        _ => "What is free here is to be had.".to_owned(),
    };
    output::line(said)
}

/// Whether a hard limit leaves nothing.
fn has_nothing(budget: &Budget) -> bool {
    let mut limits = budget.windows.iter().flat_map(|window| {
        window.limits.iter().filter(|(_, limit)| limit.hard.is_some()).map(move |limit| (window, limit.0))
    });
    limits.any(|(window, dimension)| window.free.get(dimension) == 0)
}

fn sentence(window: &BudgetWindow, dimension: &str, limit: &BudgetLimit) -> String {
    let (used, held) = (window.used.get(dimension), window.held.get(dimension));
    let what = match window.kind {
        WindowKind::Rolling => "the oldest of it comes free",
        _ => "it begins anew",
    };
    let resets = window.period.end.map(|at| format!("; {what} {}", clock::until(at))).unwrap_or_default();
    let (used_text, held_text) = (amount(dimension, used), amount(dimension, held));
    let Some(bound) = bound(window, dimension, limit) else {
        return format!(
            "{}: {used_text} used and {held_text} held, without a hard limit{resets}",
            window.name
        );
    };
    let (bound_text, free) = (amount(dimension, bound), amount(dimension, window.free.get(dimension)));
    format!("{}: {used_text} used and {held_text} held of {bound_text}, {free} free{resets}", window.name)
}

/// The hard limit with what top-ups paid and what is left of them: as much may be used in all.
fn bound(window: &BudgetWindow, dimension: &str, limit: &BudgetLimit) -> Option<u64> {
    let left = window.top_ups.iter().map(|top_up| top_up.left.get(dimension));
    let more = left.fold(window.topped.get(dimension), u64::saturating_add);
    limit.hard.map(|hard| hard.saturating_add(more))
}

fn nothing(text: String) -> String {
    if text.is_empty() { "nothing".to_owned() } else { text }
}

fn word_or_number(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
