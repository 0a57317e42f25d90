//! `stint completions`.

use std::io;

use anyhow::Result;
use clap_complete::Shell;

use crate::output;

/// For which shell.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(args: Args, mut command: clap::Command) -> Result<()> {
    let mut script = io::Cursor::new(Vec::new());
    clap_complete::generate(args.shell, &mut command, "stint", &mut script);
    output::bytes(script.get_ref())
}
