//! `stint store backup`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use serde_json::json;
use stint::Client;
use stint::api::Instant;
use stint_engine::backup::{Arriving, Backup, Contents, Damage, ReadError, verify};

use super::{ask, look, progress};
use crate::commands::connection::{Connection, block_on};
use crate::exit::Failed;
use crate::output;
use crate::signals::Interrupts;
use crate::store::StoreUrl;

/// What to copy, and where to.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The file to write; FILE.part until it is complete.
    file: PathBuf,
    /// The store itself, if no server serves it: embedded:DIR or valkey://HOST:PORT.
    #[arg(long)]
    store: Option<StoreUrl>,
    /// Replaces the file if it is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: Args) -> Result<()> {
    if args.file.try_exists()? && !args.force {
        let file = args.file.display();
        return Err(
            Failed::Usage(format!("{file} is there already; choose another name, or give --force")).into()
        );
    }
    let part = part_of(&args.file);
    let ended = match &args.store {
        Some(url) => block_on(unless_interrupted(of_store(url, &part))),
        None => ask(&args.connection, |client| unless_interrupted(of_server(client, &part))),
    };
    let contents = match ended.and_then(|contents| complete(&part, &args.file, contents)) {
        Ok(contents) => contents,
        Err(error) => {
            // What is there is no backup.
            _ = fs::remove_file(&part);
            return Err(error);
        }
    };
    say(&args, &contents)
}

fn part_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

async fn unless_interrupted(writing: impl Future<Output = Result<Contents>>) -> Result<Contents> {
    let mut interrupts = Interrupts::listen()?;
    tokio::select! {
        biased;
        () = interrupts.heard() => Err(Failed::Interrupted.into()),
        written = writing => written,
    }
}

async fn of_store(url: &StoreUrl, part: &Path) -> Result<Contents> {
    let mut arrived = Arrived::at(part)?;
    let looked = look(url).await?;
    let mut backup = Backup::of_store(looked.store.clone()).await?;
    while let Some(piece) = backup.next().await {
        arrived.take(&piece)?;
    }
    // It says the same in its last frame, which is what is checked.
    _ = backup.ended().await;
    looked.store.close().await?;
    arrived.end()
}

async fn of_server(client: Client, part: &Path) -> Result<Contents> {
    let mut arrived = Arrived::at(part)?;
    let mut pieces = client.backup();
    while let Some(piece) = pieces.next().await {
        arrived.take(&piece?)?;
    }
    arrived.end()
}

/// What has come so far, written, and checked on the way.
struct Arrived {
    file: BufWriter<File>,
    arriving: Arriving,
    bar: ProgressBar,
}

impl Arrived {
    fn at(part: &Path) -> Result<Self> {
        let unwritable = |error| Failed::Usage(format!("cannot write {}: {error}", part.display()));
        let file = File::create(part).map_err(unwritable)?;
        let (file, bar) = (BufWriter::new(file), progress::bytes("copying", None));
        Ok(Self { file, arriving: Arriving::default(), bar })
    }

    fn take(&mut self, piece: &[u8]) -> Result<()> {
        self.file.write_all(piece).context("cannot write the backup")?;
        self.bar.inc(piece.len() as u64);
        self.arriving.push(piece).map_err(broken)
    }

    fn end(self) -> Result<Contents> {
        let file = self.file.into_inner().context("cannot write the backup")?;
        file.sync_all().context("cannot force the backup to disk")?;
        self.bar.finish_and_clear();
        self.arriving.end().map_err(broken)
    }
}

fn broken(damage: Damage) -> anyhow::Error {
    Failed::Store { code: damage.code, reason: damage.what }.into()
}

/// Reads the file again, all of it, and gives it its name.
fn complete(part: &Path, file: &Path, arrived: Contents) -> Result<Contents> {
    let bar = progress::bytes("checking", Some(arrived.bytes));
    let contents = match verify(File::open(part)?, |at| bar.set_position(at)) {
        Ok(contents) => contents,
        Err(ReadError::Damaged(damage)) => return Err(broken(damage)),
        Err(error) => return Err(error.into()),
    };
    bar.finish_and_clear();
    if contents != arrived {
        bail!("{} is not what was written to it; the disk is not to be trusted", part.display());
    }
    fs::rename(part, file).with_context(|| format!("cannot name {}", file.display()))?;
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .context("cannot force its name to disk")?;
    Ok(contents)
}

fn say(args: &Args, contents: &Contents) -> Result<()> {
    let file = args.file.display().to_string();
    if args.connection.json {
        return output::json(&json!({
            "file": file,
            "id": contents.header.id_text(),
            "bytes": contents.bytes,
            "records": contents.counts.rows,
            "writes_meanwhile": contents.counts.writes,
            "begun_again": contents.abandoned,
            "began_at": Instant::from_millis(contents.header.began_at),
            "ended_at": Instant::from_millis(contents.ended_at),
        }));
    }
    output::line(format!(
        "{file}: {} bytes, {} records, backup {}",
        contents.bytes,
        contents.counts.rows,
        contents.header.id_text()
    ))
}
