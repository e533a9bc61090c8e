//! The sealed tree: JSON, compressed, sealed under the delivery key. It holds the keys of all chunks.

use std::io::Read;

use taosync_vault::delivery_key::DeliveryKey;

use super::Tree;
use crate::PackageError;
use crate::limits::Limits;

const LEVEL: i32 = 3;
/// JSON of the largest tree that the limits allow, with room.
const JSON_BYTES: u64 = 64 * 1024 * 1024;
/// Window of the decompressor, as a power of two: what level 3 uses at most, with room.
const WINDOW_LOG: u32 = 24;

/// Seals a tree. The bytes differ each time, as the vault's seal is random; the tree digest does not.
pub fn seal_tree(tree: &Tree, key: &DeliveryKey) -> Result<Vec<u8>, PackageError> {
    let encode = |error| PackageError::Encode("the file tree", error);
    let json = serde_json::to_vec(tree).map_err(|e| encode(e.into()))?;
    let packed = zstd::bulk::compress(&json, LEVEL).map_err(encode)?;
    Ok(key.seal(&packed))
}

/// Opens a sealed tree: the seal is checked first, then sizes, paths and order.
pub fn open_tree(sealed: &[u8], key: &DeliveryKey) -> Result<Tree, PackageError> {
    let packed =
        key.open(sealed).map_err(|_| PackageError::DamagedTree("it does not match the delivery key".into()))?;
    unpack(&packed)
}

fn unpack(packed: &[u8]) -> Result<Tree, PackageError> {
    let damaged = |what: &str| PackageError::DamagedTree(what.to_owned());
    let mut reader = zstd::stream::read::Decoder::with_buffer(packed).map_err(|_| damaged("it cannot be unpacked"))?;
    reader.window_log_max(WINDOW_LOG).map_err(|_| damaged("it cannot be unpacked"))?;
    let mut json = Vec::new();
    reader.take(JSON_BYTES + 1).read_to_end(&mut json).map_err(|_| damaged("it cannot be unpacked"))?;
    if json.len() as u64 > JSON_BYTES {
        return Err(damaged("it is too large"));
    }
    let tree: Tree = serde_json::from_slice(&json).map_err(|_| damaged("it is not a tree"))?;
    tree.validate(&Limits::default())?;
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use taosync_model::Digest;

    use crate::tree::TreeFile;

    fn empty_file(path: &str) -> TreeFile {
        TreeFile { path: path.to_owned(), bytes: 0, digest: Digest::of(b""), chunks: Vec::new() }
    }

    fn opened(files: Vec<TreeFile>) -> Result<Tree, PackageError> {
        let key = DeliveryKey::generate();
        open_tree(&seal_tree(&Tree { files }, &key).unwrap(), &key)
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        assert_eq!(opened(vec![empty_file("a"), empty_file("b")]).unwrap().files.len(), 2);
        for files in [
            vec![empty_file("b"), empty_file("a")],
            vec![empty_file("a"), empty_file("a")],
            vec![empty_file("../a")],
            vec![TreeFile { bytes: 1, ..empty_file("a") }],
            vec![TreeFile { bytes: u64::MAX, ..empty_file("a") }],
        ] {
            assert!(matches!(opened(files), Err(PackageError::DamagedTree(_))));
        }
    }

    #[test]
    fn a_tree_that_unpacks_without_end_is_refused() {
        let packed = zstd::bulk::compress(&vec![b' '; JSON_BYTES as usize + 1], LEVEL).unwrap();
        let error = unpack(&packed).unwrap_err();
        assert!(error.to_string().contains("too large"), "{error}");
    }

    #[test]
    fn another_key_opens_nothing() {
        let sealed = seal_tree(&Tree { files: Vec::new() }, &DeliveryKey::generate()).unwrap();
        assert!(matches!(open_tree(&sealed, &DeliveryKey::generate()), Err(PackageError::DamagedTree(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_calmly(bytes: Vec<u8>) {
            prop_assert!(unpack(&bytes).is_err());
            prop_assert!(open_tree(&bytes, &DeliveryKey::generate()).is_err());
        }
    }
}
