//! How much room the disk has, asked at most twice a second.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::contract::Room;

/// How long an answer is believed.
const BELIEVED: Duration = Duration::from_millis(500);

/// Below an eighth of the low-water mark, or this, nothing is committed any more: a write that fails ends the
/// process, a commit that is refused does not.
const FLOOR_BYTES_MAX: u64 = 64 << 20;

/// Bytes free to this process where a path is.
pub type FreeBytes = Arc<dyn Fn(&Path) -> std::io::Result<u64> + Send + Sync>;

/// Asks, and remembers the answer.
pub(super) struct Disk {
    path: PathBuf,
    low_water_bytes: u64,
    floor_bytes: u64,
    free: FreeBytes,
    believed: Duration,
    since: Instant,
    asked_ms: AtomicU64,
    level: AtomicU8,
}

const ENOUGH: u8 = 0;
const LOW: u8 = 1;
const NONE: u8 = 2;

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("path", &self.path)
            .field("low_water_bytes", &self.low_water_bytes)
            .finish()
    }
}

impl Disk {
    /// Asks the operating system at most twice a second, or a function of the caller's own every time.
    pub(super) fn new(path: &Path, low_water_bytes: u64, free: Option<FreeBytes>) -> Self {
        let believed = if free.is_some() { Duration::ZERO } else { BELIEVED };
        let disk = Self {
            path: path.to_owned(),
            low_water_bytes,
            floor_bytes: (low_water_bytes / 8).min(FLOOR_BYTES_MAX),
            free: free.unwrap_or_else(|| Arc::new(statvfs)),
            believed,
            since: Instant::now(),
            asked_ms: AtomicU64::new(0),
            level: AtomicU8::new(ENOUGH),
        };
        disk.ask();
        disk
    }

    pub(super) fn room(&self) -> Room {
        if self.level() == ENOUGH { Room::Enough } else { Room::Low }
    }

    /// Whether not even what ends work may be written.
    pub(super) fn full(&self) -> bool {
        self.level() == NONE
    }

    fn level(&self) -> u8 {
        let now = self.since.elapsed();
        let asked = self.asked_ms.load(Relaxed);
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        // One caller asks; the others go on with what is known.
        if u128::from(now_ms.saturating_sub(asked)) >= self.believed.as_millis()
            && self.asked_ms.compare_exchange(asked, now_ms, Relaxed, Relaxed).is_ok()
        {
            self.ask();
        }
        self.level.load(Relaxed)
    }

    fn ask(&self) {
        let level = match (self.free)(&self.path) {
            Ok(free) if free < self.floor_bytes => NONE,
            Ok(free) if free < self.low_water_bytes => LOW,
            Ok(_) => ENOUGH,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "can't ask how much room the disk has");
                return;
            }
        };
        let before = self.level.swap(level, Relaxed);
        if level != before {
            let path = self.path.display();
            let mark_mib = self.low_water_bytes >> 20;
            match level {
                ENOUGH => tracing::info!(%path, mark_mib, "the disk has room again"),
                LOW => {
                    tracing::warn!(%path, mark_mib, "the disk is almost full: only what ends work is taken")
                }
                _ => {
                    tracing::warn!(%path, mark_mib, "the disk is full: nothing is committed until there is room")
                }
            }
        }
    }
}

/// What the operating system says.
pub(super) fn statvfs(path: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
