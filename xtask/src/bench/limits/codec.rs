//! Hashing and compressing a buffer in memory.

use std::hint::black_box;
use std::time::Instant;

/// The level the program sends with.
const LEVEL: i32 = 3;

/// Seconds of one BLAKE3 pass on one core.
pub fn hash(bytes: &[u8]) -> f64 {
    let start = Instant::now();
    black_box(blake3::hash(black_box(bytes)));
    start.elapsed().as_secs_f64()
}

/// Seconds of compressing and decompressing once on one core.
pub fn zstd(bytes: &[u8]) -> anyhow::Result<f64> {
    let start = Instant::now();
    let packed = zstd::bulk::compress(black_box(bytes), LEVEL)?;
    let plain = zstd::bulk::decompress(black_box(&packed), bytes.len())?;
    let seconds = start.elapsed().as_secs_f64();
    anyhow::ensure!(plain == bytes, "zstd did not give back what it got");
    Ok(seconds)
}
