//! Writing a buffer to the disk that the nodes are on, and waiting until it is there.

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

/// Seconds of writing one file of these bytes in a folder and flushing it.
pub fn write(folder: &Path, bytes: &[u8]) -> anyhow::Result<f64> {
    let mut file = tempfile::tempfile_in(folder)?;
    let start = Instant::now();
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(start.elapsed().as_secs_f64())
}
