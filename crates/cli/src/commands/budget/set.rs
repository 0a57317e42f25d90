//! `stint budget set`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use stint::Amounts;
use stint::api::{Budget, BudgetLimit, BudgetSettings, Code, OnHard, SoftLimit, WindowKind, WindowSettings};

use super::super::amounts::amount;
use super::super::connection::Connection;
use super::show;
use crate::exit::Failed;

/// What a budget is to be.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The budget's path: acme/search/agent-7.
    path: String,
    /// A window with its hard limits: total:usd=5, day:usd=0.50,calls=100, rolling/3600000:calls=60. Its name is its kind.
    /// May be repeated; a window of that name is replaced, others stay.
    #[arg(long = "window", value_name = "KIND:LIMITS", value_parser = window)]
    windows: Vec<WindowSettings>,
    /// The IANA time zone of the windows given here: Europe/Vienna.
    #[arg(long)]
    tz: Option<String>,
    /// A share of each hard limit given here that is told when it is reached: 80%. May be repeated.
    #[arg(long = "soft", value_name = "PERCENT", value_parser = soft)]
    soft: Vec<SoftLimit>,
    /// What is done to running work when it is breached: block, suspend, cancel or fail.
    #[arg(long, value_parser = on_hard)]
    on_hard: Option<OnHard>,
    /// Held for an attempt that names no amount. May be repeated.
    #[arg(long, value_name = "DIMENSION=AMOUNT", value_parser = amount)]
    default_hold: Vec<(String, u64)>,
    /// How long money stays held for an attempt that ended without its worker's word.
    #[arg(long, value_name = "MS")]
    in_doubt_ms: Option<u64>,
    /// How long running work may take to stop.
    #[arg(long, value_name = "MS")]
    stop_grace_ms: Option<u64>,
    /// Whether it only watches.
    #[arg(long, value_name = "BOOL")]
    shadow: Option<bool>,
    /// Whether what a period leaves is added to the next.
    #[arg(long, value_name = "BOOL")]
    carry_over: Option<bool>,
    /// Reads all of it from this file instead: JSON, as the API takes it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["windows", "on_hard", "default_hold"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: Args) -> Result<()> {
    let given = match &args.file {
        Some(file) => Some(read(file)?),
        None => None,
    };
    let budget = args.connection.run(|client| {
        let (args, given) = (&args, given.clone());
        async move {
            let budget = client.budget(&args.path);
            let settings = match given {
                Some(given) => given,
                None => changed(args, present(&budget).await?),
            };
            Ok(budget.set(settings).await?)
        }
    })?;
    show::one(&budget, &args.connection)
}

fn read(file: &std::path::Path) -> Result<BudgetSettings> {
    let name = file.display();
    let text = std::fs::read(file).map_err(|error| Failed::Usage(format!("{name}: {error}")))?;
    Ok(serde_json::from_slice(&text).map_err(|error| Failed::Usage(format!("{name}: {error}")))?)
}

/// What it is set to now, if there is one.
async fn present(budget: &stint::BudgetHandle) -> Result<BudgetSettings> {
    match budget.get().await {
        Ok(budget) => Ok(settings(budget)),
        Err(stint::Error::Refused(problem)) if problem.code == Code::BudgetNotFound => {
            Ok(BudgetSettings::default())
        }
        Err(error) => Err(error.into()),
    }
}

/// The API replaces all settings; people change one.
fn settings(budget: Budget) -> BudgetSettings {
    let windows = budget.windows.into_iter().map(|window| WindowSettings {
        name: window.name,
        kind: window.kind,
        every_ms: window.every_ms,
        tz: window.tz,
        limits: window.limits,
    });
    BudgetSettings {
        windows: windows.collect(),
        on_hard: Some(budget.on_hard),
        default_hold: budget.default_hold,
        overshoot: budget.overshoot,
        in_doubt_ms: Some(budget.in_doubt_ms),
        stop_grace_ms: Some(budget.stop_grace_ms),
        shadow: Some(budget.shadow),
        carry_over: Some(budget.carry_over),
        generation: Some(budget.generation),
        namespace: None,
    }
}

fn changed(args: &Args, mut settings: BudgetSettings) -> BudgetSettings {
    for window in &args.windows {
        let mut window = window.clone();
        window.tz.clone_from(&args.tz);
        for limit in window.limits.values_mut() {
            limit.soft.clone_from(&args.soft);
        }
        match settings.windows.iter_mut().find(|other| other.name == window.name) {
            Some(other) => *other = window,
            None => settings.windows.push(window),
        }
    }
    fn set<T: Clone>(field: &mut Option<T>, given: &Option<T>) {
        if given.is_some() {
            field.clone_from(given);
        }
    }
    set(&mut settings.on_hard, &args.on_hard);
    set(&mut settings.in_doubt_ms, &args.in_doubt_ms);
    set(&mut settings.stop_grace_ms, &args.stop_grace_ms);
    set(&mut settings.shadow, &args.shadow);
    set(&mut settings.carry_over, &args.carry_over);
    if !args.default_hold.is_empty() {
        settings.default_hold = Some(Amounts::of(args.default_hold.clone()));
    }
    settings
}

/// `KIND:LIMITS`, of a rolling window `rolling/MS:LIMITS`.
fn window(text: &str) -> Result<WindowSettings, String> {
    let (kind, limits) = text.split_once(':').unwrap_or((text, ""));
    let (kind, every) = match kind.split_once('/') {
        Some((kind, every)) => (kind, Some(every)),
        None => (kind, None),
    };
    let every_ms = every.map(|every| every.parse().map_err(|_| format!("`{every}` is no number of ms")));
    let read: WindowKind = one_of(kind, "total, rolling, day, week or month")?;
    let mut all = BTreeMap::new();
    for limit in limits.split(',').filter(|limit| !limit.is_empty()) {
        let (dimension, hard) = amount(limit)?;
        all.insert(dimension, BudgetLimit { hard: Some(hard), soft: Vec::new() });
    }
    Ok(WindowSettings {
        name: kind.to_owned(),
        kind: read,
        every_ms: every_ms.transpose()?,
        tz: None,
        limits: all,
    })
}

fn soft(text: &str) -> Result<SoftLimit, String> {
    let percent = text.strip_suffix('%').and_then(|digits| digits.parse().ok());
    match percent {
        Some(percent @ 1..=100) => Ok(SoftLimit::Percent(percent)),
        _ => Err(format!("`{text}` is not a percentage, such as 80%")),
    }
}

fn on_hard(text: &str) -> Result<OnHard, String> {
    one_of(text, "block, suspend, cancel or fail")
}

fn one_of<T: serde::de::DeserializeOwned>(text: &str, expected: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|_| format!("`{text}` is not {expected}"))
}
