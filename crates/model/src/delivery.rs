//! A package seen from outside: what is enough to know whether two sides hold the same test.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// The published package of a delivery. It is part of the delivery's digest, so equal digests mean equal packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageRef {
    /// Version of the publication under one delivery URI, from 1.
    pub version: u32,
    /// Hash of the plain file tree: paths, sizes and contents.
    pub tree_digest: Digest,
    /// Hash of the compiled form; deterministic, so both sides must get the same.
    pub compiled_digest: Digest,
    /// Version of the compiler that made `compiled_digest`.
    pub compiler: u32,
    /// Name of the chunk (hash of its ciphertext) that holds the sealed tree.
    pub sealed_tree: Digest,
    /// Bytes of the sealed tree.
    pub sealed_tree_bytes: u64,
    /// Files in the package.
    pub files: u64,
    /// Plain bytes of all files.
    pub bytes: u64,
}

impl PackageRef {
    /// The JSON value that is hashed and sent.
    pub fn to_json(&self) -> serde_json::Value {
        // Unwrap safety: numbers and strings only, nothing that serde_json refuses.
        serde_json::to_value(self).unwrap_or_default()
    }
}
