//! Budgets as requests say them and as replies show them.

use std::collections::BTreeMap;

use stint_api::{
    Amounts, Budget, BudgetLimit, BudgetSettings, BudgetState, BudgetUse, BudgetWindow, Instant, OnHard,
    Period, Problem, Shortfall, SoftLimit, TopUp, WindowKind,
};
use stint_core::command::BudgetView;
use stint_core::model;

use super::lease::ms;
use super::submission::millis;

/// The zone of a calendar window that names none.
const DEFAULT_ZONE: &str = "UTC";

/// Amounts as core has them.
pub(crate) fn kept_amounts(amounts: &Amounts) -> model::Amounts {
    model::Amounts::of(amounts.0.iter().map(|(dimension, amount)| (dimension.as_str(), *amount)))
}

/// Amounts as the API has them.
pub(crate) fn amounts(amounts: &model::Amounts) -> Amounts {
    Amounts::of(amounts.iter())
}

/// What an execution names of a budget, as core has it.
pub(crate) fn kept_use(named: BudgetUse) -> model::BudgetUse {
    let BudgetUse { path, hold, cap, attempt_cap } = named;
    let kept = |amounts: Option<Amounts>| amounts.as_ref().map(kept_amounts);
    model::BudgetUse { path, hold: kept(hold), cap: kept(cap), attempt_cap: kept(attempt_cap) }
}

/// What an execution names of a budget.
pub(crate) fn named(kept: &model::BudgetUse) -> BudgetUse {
    let shown = |kept: &Option<model::Amounts>| kept.as_ref().map(amounts);
    BudgetUse {
        path: kept.path.clone(),
        hold: shown(&kept.hold),
        cap: shown(&kept.cap),
        attempt_cap: shown(&kept.attempt_cap),
    }
}

/// What is in the way.
pub(crate) fn shortfall(of: &model::Shortfall) -> Shortfall {
    Shortfall {
        path: of.path.clone(),
        window: of.window.clone(),
        dimension: of.dimension.clone(),
        limit: of.limit,
        used: of.used,
        held: of.held,
        missing: of.missing,
        resets_at: of.resets_at.map(Instant::from_millis),
    }
}

/// A budget as core keeps it, of settings that were checked; zones and lengths are core's to know.
pub(crate) fn kept_budget(settings: BudgetSettings) -> Result<model::Budget, Problem> {
    let mut windows = Vec::with_capacity(settings.windows.len());
    for (index, window) in settings.windows.into_iter().enumerate() {
        let zone = window.tz.unwrap_or_else(|| DEFAULT_ZONE.to_owned());
        let (kind, field) = match window.kind {
            WindowKind::Total => (model::WindowKind::Total, "kind"),
            WindowKind::Rolling => {
                (model::WindowKind::Rolling { every_ms: millis(window.every_ms.unwrap_or(0)) }, "every_ms")
            }
            WindowKind::Day => (model::WindowKind::Day { zone }, "tz"),
            WindowKind::Week => (model::WindowKind::Week { zone }, "tz"),
            WindowKind::Month => (model::WindowKind::Month { zone }, "tz"),
        };
        kind.check()
            .map_err(|error| Problem::invalid(format!("windows[{index}].{field}"), error.to_string()))?;
        let limits = window.limits.into_iter().map(|(dimension, limit)| (dimension, kept_limit(limit)));
        windows.push(model::Window { name: window.name, kind, limits: limits.collect() });
    }
    Ok(model::Budget {
        windows,
        on_hard: settings.on_hard.map(|on_hard| match on_hard {
            OnHard::Block => model::OnHard::Block,
            OnHard::Cancel => model::OnHard::Cancel,
            OnHard::Fail => model::OnHard::Fail,
            // `ask` was refused before.
            OnHard::Suspend | OnHard::Ask => model::OnHard::Suspend,
        }),
        default_hold: settings.default_hold.as_ref().map(kept_amounts),
        overshoot: settings.overshoot.as_ref().map(kept_amounts),
        in_doubt_ms: settings.in_doubt_ms.map(millis),
        stop_grace_ms: settings.stop_grace_ms.map(millis),
        shadow: settings.shadow.filter(|shadow| *shadow),
        carry_over: settings.carry_over.filter(|carry_over| *carry_over),
        generation: 0,
    })
}

/// A budget as it stands.
pub(crate) fn budget(namespace: &str, view: BudgetView) -> Budget {
    let held = amounts(&view.held);
    let set = &view.budget;
    let windows = set.windows.iter().zip(view.windows).map(|(window, seen)| {
        let (kind, every_ms, tz) = match &window.kind {
            model::WindowKind::Total => (WindowKind::Total, None, None),
            model::WindowKind::Rolling { every_ms } => (WindowKind::Rolling, Some(ms(*every_ms)), None),
            model::WindowKind::Day { zone } => (WindowKind::Day, None, Some(zone.clone())),
            model::WindowKind::Week { zone } => (WindowKind::Week, None, Some(zone.clone())),
            model::WindowKind::Month { zone } => (WindowKind::Month, None, Some(zone.clone())),
        };
        let top_ups = seen.top_ups.iter().map(|top_up| TopUp {
            id: top_up.id.clone(),
            amounts: amounts(&top_up.amounts),
            left: amounts(&top_up.left),
            expires_at: top_up.expires_at.map(Instant::from_millis),
        });
        BudgetWindow {
            name: seen.name,
            kind,
            every_ms,
            tz,
            limits: limits(&window.limits),
            used: amounts(&seen.used),
            held: held.clone(),
            period: Period {
                start: Instant::from_millis(seen.start),
                end: seen.end.map(Instant::from_millis),
            },
            topped: amounts(&seen.topped),
            free: Amounts::of(seen.free),
            top_ups: top_ups.collect(),
        }
    });
    let windows = windows.collect();
    let state = match (view.breached, view.overcommitted, view.exhausted) {
        (true, _, _) => BudgetState::Breached,
        (_, true, _) => BudgetState::Overcommitted,
        (_, _, true) => BudgetState::Exhausted,
        _ => BudgetState::Open,
    };
    Budget {
        path: view.path,
        namespace: namespace.to_owned(),
        windows,
        on_hard: match set.on_hard() {
            model::OnHard::Block => OnHard::Block,
            model::OnHard::Suspend => OnHard::Suspend,
            model::OnHard::Cancel => OnHard::Cancel,
            model::OnHard::Fail => OnHard::Fail,
        },
        default_hold: set.default_hold.as_ref().map(amounts),
        overshoot: set.overshoot.as_ref().map(amounts),
        in_doubt_ms: ms(set.in_doubt_ms()),
        stop_grace_ms: ms(set.stop_grace_ms()),
        shadow: !set.acts(),
        carry_over: set.carry_over == Some(true),
        held,
        holds: view.holds as u64,
        waiting: view.waiting as u64,
        state,
        exhausted: view.exhausted,
        overcommitted: view.overcommitted,
        breached: view.breached,
        breaches: view.breaches,
        generation: set.generation,
    }
}

fn kept_limit(limit: BudgetLimit) -> model::Limit {
    let soft = limit.soft.into_iter().map(|soft| match soft {
        SoftLimit::Amount(amount) => model::Soft::Amount(amount),
        SoftLimit::Percent(percent) => model::Soft::Percent(percent),
    });
    let soft: Vec<model::Soft> = soft.collect();
    model::Limit { hard: limit.hard, soft: Some(soft).filter(|soft| !soft.is_empty()) }
}

fn limits(limits: &BTreeMap<String, model::Limit>) -> BTreeMap<String, BudgetLimit> {
    let shown = limits.iter().map(|(dimension, limit)| {
        let soft = limit.soft.iter().flatten().map(|soft| match soft {
            model::Soft::Amount(amount) => SoftLimit::Amount(*amount),
            model::Soft::Percent(percent) => SoftLimit::Percent(*percent),
        });
        (dimension.clone(), BudgetLimit { hard: limit.hard, soft: soft.collect() })
    });
    shown.collect()
}
