//! Packages before their release, at local: all ciphertext comes, named by central, and nothing of it can be read. Central's
//! key opens them from the release on; before, the unlock code of this machine does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use taosync_model::delivery::PackageRef;
use taosync_packages::tree::Pages;
use taosync_store::blobs::Blobs;
use taosync_store::packages::{ChunkRef, Package, PackageContents};
use taosync_store::releases::{Codes, Release};
use taosync_store::{Store, StoreError};
use taosync_vault::delivery_key::DeliveryKey;
use taosync_vault::unlock_code::{Locked, UnlockCode};
use taosync_wire::v1;
use taosync_wire::v1::packages::{KeyWanted, Keys, KeysWanted, LockedKey};

use super::contents::{fetch_with, read_pages};
use super::fetch::{Done, Todo, compiled, needed, same_compiler};
use super::transfer::Transfer;
use crate::link::{Link, Request};
use crate::session::SyncError;

/// Bytes of an answer that names chunks.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Why a code does not open a package.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// There is no key here that a code could open.
    #[error("there is no key here that an unlock code opens")]
    NoKey,
    /// The code is another machine's, or of another version.
    #[error("this is not the code of this machine for this version of the test")]
    WrongCode,
    /// The package is not what was published.
    #[error(transparent)]
    Package(SyncError),
}

impl From<StoreError> for UnlockError {
    fn from(error: StoreError) -> Self {
        Self::Package(error.into())
    }
}

/// The chunks of a package before its release, as central names them.
pub(super) async fn chunks(link: &Link, uri: &str, reference: &PackageRef) -> Result<Vec<ChunkRef>, SyncError> {
    let deliveries = vec![KeyWanted { uri: uri.to_owned(), version: reference.version }];
    let wanted = KeysWanted { deliveries, chunks_of: Some(uri.to_owned()) };
    let answer: Keys = link.send(Request::post_json(v1::PATH_DELIVERY_KEYS, &wanted)).await?.json(MAX_ANSWER).await?;
    let locked = answer.locked.into_iter().find(|locked| locked.uri == uri);
    let chunks = locked.map(|locked| locked.chunks).unwrap_or_default();
    let chunks: Vec<_> = chunks.into_iter().map(|(name, bytes)| ChunkRef { name, bytes }).collect();
    if chunks.iter().any(|chunk| chunk.name == reference.sealed_tree) {
        return Ok(chunks);
    }
    Err(SyncError::Package("central does not name what it consists of; synchronise again".into()))
}

/// Brings the ciphertext of a package, and keeps what central says of its release.
pub(super) async fn bring(transfer: &Transfer<'_>, package: &Todo, locked: &LockedKey) -> Result<Done, SyncError> {
    same_compiler(&package.reference)?;
    let known = transfer.store.package_get(&package.uri, package.reference.version).await?;
    let is_here = known.is_some_and(|known| known.is_ready_as(&package.reference));
    if !is_here {
        let chunks = chunks(transfer.link, &package.uri, &package.reference).await?;
        needed(transfer.store, package, &chunks).await?;
        transfer.bring(&chunks).await?;
    }
    let sealed = locked.sealed.as_ref().and_then(|sealed| STANDARD.decode(sealed).ok());
    let codes = if sealed.is_some() { Codes::Given } else { Codes::None };
    let release = Release { at: locked.release_at, codes };
    transfer.store.package_locked(package.id, &package.reference, &release, sealed.as_deref()).await?;
    Ok(if is_here { Done::Nothing } else { Done::Locked })
}

/// Opens a package with this machine's code: compiled, and compared with what central got, before it counts.
pub async fn unlock(store: &Store, package: &Package, code: &UnlockCode) -> Result<(), UnlockError> {
    let sealed = store.package_locked_key(package.id).await?.ok_or(UnlockError::NoKey)?;
    let node = store.identity().await?.node;
    let locked = Locked { delivery: &package.delivery, version: package.version, node };
    let key = store.keyring().identity().unlock_delivery_key(&sealed, code, &locked);
    open(store, package, &key.map_err(|_| UnlockError::WrongCode)?).await.map_err(UnlockError::Package)
}

async fn open(store: &Store, package: &Package, key: &DeliveryKey) -> Result<(), SyncError> {
    let blobs = Blobs::open(store.dir()).await?;
    let reference = &package.reference;
    let broken = |error: &dyn std::fmt::Display| SyncError::Package(error.to_string());
    let pages = Pages::open(&blobs.get(reference.sealed_tree).await?, key).map_err(|error| broken(&error))?;
    let (tree, _) = read_pages(fetch_with(&blobs), pages).await.map_err(|error| broken(&error))?;
    if tree.tree_digest() != reference.tree_digest {
        return Err(SyncError::Package("its list of files is not the one that was published".into()));
    }
    let opened = compiled(fetch_with(&blobs), tree, reference).await?;
    let contents =
        PackageContents { reference: None, key: Some(key), tree: Some(&opened.tree), compiled: Some(&opened.compiled) };
    Ok(store.package_ready(package.id, &contents).await?)
}
