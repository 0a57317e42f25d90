//! The engine inside the program: no server, and what is submitted outlives the process all the same.
//!
//! `cargo run -p stint --example embedded -- ./stint-data`, twice.

use std::path::{Path, PathBuf};
use std::time::Duration;

use stint::api::ExecutionState;
use stint::{Context, Embedded, Failure, Submission, Worker};
use tokio::sync::oneshot;

/// One run of the program: submits the work unless that was done before, and works on it if it should.
async fn run(folder: &Path, works: bool) -> Result<ExecutionState, Box<dyn std::error::Error>> {
    let stint = Embedded::open(folder).await?;
    let client = stint.client();

    // The same key is the same execution, whichever run of the program submits it.
    let report = Submission::new("report").input(&2026).idempotency_key("report-2026");
    let submitted = client.submit(report).await?;
    println!("{} is {}", submitted.id, if submitted.existed { "already there" } else { "new" });

    if works {
        let worker = Worker::builder(&client)
            .handler("report", async |_: Context, year: u32| {
                Ok::<_, Failure>(format!("{year} was a good year"))
            })
            .build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let working = tokio::spawn(worker.run(async {
            let _ = stopped.await;
        }));
        let outcome = client.result::<String>(&submitted.id).wait(Duration::from_secs(60)).await?;
        println!("{}", outcome.into_output()?);
        drop(stop);
        working.await??;
    }
    let state = client.execution(&submitted.id).await?.state;
    stint.close().await;
    Ok(state)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).map_or_else(|| PathBuf::from("stint-data"), PathBuf::from);
    // As if the program had been ended before it came to its work.
    println!("{}", run(&folder, false).await?);
    println!("{}", run(&folder, true).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_outlives_the_program() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(run(folder.path(), false).await.unwrap(), ExecutionState::Ready);
        assert_eq!(run(folder.path(), true).await.unwrap(), ExecutionState::Completed);
        assert_eq!(run(folder.path(), true).await.unwrap(), ExecutionState::Completed);
    }
}
