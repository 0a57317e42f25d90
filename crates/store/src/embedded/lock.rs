//! The lock that keeps a second process out, and names the first.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::contract::OpenError;

/// Holds the lock until it is dropped; the operating system releases it if the process ends in any other way.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock in `file`, for the store in `store`.
    pub(super) fn take(file: &Path, store: &Path) -> Result<Self, OpenError> {
        let io =
            |e: std::io::Error| OpenError::Io { path: file.display().to_string(), reason: e.to_string() };
        let mut held =
            File::options().read(true).write(true).create(true).truncate(false).open(file).map_err(io)?;
        match held.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::Locked { path: store.display().to_string(), pid: holder(&mut held) });
            }
            Err(TryLockError::Error(e)) => return Err(io(e)),
        }
        held.set_len(0).map_err(io)?;
        held.seek(SeekFrom::Start(0)).map_err(io)?;
        write!(held, "{}", std::process::id()).map_err(io)?;
        Ok(Self { _file: held })
    }
}

/// Who holds the lock in `file`, if anybody does; it is not taken.
pub(super) fn held_by(file: &Path) -> std::io::Result<Option<String>> {
    let mut seen = match File::open(file) {
        Ok(seen) => seen,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Shared: two who look don't see each other, and it is let go of at once.
    match seen.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(holder(&mut seen))),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What the holder wrote; it may be about to.
fn holder(file: &mut File) -> String {
    let mut pid = String::new();
    match file.take(20).read_to_string(&mut pid) {
        Ok(_) if !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()) => pid,
        _ => "unknown".to_owned(),
    }
}
