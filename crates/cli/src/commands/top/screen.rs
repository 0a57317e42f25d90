//! How a look is drawn.

use std::collections::VecDeque;

use anyhow::Result;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Sparkline, Table};

use super::look::Look;
use crate::clock;
use crate::commands::lane::mode;

/// Rates kept for the curve.
const HISTORY: usize = 300;

/// Below this width columns that can be missed are.
const NARROW: u16 = 60;

/// What is on the screen.
#[derive(Debug)]
pub(super) struct Screen {
    servers: String,
    look: Look,
    error: Option<String>,
    history: VecDeque<u64>,
    is_colourful: bool,
}

impl Screen {
    /// A screen that shows this.
    pub(super) fn new(servers: String, look: Look) -> Self {
        let is_colourful = std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        let history = [look.completed_per_s as u64].into();
        Self { servers, look, error: None, history, is_colourful }
    }

    /// Shows another look; what was seen before stays where there is none.
    pub(super) fn take(&mut self, look: Result<Look>) {
        match look {
            Ok(look) => {
                self.history.push_front(look.completed_per_s as u64);
                self.history.truncate(HISTORY);
                self.look = look;
                self.error = None;
            }
            Err(error) => self.error = Some(format!("{error:#}")),
        }
    }

    /// Draws it.
    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        // What matters most has its place first, and the curve gets what is left.
        let mut left = frame.area().height;
        let mut take = |wanted: usize| {
            let taken = u16::try_from(wanted).unwrap_or(u16::MAX).min(left);
            left -= taken;
            Constraint::Length(taken)
        };
        let head = take(3);
        let lanes = take(self.look.lanes.len().saturating_add(3).min(14));
        let workers = take(self.look.workers.len().saturating_add(3).min(14));
        let failures = take(self.look.failures.len() + 1);
        let curve = take(5);
        let areas = Layout::vertical([head, curve, lanes, workers, failures]).areas(frame.area());
        let [head, curve, lane_area, worker_area, failures] = areas;
        frame.render_widget(self.head(), head);
        let rates: Vec<u64> = self.history.iter().copied().collect();
        let curve_widget = Sparkline::default()
            .block(Block::new().borders(Borders::TOP).title(" completed a second "))
            .style(self.style(Color::Green))
            .data(rates);
        frame.render_widget(curve_widget, curve);
        self.draw_lanes(frame, lane_area);
        self.draw_workers(frame, worker_area);
        self.draw_failures(frame, failures);
    }

    fn head(&self) -> Paragraph<'_> {
        let look = &self.look;
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let first = Line::from(vec![
            Span::styled("stint top", bold),
            Span::raw(format!("  {}  {}  q quits", self.servers, look.at)),
        ]);
        let second = Line::from(vec![
            Span::styled(format!("{} ready  ", look.ready()), bold),
            Span::styled(format!("{} running  ", look.running()), bold),
            Span::raw(format!("{} waiting  {} workers  ", look.waiting(), look.workers.len())),
            Span::styled(format!("{:.1} completed/s  ", look.completed_per_s), self.style(Color::Green)),
            Span::styled(format!("{:.1} failed/s", look.failed_per_s), self.style(Color::Red)),
        ]);
        let third = match &self.error {
            Some(error) => Line::styled(error.as_str(), self.style(Color::Red)),
            None => Line::default(),
        };
        Paragraph::new(vec![first, second, third])
    }

    fn draw_lanes(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.look.lanes.iter().map(|lane| {
            let style = if lane.paused || lane.draining { self.style(Color::Yellow) } else { Style::new() };
            let full = lane.max_length.map(|length| length.to_string()).unwrap_or_default();
            Row::new([
                lane.name.clone(),
                mode(lane).to_owned(),
                lane.ready.to_string(),
                lane.running.to_string(),
                lane.waiting.to_string(),
                full,
            ])
            .style(style)
        });
        let narrow = area.width < NARROW;
        let widths = [
            Constraint::Fill(1),
            Constraint::Length(if narrow { 6 } else { 12 }),
            Constraint::Length(if narrow { 5 } else { 9 }),
            Constraint::Length(if narrow { 7 } else { 9 }),
            Constraint::Length(if narrow { 7 } else { 9 }),
            Constraint::Length(if narrow { 0 } else { 11 }),
        ];
        let table = Table::new(rows, widths)
            .header(header(["lane", "mode", "ready", "running", "waiting", "max length"]))
            .block(Block::new().borders(Borders::TOP).title(" lanes "));
        frame.render_widget(table, area);
    }

    fn draw_workers(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.look.workers.iter().map(|worker| {
            let style = if worker.draining { self.style(Color::Yellow) } else { Style::new() };
            Row::new([
                worker.name.clone(),
                worker.lanes.join(" "),
                worker.kinds.join(" "),
                worker.leases.to_string(),
                worker.slots.to_string(),
                format!("{} ago", clock::ago(worker.seen_at)),
            ])
            .style(style)
        });
        let narrow = area.width < NARROW;
        let widths = [
            Constraint::Fill(2),
            if narrow { Constraint::Length(0) } else { Constraint::Fill(1) },
            if narrow { Constraint::Length(0) } else { Constraint::Fill(2) },
            Constraint::Length(if narrow { 5 } else { 7 }),
            Constraint::Length(if narrow { 4 } else { 7 }),
            Constraint::Length(if narrow { 7 } else { 9 }),
        ];
        let table = Table::new(rows, widths)
            .header(header(["worker", "lanes", "kinds", "holds", "free", "seen"]))
            .block(Block::new().borders(Borders::TOP).title(" workers "));
        frame.render_widget(table, area);
    }

    fn draw_failures(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.look.failures.iter().map(|failed| {
            let error = failed.error.as_ref().map(|error| format!("{}: {}", error.kind, error.message));
            let age = failed.ended_at.map(clock::ago).unwrap_or_default();
            Row::new([age, failed.id.clone(), failed.kind.clone(), error.unwrap_or_default()])
        });
        let widths =
            [Constraint::Length(5), Constraint::Length(30), Constraint::Fill(1), Constraint::Fill(3)];
        let table = Table::new(rows, widths).style(self.style(Color::Red)).block(
            Block::new().borders(Borders::TOP).title(" failed lately (stint why, stint logs, stint replay) "),
        );
        frame.render_widget(table, area);
    }

    /// A colour, where colours are wanted.
    fn style(&self, colour: Color) -> Style {
        if self.is_colourful { Style::new().fg(colour) } else { Style::new() }
    }
}

fn header<const N: usize>(names: [&'static str; N]) -> Row<'static> {
    Row::new(names).style(Style::new().add_modifier(Modifier::DIM))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    use super::*;

    fn look() -> Look {
        let lane = json!({"name": "mail", "namespace": "default", "paused": true, "draining": false,
                          "age_step_ms": 1, "ready": 12, "running": 3, "waiting": 4});
        let worker = json!({"id": "w.s", "name": "w1", "lanes": ["mail"], "kinds": ["send"], "slots": 5,
                            "seen_at": "2026-11-23T10:00:00.000Z"});
        Look {
            at: clock::now(),
            completed_per_s: 42.0,
            failed_per_s: 0.5,
            lanes: vec![serde_json::from_value(lane).unwrap()],
            workers: vec![serde_json::from_value(worker).unwrap()],
            failures: Vec::new(),
        }
    }

    fn drawn(screen: &Screen, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        format!("{}", terminal.backend())
    }

    #[test]
    fn a_look_is_on_the_screen_and_stays_when_the_server_goes() {
        let mut screen = Screen::new("http://127.0.0.1:7400".to_owned(), look());
        let shown = drawn(&screen, 100, 30);
        for wanted in ["12 ready", "3 running", "4 waiting", "42.0 completed/s", "mail", "paused", "w1"] {
            assert!(shown.contains(wanted), "{wanted} in\n{shown}");
        }
        screen.take(Err(anyhow::anyhow!("no answer")));
        let shown = drawn(&screen, 100, 30);
        assert!(shown.contains("no answer") && shown.contains("12 ready"), "{shown}");
    }

    #[test]
    fn a_small_terminal_shows_what_matters_most() {
        let screen = Screen::new("http://127.0.0.1:7400".to_owned(), look());
        let shown = drawn(&screen, 40, 12);
        for wanted in ["12 ready", "mail", "paused", "w1"] {
            assert!(shown.contains(wanted), "{wanted} in\n{shown}");
        }
        assert!(!shown.contains("completed a second"), "{shown}");
    }

    #[test]
    fn any_size_of_terminal_will_do() {
        let screen = Screen::new("http://127.0.0.1:7400".to_owned(), look());
        for (width, height) in [(1, 1), (10, 3), (40, 8), (300, 100)] {
            drawn(&screen, width, height);
        }
    }
}
