//! A batch: one execution per file of a folder, progress on the way, totals at the end.
//!
//! `cargo run -p stint --example file_batch -- ./docs`

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use stint::{Client, Context, Embedded, Failure, Submission, Worker};
use tokio::sync::oneshot;

/// Executions per request: a batch holds at most 1,000.
const BATCH: usize = 500;

#[derive(Serialize, Deserialize, Default, Clone, Copy, PartialEq, Debug)]
struct Counts {
    lines: usize,
    words: usize,
}

async fn count(ctx: Context, path: PathBuf) -> Result<Counts, Failure> {
    ctx.progress(0, format!("reading {}", path.display()));
    let read = tokio::fs::read(&path).await;
    // A file that is not there will not be there the next time either.
    let bytes = read.map_err(|error| Failure::new("unreadable", error.to_string()).no_retry())?;
    let text = String::from_utf8_lossy(&bytes);
    ctx.progress(50, "counting");
    Ok(Counts { lines: text.lines().count(), words: text.split_whitespace().count() })
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The execution of every file, in order. Submitting again gives the same ones: a file is done once.
async fn submit(client: &Client, files: &[PathBuf]) -> Result<Vec<String>, stint::Error> {
    let mut ids = Vec::with_capacity(files.len());
    for files in files.chunks(BATCH) {
        let submissions = files.iter().map(|file| {
            let name = file.display().to_string();
            Submission::new("count").input(file).lane("files").idempotency_key(format!("count:{name}"))
        });
        for submitted in client.submit_batch(submissions).await? {
            ids.push(submitted?.id);
        }
    }
    Ok(ids)
}

async fn run(folder: &Path) -> Result<Counts, Box<dyn std::error::Error>> {
    let stint = Embedded::in_memory().await?;
    let client = stint.client();
    let worker = Worker::builder(&client).lanes(["files"]).slots(8).handler("count", count).build()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let working = tokio::spawn(worker.run(async {
        let _ = stopped.await;
    }));

    let files = files(folder)?;
    let ids = submit(&client, &files).await?;
    let (client, done, all) = (&client, &AtomicUsize::new(0), files.len());
    let counts = try_join_all(ids.iter().zip(&files).map(|(id, file)| async move {
        let outcome = client.result::<Counts>(id).wait(Duration::from_secs(600)).await?;
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        let counts = match outcome.into_output() {
            Ok(counts) => counts,
            Err(error) => {
                println!("{}: {error}", file.display());
                Counts::default()
            }
        };
        println!("{done} of {all}: {} has {} words", file.display(), counts.words);
        Ok::<_, stint::Error>(counts)
    }))
    .await?;
    let total = counts.iter().fold(Counts::default(), |sum, counts| Counts {
        lines: sum.lines + counts.lines,
        words: sum.words + counts.words,
    });
    println!("{} files, {} lines, {} words", files.len(), total.lines, total.words);

    drop(stop);
    working.await??;
    stint.close().await;
    Ok(total)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    run(Path::new(&folder)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_file_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..20 {
            let text = "one two\nthree\n".repeat(number);
            std::fs::write(folder.path().join(format!("{number}.txt")), text).unwrap();
        }
        assert_eq!(run(folder.path()).await.unwrap(), Counts { lines: 2 * 190, words: 3 * 190 });
    }
}
