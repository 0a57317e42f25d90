//! `stint budget set`.

use std::path::PathBuf;

use anyhow::Result;
use stint::api::{Budget, BudgetLimit, BudgetSettings, Code, OnHard, SoftLimit, WindowKind, WindowSettings};

use super::super::amounts::{amount, distinct};
use super::super::connection::Connection;
use super::show;
use crate::exit::Failed;

/// What a budget is to be.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The budget's path: acme/search/agent-7.
    path: String,
    /// A window with its hard limits: total:usd=5, day:usd=0.50,calls=100, rolling/3600000:calls=60. Its name is its kind,
    /// or what stands before: burst=rolling/60000:calls=10. May be repeated; what is not given of a window that is there
    /// stays, and so do other windows.
    #[arg(long = "window", value_name = "KIND:LIMITS", value_parser = window)]
    windows: Vec<WindowSettings>,
    /// The IANA time zone of the windows given here: Europe/Vienna. One that is there keeps its own unless given.
    #[arg(long)]
    tz: Option<String>,
    /// A share of each hard limit given here that is told when it is reached: 80%. May be repeated. A limit that is there
    /// keeps its own unless given.
    #[arg(long = "soft", value_name = "PERCENT", value_parser = soft)]
    soft: Vec<SoftLimit>,
    /// What is done to running work when it is breached: block, suspend, cancel or fail.
    #[arg(long, value_parser = on_hard)]
    on_hard: Option<OnHard>,
    /// Held for an attempt that names no amount. May be repeated.
    #[arg(long, value_name = "DIMENSION=AMOUNT", value_parser = amount)]
    default_hold: Vec<(String, u64)>,
    /// By how much callers may go above a limit between two reports: declared, and shown. May be repeated.
    #[arg(long, value_name = "DIMENSION=AMOUNT", value_parser = amount)]
    overshoot: Vec<(String, u64)>,
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
    #[arg(long, value_name = "FILE", conflicts_with_all = ["windows", "on_hard", "default_hold", "overshoot"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: Args) -> Result<()> {
    named_apart(&args.windows)?;
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
                None => changed(args, present(&budget).await?)?,
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

fn changed(args: &Args, mut settings: BudgetSettings) -> Result<BudgetSettings> {
    for window in &args.windows {
        let mut window = window.clone();
        window.tz.clone_from(&args.tz);
        for limit in window.limits.values_mut() {
            limit.soft.clone_from(&args.soft);
        }
        match settings.windows.iter_mut().find(|other| other.name == window.name) {
            Some(other) => merge(other, window),
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
        settings.default_hold = Some(distinct(args.default_hold.clone())?);
    }
    if !args.overshoot.is_empty() {
        settings.overshoot = Some(distinct(args.overshoot.clone())?);
    }
    Ok(settings)
}

/// Two windows of one name would be one.
fn named_apart(windows: &[WindowSettings]) -> Result<(), Failed> {
    for (index, window) in windows.iter().enumerate() {
        let name = &window.name;
        if windows.iter().take(index).any(|other| other.name == *name) {
            let what =
                format!("two windows are called {name}: call one another, as in --window {name}-2={name}:..");
            return Err(Failed::Usage(what));
        }
    }
    Ok(())
}

/// What is given of a window takes the place of what it was; the rest stays, so that it does not begin anew by mistake.
fn merge(window: &mut WindowSettings, given: WindowSettings) {
    if window.kind != given.kind {
        *window = given;
        return;
    }
    window.every_ms = given.every_ms.or(window.every_ms);
    window.tz = given.tz.or(window.tz.take());
    for (dimension, mut limit) in given.limits {
        if limit.soft.is_empty()
            && let Some(before) = window.limits.get_mut(&dimension)
        {
            limit.soft = std::mem::take(&mut before.soft);
        }
        window.limits.insert(dimension, limit);
    }
}

/// `KIND:LIMITS`, of a rolling window `rolling/MS:LIMITS`; with a name of its own `NAME=KIND:LIMITS`.
fn window(text: &str) -> Result<WindowSettings, String> {
    let (kind, limits) = text.split_once(':').unwrap_or((text, ""));
    let (name, kind) = match kind.split_once('=') {
        Some((name, kind)) => (Some(name), kind),
        None => (None, kind),
    };
    let (kind, every) = match kind.split_once('/') {
        Some((kind, every)) => (kind, Some(every)),
        None => (kind, None),
    };
    let every_ms = every.map(|every| every.parse().map_err(|_| format!("`{every}` is no number of ms")));
    let read: WindowKind = one_of(kind, "total, rolling, day, week or month")?;
    let limits = limits.split(',').filter(|limit| !limit.is_empty()).map(amount);
    let limits = distinct(limits.collect::<Result<Vec<_>, _>>()?).map_err(|error| error.to_string())?;
    let limits = limits.0.into_iter();
    Ok(WindowSettings {
        name: name.unwrap_or(kind).to_owned(),
        kind: read,
        every_ms: every_ms.transpose()?,
        tz: None,
        limits: limits
            .map(|(dimension, hard)| (dimension, BudgetLimit { hard: Some(hard), soft: Vec::new() }))
            .collect(),
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

#[cfg(test)]
mod tests {
    use clap::Parser;
    use stint::Amounts;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn set(settings: BudgetSettings, words: &str) -> BudgetSettings {
        let words = ["set", "acme"].into_iter().chain(words.split_whitespace());
        changed(&Cli::try_parse_from(words).unwrap().args, settings).unwrap()
    }

    #[test]
    fn what_is_not_given_of_a_window_stays() {
        let new = set(
            BudgetSettings::default(),
            "--window day:usd=25,calls=200 --window rolling/60000:calls=10 --tz Europe/Vienna --soft 80%",
        );
        let later = set(new, "--window day:usd=30 --window rolling:calls=12 --overshoot calls=1");
        let hard = |settings: &BudgetSettings, n: usize, d: &str| settings.windows[n].limits[d].hard;
        assert_eq!(hard(&later, 0, "usd_micros"), Some(30_000_000));
        assert_eq!(hard(&later, 0, "calls"), Some(200));
        assert_eq!(later.windows[0].tz.as_deref(), Some("Europe/Vienna"));
        assert_eq!(later.windows[0].limits["usd_micros"].soft, [SoftLimit::Percent(80)]);
        assert_eq!((later.windows[1].every_ms, hard(&later, 1, "calls")), (Some(60_000), Some(12)));
        assert_eq!(later.overshoot, Some(Amounts::of([("calls", 1)])));
        let moved = set(later, "--window day:usd=30 --tz UTC --soft 50%");
        assert_eq!(moved.windows[0].tz.as_deref(), Some("UTC"));
        assert_eq!(moved.windows[0].limits["usd_micros"].soft, [SoftLimit::Percent(50)]);
    }

    #[test]
    fn windows_of_a_kind_have_names_of_their_own() {
        let both =
            ["rolling/60000:calls=1", "hour=rolling/3600000:calls=9"].map(|text| window(text).unwrap());
        assert!(named_apart(&both).is_ok());
        assert_eq!(both[1].name, "hour");
        let one = window("rolling/60000:calls=1").unwrap();
        assert!(named_apart(&[one.clone(), one]).is_err());
        assert!(window("day:usd=1,usd_micros=5").is_err(), "which of them?");
    }
}
