//! What the disk can do at best, so that figures can be read against it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Appends `bytes` to a small file in `directory` and forces them to disk, again and again for as long as asked;
/// how often a second that succeeded. The file is removed. It blocks.
pub fn calibrate(directory: &Path, bytes: usize, lasting: Duration) -> std::io::Result<f64> {
    let path = directory.join(format!("calibrate-{}", std::process::id()));
    let measured = append(&path, bytes, lasting);
    std::fs::remove_file(&path)?;
    measured
}

fn append(path: &Path, bytes: usize, lasting: Duration) -> std::io::Result<f64> {
    let mut file = File::create(path)?;
    let payload = vec![0x5A; bytes];
    let since = Instant::now();
    let mut syncs = 0_u32;
    while since.elapsed() < lasting || syncs == 0 {
        file.write_all(&payload)?;
        file.sync_data()?;
        syncs += 1;
    }
    Ok(f64::from(syncs) / since.elapsed().as_secs_f64())
}
