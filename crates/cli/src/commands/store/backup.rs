//! `stint store backup`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use serde_json::json;
use stint::api::Instant;
use stint_engine::backup::{Arriving, Backup, Contents, Damage, ReadError, verify};

use super::{fetch, look, progress};
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
    let ended = block_on(async {
        let mut interrupts = Interrupts::listen()?;
        tokio::select! {
            biased;
            () = interrupts.heard() => Err(Failed::Interrupted.into()),
            written = write(&args, &part) => written,
        }
    });
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

/// Writes what comes and checks it on the way.
async fn write(args: &Args, part: &Path) -> Result<Contents> {
    let file = File::create(part).with_context(|| format!("cannot write {}", part.display()))?;
    let mut arrived = Arrived {
        file: BufWriter::new(file),
        arriving: Arriving::default(),
        bar: progress::bytes("copying", None),
    };
    match &args.store {
        Some(url) => {
            let looked = look(url).await?;
            let mut backup = Backup::of_store(looked.store.clone()).await?;
            while let Some(piece) = backup.next().await {
                arrived.take(&piece)?;
            }
            // It says the same in its last frame, which is what is checked.
            _ = backup.ended().await;
            looked.store.close().await?;
        }
        None => {
            let mut reply = fetch(&args.connection, "/v1/store/backup", &[]).await?;
            while let Some(piece) = reply.chunk().await.context("the server broke off")? {
                arrived.take(&piece)?;
            }
        }
    }
    arrived.end()
}

struct Arrived {
    file: BufWriter<File>,
    arriving: Arriving,
    bar: ProgressBar,
}

impl Arrived {
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
