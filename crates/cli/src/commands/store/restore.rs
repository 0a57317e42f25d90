//! `stint store restore`.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use stint_engine::backup::{Contents, ReadError, RestoreError, Restored, restore, verify};

use super::progress;
use crate::commands::connection::block_on;
use crate::exit::Failed;
use crate::output;
use crate::signals::Interrupts;
use crate::store::{DurabilityArg, StoreArgs, StoreUrl};

/// What to restore, and where to.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The backup.
    file: PathBuf,
    /// An empty store: embedded:NEWDIR or valkey://HOST:PORT.
    #[arg(long)]
    store: StoreUrl,
    /// Prints JSON for programs instead of text for people.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> Result<()> {
    let unopened = |error| Failed::Usage(format!("{}: {error}", args.file.display()));
    let open = || File::open(&args.file).map_err(unopened);
    let source = open()?;
    let length = source.metadata()?.len();
    let bar = progress::bytes("checking", Some(length));
    let contents = verify(source, |at| bar.set_position(at));
    let contents = contents.map_err(|error| unreadable(&args, error))?;
    bar.finish_and_clear();
    let restored = block_on(async {
        let mut interrupts = Interrupts::listen()?;
        tokio::select! {
            biased;
            () = interrupts.heard() => {
                eprintln!("stint: the store is half restored and will not be served; start the same command again to go on");
                Err(Failed::Interrupted.into())
            }
            restored = put_back(&args, &contents, open()?) => restored,
        }
    })?;
    say(&args, &contents, restored)
}

async fn put_back(args: &Args, contents: &Contents, source: File) -> Result<Restored> {
    let how = StoreArgs { durability: DurabilityArg::Fsync, accept_loss: false, low_water_mib: 512 };
    let store = args.store.open(&how).await?;
    let bar = progress::bytes("restoring", Some(contents.bytes));
    let restored = restore(&store, contents, source, |at| bar.set_position(at)).await;
    bar.finish_and_clear();
    // What is not committed is not counted on.
    let closed = store.close().await;
    let restored = restored.map_err(|error| match error {
        RestoreError::Read(error) => unreadable(args, error),
        error => Failed::Store { code: error.code(), reason: error.to_string() }.into(),
    })?;
    closed?;
    Ok(restored)
}

fn unreadable(args: &Args, error: ReadError) -> anyhow::Error {
    let file = args.file.display();
    match error {
        ReadError::Damaged(damage) => {
            Failed::Store { code: damage.code, reason: format!("{file}: {damage}") }.into()
        }
        error => anyhow::Error::from(error).context(file.to_string()),
    }
}

fn say(args: &Args, contents: &Contents, restored: Restored) -> Result<()> {
    if args.json {
        return output::json(&json!({
            "id": contents.header.id_text(),
            "records": contents.counts.rows,
            "batches": restored.batches,
            "resumed": restored.resumed,
        }));
    }
    let how = if restored.resumed { "the rest of backup" } else { "backup" };
    output::line(format!(
        "restored {how} {}: {} records in {} batches; start a server on it",
        contents.header.id_text(),
        contents.counts.rows,
        restored.batches
    ))
}
