//! `stint top`: lanes, workers and rates, live.

mod look;
mod screen;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::FutureExt;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

use super::connection::Connection;
use super::lane::mode;
use crate::exit::Failed;
use crate::signals::Interrupts;
use crate::{clock, output};
use look::Look;
use screen::Screen;

/// How often keys are looked for.
const KEYS_EVERY: Duration = Duration::from_millis(100);

/// What to show, and how often.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often to look.
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(100..))]
    interval_ms: u64,
    /// Prints one look as text, and ends. That is also what happens where there is no terminal.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What a key asks for.
enum Key {
    Quit,
    Redraw,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let is_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if args.once || args.connection.json || !is_terminal {
        let look = args.connection.run(|client| async move { Look::at(&client).await })?;
        return if args.connection.json { output::json(&look) } else { print(&look) };
    }
    let servers = args.connection.settings()?.servers.join(", ");
    // The first look decides whether there is anything to see; an error is better read on a usual screen.
    let first = args.connection.run(|client| async move { Look::at(&client).await })?;
    let mut terminal = ratatui::try_init().context("the terminal can't be used; try --once")?;
    let interval = Duration::from_millis(args.interval_ms);
    let ended = args.connection.run(|client| {
        let terminal = &mut terminal;
        async move {
            let mut keys = keys();
            let mut interrupts = Interrupts::listen()?;
            let mut screen = Screen::new(servers, first);
            let mut ticks = tokio::time::interval(interval);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut looking = None;
            loop {
                terminal.draw(|frame| screen.draw(frame)).context("the terminal can't be drawn on")?;
                tokio::select! {
                    biased;
                    () = interrupts.heard() => return Err(Failed::Interrupted.into()),
                    key = keys.recv() => if !matches!(key, Some(Key::Redraw)) { return Ok(()) },
                    look = async { match &mut looking { Some(look) => look.await, None => std::future::pending().await } } => {
                        looking = None;
                        screen.take(look);
                    }
                    _ = ticks.tick(), if looking.is_none() => {
                        let client = client.clone();
                        looking = Some(async move { Look::at(&client).await }.boxed_local());
                    }
                }
            }
        }
    });
    ratatui::try_restore().context("the terminal can't be restored; `reset` does it")?;
    ended
}

/// Reads keys in a thread of its own, which ends with the process.
fn keys() -> mpsc::Receiver<Key> {
    let (sender, receiver) = mpsc::channel(8);
    std::thread::spawn(move || {
        while !sender.is_closed() {
            let key = match event::poll(KEYS_EVERY) {
                Ok(true) => event::read().ok().and_then(|event| meaning(&event)),
                Ok(false) => continue,
                // Without keys there is no way to end it, so it ends.
                Err(_) => Some(Key::Quit),
            };
            if let Some(key) = key
                && sender.blocking_send(key).is_err()
            {
                return;
            }
        }
    });
    receiver
}

fn meaning(event: &Event) -> Option<Key> {
    match event {
        Event::Resize(..) => Some(Key::Redraw),
        Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
            KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Quit),
            _ => None,
        },
        _ => None,
    }
}

/// One look as text.
fn print(look: &Look) -> Result<()> {
    output::line(format_args!(
        "{} ready, {} running, {} waiting; {:.1} completed and {:.1} failed a second; {} workers",
        look.ready(),
        look.running(),
        look.waiting(),
        look.completed_per_s,
        look.failed_per_s,
        look.workers.len()
    ))?;
    output::line("")?;
    let lanes = look.lanes.iter().map(|lane| {
        [
            lane.name.clone(),
            mode(lane).to_owned(),
            lane.ready.to_string(),
            lane.running.to_string(),
            lane.waiting.to_string(),
        ]
    });
    output::table(["lane", "mode", "ready", "running", "waiting"], lanes)?;
    output::line("")?;
    let workers = look.workers.iter().map(|worker| {
        [
            worker.name.clone(),
            worker.lanes.join(" "),
            worker.kinds.join(" "),
            worker.leases.to_string(),
            worker.slots.to_string(),
            format!("{} ago", clock::ago(worker.seen_at)),
        ]
    });
    output::table(["worker", "lanes", "kinds", "holds", "free", "seen"], workers)?;
    if look.failures.is_empty() {
        return Ok(());
    }
    output::line("")?;
    let failures = look.failures.iter().map(|failed| {
        let error = failed.error.as_ref().map(|error| format!("{}: {}", error.kind, error.message));
        [failed.id.clone(), failed.kind.clone(), error.unwrap_or_default()]
    });
    output::table(["failed lately", "kind", "error"], failures)
}
