//! A package seen from outside: what is enough to know whether two sides hold the same test.

use serde::{Deserialize, Serialize};

use crate::{Digest, Entity};

/// Field of a delivery's entity with the versions that were taken back.
const TAKEN_BACK: &str = "taken_back";
/// Of more, the newest are named: no local server keeps that many.
const NAMED: usize = 64;

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

impl Entity {
    /// On a delivery: versions of its package that a person at central has taken back, rising. Nothing new starts on
    /// them, whatever else is missing.
    pub fn taken_back(&self) -> Vec<u32> {
        let named = self.other.get(TAKEN_BACK).and_then(serde_json::Value::as_array);
        let versions = named.into_iter().flatten().filter_map(serde_json::Value::as_u64);
        versions.filter_map(|version| u32::try_from(version).ok()).collect()
    }

    /// Notes versions as taken back.
    pub fn take_back(&mut self, versions: impl IntoIterator<Item = u32>) {
        let mut all = self.taken_back();
        all.extend(versions);
        all.sort_unstable();
        all.dedup();
        let newest = all.split_off(all.len().saturating_sub(NAMED));
        if !newest.is_empty() {
            self.other.insert(TAKEN_BACK.to_owned(), newest.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_taken_back_are_named_once_and_travel_with_the_delivery() {
        let mut delivery = Entity::new("u", "c");
        delivery.take_back([]);
        assert!(delivery.taken_back().is_empty() && delivery.other.is_empty());
        delivery.take_back([3, 2]);
        delivery.take_back([3]);
        let json = serde_json::to_string(&delivery).unwrap();
        assert!(json.ends_with(r#""taken_back":[2,3]}"#), "{json}");
        assert_eq!(serde_json::from_str::<Entity>(&json).unwrap().taken_back(), [2, 3]);
        delivery.take_back(0..100);
        assert_eq!(delivery.taken_back(), (36..100).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_no_list_of_versions_names_none() {
        for text in ["7", "{}", "[-1,\"x\",null,4294967296]"] {
            let json = format!(r#"{{"uri":"u","class":"c","properties":{{}},"taken_back":{text}}}"#);
            assert!(serde_json::from_str::<Entity>(&json).unwrap().taken_back().is_empty(), "{text}");
        }
    }
}
