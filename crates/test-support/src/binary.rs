//! Where the servers' binaries are.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The binary called `name`: what `variable` says, else what `scripts/setup` installed, else the one on `PATH`.
pub(crate) fn find(name: &str, variable: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        if path.is_file() {
            return Ok(path);
        }
        bail!("{variable} names {}, which is not a file", path.display());
    }
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-servers").join(name);
    if installed.is_file() {
        return Ok(installed);
    }
    let on_path = std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file()));
    match on_path {
        Some(path) => Ok(path),
        None => bail!("{name} is not installed: run scripts/setup, or set {variable} to its path"),
    }
}
