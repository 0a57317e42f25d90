//! The store's own check: the versions last confirmed, in a small file beside the data.
//!
//! A store that comes up with lower versions than this file names has lost what it had promised, and says so. The
//! file is written on its own thread, at most once a second and only after a change, so no commit waits for it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_64;

use super::view::Heads;
use crate::contract::META;

/// Name of the file in the store's directory.
pub(super) const NAME: &str = "heads";

const MAGIC: &[u8; 8] = b"stintHF1";

/// Time between two writes at least.
const PACE: Duration = Duration::from_secs(1);

/// Versions of all partitions.
pub(super) type Versions = [u64; META.0 as usize + 1];

pub(super) fn versions(heads: &Heads) -> Versions {
    heads.map(|head| head.version)
}

/// Reads the file; `None` if there is none.
pub(super) fn read(directory: &Path) -> Result<Option<Versions>, String> {
    let bytes = match std::fs::read(directory.join(NAME)) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    decode(&bytes).map(Some).ok_or_else(|| {
        "the file is damaged; delete it to open the store without its check for lost writes".to_owned()
    })
}

/// Replaces the file so that a crash leaves the old or the new one.
pub(super) fn write(directory: &Path, versions: &Versions) -> std::io::Result<()> {
    let fresh = directory.join("heads.new");
    let mut file = File::create(&fresh)?;
    file.write_all(&encode(versions))?;
    file.sync_data()?;
    std::fs::rename(&fresh, directory.join(NAME))?;
    File::open(directory)?.sync_all()
}

fn encode(versions: &Versions) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(META.0 + 1);
    for version in versions {
        bytes.extend(version.to_le_bytes());
    }
    bytes.extend(xxh3_64(&bytes).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Versions> {
    let (body, sum) = bytes.split_last_chunk::<8>()?;
    let (magic, rest) = body.split_first_chunk::<8>()?;
    let (count, rest) = rest.split_first()?;
    if u64::from_le_bytes(*sum) != xxh3_64(body) || magic != MAGIC || *count != META.0 + 1 {
        return None;
    }
    let mut versions: Versions = [0; META.0 as usize + 1];
    let (chunks, tail) = rest.as_chunks::<8>();
    if chunks.len() != versions.len() || !tail.is_empty() {
        return None;
    }
    for (version, chunk) in versions.iter_mut().zip(chunks) {
        *version = u64::from_le_bytes(*chunk);
    }
    Some(versions)
}

/// The thread that writes the file.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    directory: PathBuf,
}

struct State {
    fresh: Option<Versions>,
    stop: bool,
}

impl Keeper {
    pub(super) fn start(directory: &Path) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { fresh: None, stop: false }),
            changed: Condvar::new(),
            directory: directory.to_owned(),
        });
        let thread = std::thread::Builder::new().name("stint-heads".to_owned()).spawn({
            let shared = shared.clone();
            move || shared.keep()
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// These versions are confirmed.
    pub(super) fn confirm(&self, versions: Versions) {
        let mut state = self.shared.lock();
        if state.fresh.replace(versions).is_none() {
            self.shared.changed.notify_one();
        }
    }

    /// Writes what is still to be written and ends the thread.
    pub(super) fn stop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _panic_loses_only_a_check = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn keep(&self) {
        let mut state = self.lock();
        let mut next = Instant::now();
        loop {
            let now = Instant::now();
            if state.fresh.is_none() {
                if state.stop {
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else if !state.stop && now < next {
                state =
                    self.changed.wait_timeout(state, next - now).unwrap_or_else(PoisonError::into_inner).0;
            } else if let Some(versions) = state.fresh.take() {
                drop(state);
                if let Err(error) = write(&self.directory, &versions) {
                    // An older file is no error, it only sees less of a loss.
                    tracing::warn!(directory = %self.directory.display(), %error, "can't write the file of heads");
                }
                next = Instant::now() + PACE;
                state = self.lock();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_back_and_damage_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()), Ok(None));
        let mut versions: Versions = [0; 65];
        for (n, version) in versions.iter_mut().enumerate() {
            *version = u64::MAX - n as u64;
        }
        write(directory.path(), &versions).unwrap();
        assert_eq!(read(directory.path()), Ok(Some(versions)));
        let good = std::fs::read(directory.path().join(NAME)).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert_eq!(decode(&bad), None, "byte {at}");
            assert_eq!(decode(&good[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn the_keeper_writes_the_last_when_stopped() {
        let directory = tempfile::tempdir().unwrap();
        let mut keeper = Keeper::start(directory.path()).unwrap();
        for n in 1..=100 {
            keeper.confirm([n; 65]);
        }
        keeper.stop();
        assert_eq!(read(directory.path()), Ok(Some([100; 65])));
    }
}
