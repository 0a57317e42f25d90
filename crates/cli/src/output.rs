//! Standard output: data, and nothing but data.

use std::fmt::Display;
use std::io::{self, Write};

use anyhow::{Context, Result};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::exit::Failed;

/// One line of text.
pub(crate) fn line(text: impl Display) -> Result<()> {
    written(writeln!(io::stdout(), "{text}"))
}

/// One line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    line(serde_json::to_string(value)?)
}

/// Bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    written(out.write_all(bytes).and_then(|()| out.flush()))
}

/// A table for people, as wide as the terminal; without any if there are no rows.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.map(str::to_uppercase));
    for row in rows {
        table.add_row(row);
    }
    for line in table.lines() {
        self::line(line.trim_end())?;
    }
    Ok(())
}

/// Says that a change of settings is still on its way to some partitions.
pub(crate) fn unconfirmed(missing_partitions: &[u32]) {
    if !missing_partitions.is_empty() {
        let missing = missing_partitions.len();
        eprintln!("stint: {missing} partitions have not confirmed it yet; it reaches them on its own");
    }
}

/// A failed write as this command's end: a reader that has gone is nothing to complain about.
pub(crate) fn written(result: io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failed::OutputClosed.into()),
        result => result.context("cannot write to standard output"),
    }
}
