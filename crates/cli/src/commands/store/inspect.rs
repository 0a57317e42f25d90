//! `stint store inspect`.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget};
use stint::api::{PARTITION_MAX, StoreReport, StoredRecord};
use stint_engine::inspect::{Wanted, inspect, records_of};

use super::{ask, look};
use crate::commands::connection::{Connection, block_on};
use crate::exit::Failed;
use crate::store::StoreUrl;
use crate::{clock, output};

/// What to look at.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The store itself, if no server serves it: embedded:DIR or valkey://HOST:PORT.
    #[arg(long)]
    store: Option<StoreUrl>,
    /// Only this partition; 64 holds facts of the whole store.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=i64::from(PARTITION_MAX)))]
    partition: Option<u8>,
    /// Heads and open executions only; records are not counted.
    #[arg(long)]
    quick: bool,
    /// Shows the records of this execution instead; needs --store.
    #[arg(long, value_name = "ID", requires = "store", conflicts_with = "partition")]
    execution: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: Args) -> Result<()> {
    if let (Some(id), Some(url)) = (&args.execution, &args.store) {
        let records = block_on(records(id, url))?;
        return print_records(id, &records, args.connection.json);
    }
    let wanted = Wanted { partition: args.partition, records: !args.quick };
    let report = match &args.store {
        Some(url) => block_on(report(url, wanted))?,
        None => ask(&args.connection, async |client| {
            Ok(client.store_of(wanted.partition, wanted.records).await?)
        })?,
    };
    if args.connection.json { output::json(&report) } else { print(&report) }
}

async fn records(id: &str, url: &StoreUrl) -> Result<Vec<StoredRecord>> {
    let parsed = id.parse().map_err(|error| Failed::Usage(format!("{id} is {error}")))?;
    let looked = look(url).await?;
    let found = records_of(&looked.store, parsed).await?;
    looked.store.close().await?;
    Ok(found)
}

async fn report(url: &StoreUrl, wanted: Wanted) -> Result<StoreReport> {
    let looked = look(url).await?;
    if let Some(missing) = looked.missing {
        let (batches, partitions) = (missing.batches, missing.partitions);
        eprintln!("stint: store_behind: {batches} confirmed batches in {partitions} partitions are missing");
    }
    let bar = ProgressBar::with_draw_target(Some(u64::from(PARTITION_MAX) + 1), ProgressDrawTarget::stderr());
    let report = inspect(&looked.store, wanted, |done| bar.set_position(done.into())).await?;
    bar.finish_and_clear();
    looked.store.close().await?;
    Ok(report)
}

fn print(report: &StoreReport) -> Result<()> {
    output::line(format!("format       {}", report.format))?;
    output::line(format!("partitions   {}", report.partition_count))?;
    output::line(format!("identity     {}", report.identity))?;
    if report.restoring {
        output::line("restore      begun and not completed: it is not served")?;
    }
    for member in &report.members {
        let (node, ago) = (&member.node, clock::ago(member.heartbeat_at));
        output::line(format!("node         {node}, level {}, heartbeat {ago} ago", member.level))?;
    }
    for (state, count) in &report.open {
        output::line(format!("{state:12} {count}"))?;
    }
    if let Some(at) = report.oldest_ready_at {
        output::line(format!("oldest ready {} ago", clock::ago(at)))?;
    }
    output::line("")?;
    if let Some(records) = &report.records {
        let rows = records.iter().map(|record| {
            [record.table.clone(), record.kind.clone(), record.count.to_string(), record.bytes.to_string()]
        });
        output::table(["table", "records", "count", "bytes"], rows)?;
        if let Some(unreadable @ 1..) = report.unreadable {
            output::line(format!("{unreadable} live records can't be read"))?;
        }
        output::line("")?;
    }
    let rows = report.partitions.iter().map(|partition| {
        [
            partition.partition.to_string(),
            partition.timeline.to_string(),
            partition.version.to_string(),
            partition.level.to_string(),
            partition.last_commit_at.map_or_else(String::new, |at| format!("{} ago", clock::ago(at))),
            partition.open.to_string(),
            partition.messages.to_string(),
        ]
    });
    output::table(["partition", "timeline", "version", "level", "last commit", "open", "messages"], rows)
}

fn print_records(id: &str, records: &[StoredRecord], as_json: bool) -> Result<()> {
    if as_json {
        return records.iter().try_for_each(output::json);
    }
    if records.is_empty() {
        return Err(Failed::Difference(format!("nothing is stored about {id}")).into());
    }
    for record in records {
        output::line(format!(
            "{} ({}, {} bytes, key {})",
            record.kind, record.table, record.bytes, record.key
        ))?;
        for line in record.text.lines() {
            output::line(format!("    {line}"))?;
        }
    }
    Ok(())
}
