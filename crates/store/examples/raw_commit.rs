//! How fast the embedded store takes raw batches: `raw_commit [DIR] [SECONDS] [PARTITIONS] [WRITES] [VALUE_BYTES]`.
//!
//! Prints one JSON line per second of the run and one for the whole, with the disk's own fsync rate beside it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stint_store::Store;
use stint_store::embedded::{EmbeddedConfig, EmbeddedStore, calibrate};
use stint_store::raw::{self, RawShape};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let scratch = tempfile::tempdir()?;
    let path = arguments.first().map_or_else(|| scratch.path().to_owned(), PathBuf::from);
    let lasting = Duration::from_secs(number(1, 10)?);
    let shape = RawShape {
        partitions: u8::try_from(number(2, 8)?)?,
        writes: usize::try_from(number(3, 160)?)?,
        deletes: usize::try_from(number(3, 160)? / 5)?,
        value_bytes: usize::try_from(number(4, 100)?)?,
        ..RawShape::default()
    };
    std::fs::create_dir_all(&path)?;
    println!("{{\"fsyncs_per_second_at_best\": {:.0}}}", calibrate(&path, 4_096, Duration::from_secs(1))?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let since = Instant::now();
        let store: Arc<dyn Store> = EmbeddedStore::open(EmbeddedConfig::new(path.join("store")))?;
        println!("{{\"open_seconds\": {:.3}}}", since.elapsed().as_secs_f64());
        let watched = tokio::spawn(watch(store.clone()));
        let result = raw::run(store.clone(), shape, lasting).await?;
        watched.abort();
        let counters = result.counters;
        println!(
            "{{\"seconds\": {:.1}, \"commits_per_second\": {:.0}, \"writes_per_second\": {:.0}, \
             \"mib_per_second\": {:.1}, \"fsyncs_per_second\": {:.0}, \"longest_commit_us\": {}, \
             \"cpu_us_per_write\": {:.2}}}",
            result.elapsed.as_secs_f64(),
            result.per_second(counters.commits),
            result.per_second(counters.writes),
            result.per_second(counters.bytes) / f64::from(1 << 20),
            result.per_second(counters.syncs),
            counters.longest_commit_us,
            cpu_seconds()? * 1e6 / counters.writes as f64,
        );
        store.close().await?;
        Ok(())
    })
}

async fn watch(store: Arc<dyn Store>) {
    let mut before = store.counters();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = store.counters();
        println!(
            "{{\"commits\": {}, \"writes\": {}, \"fsyncs\": {}, \"longest_commit_us\": {}}}",
            now.commits - before.commits,
            now.writes - before.writes,
            now.syncs - before.syncs,
            now.longest_commit_us,
        );
        before = now;
    }
}

/// Processor time of this process, user and system.
fn cpu_seconds() -> Result<f64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields.get(11).ok_or("no utime")?.parse::<u64>()?
        + fields.get(12).ok_or("no stime")?.parse::<u64>()?;
    Ok(ticks as f64 / 100.0)
}
