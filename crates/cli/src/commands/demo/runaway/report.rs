//! What the demo found: where the agents stopped, and the ledger beside the bill.

use std::collections::BTreeMap;

use anyhow::Result;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use super::agent::CALL_USD_MICROS;
use crate::exit::Failed;
use crate::output;

/// Calls that differ, shown at most.
const SHOWN: usize = 10;

/// Where they stood when nobody could start any more.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Stop {
    pub(super) limit: u64,
    pub(super) used: u64,
    /// What the provider had charged by then.
    pub(super) billed: u64,
}

/// What is said of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Paid {
    pub(super) times: u64,
    pub(super) usd_micros: u64,
}

/// The whole.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) stops: Vec<Stop>,
    /// From the raise to the next call.
    pub(super) went_on_ms: u64,
    /// By the provider's id of its answer.
    #[serde(serialize_with = "summed")]
    pub(super) ledger: BTreeMap<String, Paid>,
    #[serde(serialize_with = "summed")]
    pub(super) bill: BTreeMap<String, Paid>,
    pub(super) killed_agent: u32,
    pub(super) killed_server: u32,
    pub(super) elapsed_ms: u64,
}

impl Stop {
    pub(super) fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    fn is_right(&self) -> bool {
        self.used <= self.limit && self.left() < CALL_USD_MICROS && self.billed == self.used
    }
}

impl Report {
    /// What is wrong, in words.
    fn differences(&self) -> Vec<String> {
        let stops = self.stops.iter().filter(|stop| !stop.is_right()).map(|stop| {
            let Stop { limit, used, billed } = stop;
            format!("stopped at {used} of {limit}, when {billed} were billed")
        });
        let ids: std::collections::BTreeSet<&String> = self.ledger.keys().chain(self.bill.keys()).collect();
        let calls = ids.into_iter().filter_map(|id| {
            let (ledger, bill) = (self.ledger.get(id).copied(), self.bill.get(id).copied());
            let of = |paid: Option<Paid>| {
                paid.map_or("nothing".to_owned(), |paid| format!("{} in {}", paid.usd_micros, paid.times))
            };
            (ledger != bill).then(|| format!("{id}: {} in the ledger, {} on the bill", of(ledger), of(bill)))
        });
        stops.chain(calls).collect()
    }

    pub(super) fn print(&self) -> Result<()> {
        let mut stops = Table::new();
        stops.set_header(["limit", "stopped at", "left", "most for a call"]);
        for stop in &self.stops {
            let row = [stop.limit, stop.used, stop.left(), CALL_USD_MICROS];
            stops.add_row(row.map(|amount| amount.to_string()));
        }
        stops.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        output::line(stops)?;
        let mut sides = Table::new();
        sides.set_header(["", "Stint's ledger", "provider's bill", "difference"]);
        let (ledger, bill) = (sum(&self.ledger), sum(&self.bill));
        let rows = [("calls", ledger.times, bill.times), ("usd_micros", ledger.usd_micros, bill.usd_micros)];
        for (row, ledger, bill) in rows {
            let difference = i128::from(ledger) - i128::from(bill);
            sides.add_row([row.to_owned(), ledger.to_string(), bill.to_string(), difference.to_string()]);
        }
        sides.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        output::line(sides)?;
        let differences = self.differences();
        for difference in differences.iter().take(SHOWN) {
            output::line(format_args!("DIFFERENCE {difference}"))?;
        }
        output::line(format_args!(
            "{:.1} s through SIGKILL of agent process {} in the middle of a call and of server process {}; {} ms from the \
             raise to the next call",
            self.elapsed_ms as f64 / 1_000.0,
            self.killed_agent,
            self.killed_server,
            self.went_on_ms,
        ))
    }

    pub(super) fn verdict(&self) -> Result<()> {
        match self.differences().len() {
            0 => Ok(()),
            count => Err(Failed::Difference(format!("{count} differences")).into()),
        }
    }
}

fn sum(paid: &BTreeMap<String, Paid>) -> Paid {
    paid.values().fold(Paid::default(), |sum, paid| Paid {
        times: sum.times + paid.times,
        usd_micros: sum.usd_micros + paid.usd_micros,
    })
}

fn summed<S: serde::Serializer>(paid: &BTreeMap<String, Paid>, serializer: S) -> Result<S::Ok, S::Error> {
    sum(paid).serialize(serializer)
}
