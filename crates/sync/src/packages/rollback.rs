//! Going back at central: the version before the one that counts takes its place again.

use taosync_model::{Entity, EntityType};
use taosync_packages::COMPILER_VERSION;
use taosync_store::blobs::Blobs;
use taosync_store::entities::{Applied, Change};
use taosync_store::packages::Package;
use taosync_store::{Durability, Store, StoreError};

use super::publish::is_whole;

/// What going back did.
#[derive(Clone, Debug)]
pub struct RolledBack {
    /// The version that was taken back.
    pub from: u32,
    /// The version that counts again.
    pub to: u32,
    /// What it did to the scopes.
    pub applied: Applied,
}

/// Takes the version of a delivery that counts back, and lets the one before it count again: the newest older version
/// that was not taken back itself. So each call goes back one step further, and what is published later gets a number
/// above all of them. Local servers switch at their next sync; an execution ends on the version it began with. The delivery
/// says what was taken back: a local server that lacks what counts now starts nothing on it meanwhile.
///
/// Errors: `NotFound` when nothing is published under the URI, `Refused` when there is nothing to go back to.
pub async fn rollback(store: &Store, uri: &str) -> Result<RolledBack, StoreError> {
    let none =
        || StoreError::NotFound { what: format!("a published delivery {uri}"), advice: "see 'taosync delivery list'" };
    let current = store.package_current(uri).await?.ok_or_else(none)?;
    let before = store.package_before(uri, current.version).await?.ok_or_else(|| nothing_before(&current))?;
    refuse_unusable(store, &before).await?;
    let mut entity: Entity = store.entity_get(uri).await?.ok_or_else(none)?.entity;
    entity.package = Some(before.reference.clone());
    entity.take_back([current.version]);
    let mut tx = store.write("delivery rollback", Durability::Flushed).await?;
    if !tx.package_is_published(before.id).await? {
        return Err(nothing_before(&current));
    }
    tx.package_withdraw(uri, current.version).await?;
    let applied = store.entities_change(&mut tx, vec![Change::Upsert(EntityType::Delivery, entity)]).await?;
    tx.commit().await?;
    Ok(RolledBack { from: current.version, to: before.version, applied })
}

fn nothing_before(current: &Package) -> StoreError {
    StoreError::Refused(format!(
        "there is no version before {} to go back to; 'taosync delivery withdraw' takes the whole delivery back",
        current.version
    ))
}

/// A version that local servers could not make ready is none to go back to.
async fn refuse_unusable(store: &Store, package: &Package) -> Result<(), StoreError> {
    let version = package.version;
    if package.reference.compiler != COMPILER_VERSION {
        return Err(StoreError::Refused(format!(
            "version {version} was compiled by another version of this program; get its zip with 'taosync delivery \
             export --version {version}' and publish that"
        )));
    }
    let blobs = Blobs::open(store.dir()).await?;
    if !store.package_has_chunks(package.id).await? || !is_whole(&blobs, package.reference.sealed_tree).await? {
        return Err(StoreError::Refused(format!("parts of version {version} are lost here; publish its zip again")));
    }
    Ok(())
}
