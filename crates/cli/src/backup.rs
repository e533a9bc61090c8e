//! The form of a backup: one age file around a tar archive, so that its holder can open it with ordinary tools
//! (`age -d FILE | tar x`). The archive ends with `manifest.json`, which names every part with its hash.

pub mod read;
pub mod secret;
pub mod write;

use std::path::{Component, Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The number of this form.
pub const FORMAT: u32 = 1;
/// Name of the last part.
pub const MANIFEST: &str = "manifest.json";
/// Bytes of a manifest at most: a million chunks.
pub const MAX_MANIFEST: u64 = 256 * 1024 * 1024;

/// What a backup is, and what is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the program that made it.
    pub version: String,
    /// Role of the node.
    pub role: String,
    /// The node.
    pub node: Uuid,
    /// When it was made.
    pub at: Timestamp,
    /// Receipts up to this number are inside (central).
    pub receipts_through: i64,
    /// Every part, in the order it stands in.
    pub parts: Vec<Part>,
}

/// A file in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Path below the node's directory.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// BLAKE3, hexadecimal.
    pub blake3: String,
}

/// Whether a path stays below the directory it is for.
pub fn is_inside(path: &str) -> bool {
    let path = Path::new(path);
    path.components().next().is_some() && path.components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests;
