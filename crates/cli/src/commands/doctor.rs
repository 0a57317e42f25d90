//! `stint doctor`: what is and what isn't promised here, and what is not as it should be.

mod embedded;
mod valkey;

use anyhow::Result;
use stint::api::{Check, CheckLevel, DoctorReply, StoreReport};
use stint_engine::inspect::{Wanted, inspect};

use super::connection::{Connection, block_on};
use super::store::{ask, look};
use crate::exit::Failed;
use crate::store::StoreUrl;
use crate::{clock, output};

/// Where to look.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The store itself: embedded:DIR or valkey://HOST:PORT. Without it a running server is asked.
    #[arg(long)]
    store: Option<StoreUrl>,
    /// The mark of free disk space, in MiB, that the server is started with.
    #[arg(long, default_value_t = 512)]
    low_water_mib: u64,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let reply: DoctorReply = match &args.store {
        None => ask(&args.connection, async |client| Ok(client.doctor().await?))?,
        Some(StoreUrl::Embedded(path)) => block_on(embedded::checks(path, args.low_water_mib << 20))?.into(),
        Some(url @ StoreUrl::Valkey(address)) => {
            block_on(async { Ok(valkey::checks(url, address).await) })?.into()
        }
    };
    print(&reply, args.connection.json)?;
    let problems = reply.checks.iter().filter(|check| check.level == CheckLevel::Problem).count();
    match problems {
        0 => Ok(()),
        count => Err(Failed::Difference(format!("{count} problems were found")).into()),
    }
}

fn print(reply: &DoctorReply, as_json: bool) -> Result<()> {
    if as_json {
        return output::json(reply);
    }
    for check in &reply.checks {
        output::line(format!("{:8} {}: {}", check.level.name(), check.name, check.detail))?;
        if let Some(remedy) = &check.remedy {
            output::line(format!("         -> {remedy}"))?;
        }
    }
    Ok(())
}

/// What is in a store that can be opened.
async fn contents(url: &StoreUrl) -> Vec<Check> {
    const STORE: &str = "store";
    let looked = match look(url).await {
        Ok(looked) => looked,
        Err(error) => {
            return vec![Check::problem(STORE, format!("{error:#}"), "See docs/errors/ for the code.")];
        }
    };
    let mut checks = Vec::new();
    if let Some(missing) = looked.missing {
        let (batches, partitions) = (missing.batches, missing.partitions);
        checks.push(Check::problem(
            "lost writes",
            format!("{batches} confirmed batches in {partitions} partitions are missing"),
            "Restore a backup, or start with --accept-loss to go on without them.",
        ));
    }
    if let Some(given_up) = looked.given_up {
        checks.push(Check::warning(
            "accepted loss",
            format!("{} confirmed batches were given up at an earlier start", given_up.batches),
            "Nothing, if that was known; else compare what clients believe to have done with what is here.",
        ));
    }
    match inspect(&looked.store, Wanted::default(), |_| {}).await {
        Ok(report) => checks.extend(of_report(&report)),
        Err(error) => {
            checks.push(Check::problem(STORE, error.to_string(), "Look at the disk or the server below."))
        }
    }
    // It was only looked at.
    _ = looked.store.close().await;
    checks
}

fn of_report(report: &StoreReport) -> Vec<Check> {
    let open: u64 = report.open.values().sum();
    let mut checks = vec![Check::ok(
        "store",
        format!("format {}, {} partitions, {open} open executions", report.format, report.partition_count),
    )];
    if report.restoring {
        checks.push(Check::problem(
            "restore",
            "one was begun and not completed; the store is not served",
            "Start the same `stint store restore` again: it goes on where it stopped.",
        ));
    }
    for member in &report.members {
        let ago = clock::ago(member.heartbeat_at);
        checks.push(Check::ok("node", format!("{} sent its last heartbeat {ago} ago", member.node)));
    }
    checks
}
