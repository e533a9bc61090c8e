//! A package that came as a zip, at local: checked, cut, sealed and compiled here, as central does when it publishes.

use std::path::PathBuf;

use taosync_model::Digest;
use taosync_model::delivery::PackageRef;
use taosync_packages::COMPILER_VERSION;
use taosync_store::blobs::Blobs;
use taosync_store::packages::{ChunkRef, Kept, NewPackage, PackageContents, PackageState};
use taosync_store::{Durability, Store};
use taosync_vault::delivery_key::DeliveryKey;

use super::publish::{Cut, PublishError, all_here, cut};

/// A package that is ready here now.
#[derive(Clone, Debug)]
pub struct Adopted {
    /// What the delivery names.
    pub reference: PackageRef,
    /// Chunks that were new.
    pub new_chunks: u64,
}

/// Makes a zip the package of a delivery. Its version is taken from its contents, so the same files are the same version
/// whenever they come.
pub async fn adopt(store: &Store, delivery: &str, zip: PathBuf) -> Result<Adopted, PublishError> {
    let blobs = Blobs::open(store.dir()).await?;
    let cut = cut(store.clone(), blobs.clone(), zip, None).await?;
    let new_chunks = cut.new_chunks;
    let version = version_of(cut.tree.tree_digest());
    if let Some(known) = store.package_get(delivery, version).await?
        && known.state == PackageState::Ready
        && known.reference.tree_digest == cut.tree.tree_digest()
        && known.reference.compiled_digest == cut.compiled_digest
    {
        return Ok(Adopted { reference: known.reference, new_chunks });
    }
    let key = DeliveryKey::generate();
    let sealed = cut.pages.seal(&key)?;
    let reference = reference(&cut, version, &sealed);
    blobs.put_batch(vec![(reference.sealed_tree, sealed)]).await?;
    let head = ChunkRef { name: reference.sealed_tree, bytes: reference.sealed_tree_bytes };
    let all: Vec<ChunkRef> = cut.chunks.iter().copied().chain([head]).collect();
    let new = NewPackage { delivery, reference: &reference, chunks: &cut.chunks };
    let id = store.package_fetching(&new).await?;
    all_here(&blobs, &new).await?;
    store.chunks_add(&all, Durability::Flushed).await?;
    // Unwrap safety: paths, numbers and hashes, which always serialise.
    let tree = Kept::of(&serde_json::to_vec(&cut.tree).unwrap_or_default());
    let contents = PackageContents {
        reference: Some(&reference),
        key: Some(&key),
        tree: Some(&tree),
        compiled: Some(&Kept::of(&cut.compiled)),
    };
    store.package_ready(id, &contents).await?;
    Ok(Adopted { reference, new_chunks })
}

fn reference(cut: &Cut, version: u32, sealed: &[u8]) -> PackageRef {
    PackageRef {
        version,
        tree_digest: cut.tree.tree_digest(),
        compiled_digest: cut.compiled_digest,
        compiler: COMPILER_VERSION,
        sealed_tree: Digest::of(sealed),
        sealed_tree_bytes: sealed.len() as u64,
        files: cut.tree.files.len() as u64,
        bytes: cut.tree.bytes(),
    }
}

/// A number above 0 from the beginning of the hash.
fn version_of(tree: Digest) -> u32 {
    let [a, b, c, d, ..] = tree.0;
    (u32::from_be_bytes([a, b, c, d]) >> 1).max(1)
}
