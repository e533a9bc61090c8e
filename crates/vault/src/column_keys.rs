//! The file of column keys, `columns.json`: `[{"id", "key"}]`, the one that seals first.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::seal::KEY_BYTES;
use crate::{VaultError, key_files};

/// A key, and the number that values sealed with it carry.
#[derive(Clone)]
pub(crate) struct ColumnKey {
    pub(crate) id: u32,
    pub(crate) key: Zeroizing<[u8; KEY_BYTES]>,
}

/// A line of the file.
#[derive(Serialize, Deserialize, ZeroizeOnDrop)]
struct Stored {
    id: u32,
    key: String,
}

/// Which file was read: every write makes a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64, i64, i64, u64);

/// The stamp of the file that is there now; none when there is none.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp(found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
}

/// Writes the keys, the one that seals first.
pub(crate) fn write(path: &Path, keys: &[ColumnKey]) -> Result<(), VaultError> {
    let stored: Vec<_> = keys
        .iter()
        .map(|key| Stored { id: key.id, key: key_files::key_to_text(&key.key).trim_ascii().to_owned() })
        .collect();
    // Unwrap safety: numbers and strings only, nothing that serde_json refuses.
    let json = Zeroizing::new(serde_json::to_vec_pretty(&stored).expect("numbers and strings are JSON"));
    key_files::write(path, &json)
}

/// Reads the keys, the one that seals first; at least one.
pub(crate) fn read(path: &Path) -> Result<Vec<ColumnKey>, VaultError> {
    let bad = |problem| VaultError::BadKeyFile { path: path.to_owned(), problem };
    let stored: Vec<Stored> =
        serde_json::from_str(&key_files::read(path)?).map_err(|_| bad("expected a JSON list of {id, key}"))?;
    let mut keys: Vec<ColumnKey> = Vec::with_capacity(stored.len());
    for Stored { id, key } in &stored {
        if keys.iter().any(|known| known.id == *id) {
            return Err(bad("two keys have the same id"));
        }
        keys.push(ColumnKey { id: *id, key: key_files::key_from_text(path, key)? });
    }
    if keys.is_empty() { Err(bad("it holds no key")) } else { Ok(keys) }
}
