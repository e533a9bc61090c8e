//! The zip of a package, byte for byte as it was published: from the chunks that are here, on either side.

use std::io::Write;

use taosync_packages::recipe::rebuild;
use taosync_packages::tree::Pages;
use taosync_store::Store;
use taosync_store::blobs::Blobs;
use taosync_store::packages::{Package, PackageState};

use super::contents::{ContentsError, fetch_with, joined};

/// What was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Bytes of the zip.
    pub bytes: u64,
    /// BLAKE3 of the zip.
    pub digest: taosync_model::Digest,
}

/// Writes the zip of a package. What was written is the published zip only when this returned `Ok`.
pub async fn export(
    store: &Store,
    package: &Package,
    mut out: impl Write + Send + 'static,
) -> Result<Exported, ContentsError> {
    let is_here = matches!(package.state, PackageState::Published | PackageState::Withdrawn | PackageState::Ready);
    let key = store.package_open(package.id).await?.key.filter(|_| is_here);
    let key = key.ok_or_else(|| ContentsError::NotHere(package.delivery.clone()))?;
    let blobs = Blobs::open(store.dir()).await?;
    let sealed = blobs.get(package.reference.sealed_tree).await?;
    let work = move || {
        let fetch = fetch_with(&blobs);
        let pages = Pages::open(&sealed, &key)?;
        let tree = pages.read(&fetch)?;
        rebuild(&pages.recipe, &tree, &fetch, &mut out)?;
        Ok(Exported { bytes: pages.recipe.bytes, digest: pages.recipe.digest })
    };
    joined(tokio::task::spawn_blocking(work).await)
}
