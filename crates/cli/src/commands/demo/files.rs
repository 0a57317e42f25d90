//! Which files the demo counts.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ignore::WalkBuilder;

/// The nearest folder upwards from here that is a repository: it has `.git`, or the top-most `Cargo.toml`.
pub(super) fn repository_root() -> Result<PathBuf> {
    let here = std::env::current_dir().context("the current directory is not readable")?;
    let mut package = None;
    for folder in here.ancestors() {
        if folder.join(".git").exists() {
            return Ok(folder.to_path_buf());
        }
        if folder.join("Cargo.toml").exists() {
            package = Some(folder.to_path_buf());
        }
    }
    Ok(package.unwrap_or(here))
}

/// Regular files below `folder`, relative to it and sorted; without `.git`, `target` and what is ignored.
pub(super) fn list(folder: &Path) -> Result<Vec<String>> {
    if !folder.is_dir() {
        bail!("{} is not a folder", folder.display());
    }
    let walk = WalkBuilder::new(folder)
        .hidden(false)
        .require_git(false)
        .filter_entry(|entry| {
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            !(entry.depth() > 0
                && (entry.file_name() == ".git" || (is_folder && entry.file_name() == "target")))
        })
        .build();
    let mut files = Vec::new();
    for entry in walk {
        // An unreadable folder is no reason not to count the rest, but it must be seen.
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                eprintln!("skipped: {error}");
                continue;
            }
        };
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        match entry.path().strip_prefix(folder).ok().and_then(Path::to_str) {
            Some(name) => files.push(name.to_owned()),
            None => eprintln!("skipped: {} has a name that is not UTF-8", entry.path().display()),
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_what_is_not_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        for name in ["b.txt", "a/c.txt", ".hidden", "target/out", ".git/config", "log.tmp"] {
            write(name);
        }
        std::fs::write(folder.path().join(".gitignore"), "*.tmp\n").unwrap();
        assert_eq!(list(folder.path()).unwrap(), [".gitignore", ".hidden", "a/c.txt", "b.txt"]);
    }

    #[test]
    fn a_file_is_not_a_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(list(file.path()).is_err());
    }
}
