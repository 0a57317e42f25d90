//! The embedded store: the disk it lies on, who has it, what it holds.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use stint::api::Check;
use stint_store::embedded::{FileSystem, Survey, calibrate, survey};

use crate::store::StoreUrl;

/// How long forced writes are counted.
const MEASURED: Duration = Duration::from_millis(500);

/// Fewer forced writes a second than this make every commit slow.
const SLOW: f64 = 50.0;

/// No disk that keeps its word forces more writes a second than this, one after the other.
const TOO_FAST: f64 = 50_000.0;

/// What a commit forces, about.
const WRITE_BYTES: usize = 4_096;

pub(super) async fn checks(path: &Path, low_water_bytes: u64) -> Result<Vec<Check>> {
    let seen = survey(path).with_context(|| path.display().to_string())?;
    let place = seen.place.clone();
    let measured = tokio::task::spawn_blocking(move || calibrate(&place, WRITE_BYTES, MEASURED)).await?;
    let mut checks = vec![promise(), file_system(&seen), room(&seen, low_water_bytes), forced(measured)];
    if let Some(wrong) = &seen.heads_file {
        checks.push(Check::problem(
            "file of heads",
            wrong.clone(),
            "Look at the disk. Without the file the store opens, but can't tell whether it lost writes.",
        ));
    }
    match (&seen.holder, seen.exists) {
        (Some(process), _) => checks.push(Check::ok(
            "lock",
            format!("process {process} has the store; ask it with --server for what only it can tell"),
        )),
        (None, false) => checks.push(Check::ok("store", "there is none here yet; `stint serve` makes it")),
        (None, true) => checks.extend(super::contents(&StoreUrl::Embedded(path.to_owned())).await),
    }
    Ok(checks)
}

fn promise() -> Check {
    Check::ok(
        "promise",
        "what is confirmed survives the end of the process in any way; with --durability fsync, the default, also a loss \
         of power, as far as the disk keeps what it was forced to write. It does not survive the loss of the disk: back up",
    )
}

fn file_system(seen: &Survey) -> Check {
    const NAME: &str = "file system";
    let place = seen.place.display();
    match seen.file_system {
        FileSystem::Local(kind) => Check::ok(NAME, format!("{place} is on {kind}")),
        FileSystem::Memory(kind) => Check::problem(
            NAME,
            format!(
                "{place} is on {kind}, which is memory: everything is gone with the machine's next start"
            ),
            "Use a directory on a disk.",
        ),
        FileSystem::Network(kind) => Check::warning(
            NAME,
            format!("{place} is on {kind}: locks and forced writes are what its server makes of them"),
            "Use a local disk, or find out whether the server forces writes to its disk.",
        ),
        FileSystem::Other(number) => {
            Check::ok(NAME, format!("{place} is on a file system of type {number:#x}"))
        }
    }
}

fn room(seen: &Survey, low_water_bytes: u64) -> Check {
    const NAME: &str = "room";
    const REMEDY: &str = "Free disk space, shorten retention, or use a larger disk.";
    let Some(free) = seen.free_bytes else {
        return Check::warning(NAME, "the system does not say how much is free", REMEDY);
    };
    let (free_mib, mark_mib) = (free >> 20, low_water_bytes >> 20);
    let said = format!("{free_mib} MiB are free, the low-water mark is {mark_mib} MiB");
    if free < low_water_bytes {
        Check::problem(NAME, format!("{said}: only what ends work is accepted"), REMEDY)
    } else if free / 4 < low_water_bytes {
        Check::warning(NAME, said, REMEDY)
    } else {
        Check::ok(NAME, said)
    }
}

fn forced(measured: std::io::Result<f64>) -> Check {
    const NAME: &str = "forced writes";
    match measured {
        Ok(rate) if rate < SLOW => Check::warning(
            NAME,
            format!(
                "the disk forces {rate:.0} writes a second: a commit waits {:.0} ms",
                1_000.0 / rate.max(0.001)
            ),
            "Use a faster disk. What waits shares a commit, so throughput suffers less than latency.",
        ),
        Ok(rate) if rate > TOO_FAST => Check::warning(
            NAME,
            format!("the disk claims to force {rate:.0} writes a second, which it most likely does not"),
            "Find out whether writes are cached without protection against a loss of power.",
        ),
        Ok(rate) => Check::ok(NAME, format!("the disk forces {rate:.0} writes a second")),
        Err(error) => Check::problem(
            NAME,
            format!("a file could not be written and forced to disk: {error}"),
            "Give this user the right to write there, or free disk space.",
        ),
    }
}
