//! The physical limits beside which each path stands, measured in the same run on the same bytes and rows.

pub mod codec;
pub mod disk;
pub mod insert;
pub mod proofs;
pub mod tls;

use serde::Serialize;

/// Seconds each kind of unavoidable work takes alone.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Limits {
    /// Multi-row insert of the same final rows, same schema and indexes, same number of commits.
    pub insert: f64,
    /// TLS download (or upload) of the same bytes over loopback, with connection and handshake.
    pub tls: f64,
    /// Packages: the same chunks from the same server in the same requests, as many at once, thrown away as they come. Not
    /// in the sum: TLS is in it.
    pub server: f64,
    /// The same over one connection, as any other program would download them.
    pub download: f64,
    /// One BLAKE3 pass over the same plain bytes.
    pub hash: f64,
    /// zstd -3 of the same plain bytes, there and back.
    pub zstd: f64,
    /// Signing and verifying as many proofs as requests were made. Not in the sum: it is a choice.
    pub proofs: f64,
    /// Writing the same plain bytes to the same disk as one file, and flushing it.
    pub disk: f64,
    /// Raw reads of the same rows from TAO's database.
    pub read: f64,
}

/// The middle of as many measurements as the path beside it gets.
pub fn median_of(runs: usize, mut measure: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<f64> {
    Ok(middle((0..runs).map(|_| measure()).collect::<anyhow::Result<_>>()?))
}

/// The middle one; of an even number the lower middle.
pub fn middle(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

impl Limits {
    /// All one after another: what a program without any work of its own would need on one core.
    pub fn total(&self) -> f64 {
        self.insert + self.tls + self.hash + self.zstd + self.disk + self.read
    }
}
