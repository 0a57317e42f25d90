//! One worker process of the demo. It says on standard output when a file begins and ends, so that its parent
//! can choose the moment to kill it.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use stint::{Client, Worker};

use super::work::{self, Input, KIND};
use crate::commands::connection::block_on;
use crate::signals::{self, Interrupts};

/// Files counted at the same time by one process.
const SLOTS: usize = 4;

/// What a worker process is told.
#[derive(clap::Args)]
pub(crate) struct WorkerArgs {
    #[arg(long)]
    server: String,
    #[arg(long)]
    folder: PathBuf,
    #[arg(long)]
    name: String,
    #[arg(long)]
    with_parent: bool,
}

pub(crate) fn run_worker(args: WorkerArgs) -> Result<()> {
    block_on(async {
        let client = Client::connect(args.server)?;
        let folder = Arc::new(args.folder);
        let worker = Worker::builder(&client)
            .name(args.name)
            .slots(SLOTS)
            .handler(KIND, move |ctx, input: Input| {
                let file = folder.join(&input.path);
                async move {
                    say("begin");
                    let counted = work::handle(&ctx, file).await;
                    say("end");
                    counted
                }
            })
            .build()?;
        let mut interrupts = Interrupts::listen()?;
        say("ready");
        let with_parent = args.with_parent;
        worker
            .run(async move {
                if with_parent {
                    signals::parent_gone().await;
                } else {
                    interrupts.heard().await;
                }
            })
            .await?;
        Ok(())
    })
}

/// A parent that is gone hears nothing, which is no reason to panic: this process ends with it anyway.
fn say(what: &str) {
    let _ = writeln!(std::io::stdout(), "{what}");
}
