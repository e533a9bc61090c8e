//! The package of a delivery, for whoever sees the delivery.

use taosync_model::EntityType;
use taosync_store::packages::Package;
use taosync_store::{Store, StoreError};

use super::Reach;

/// The published package of a delivery; none for a delivery that is not there for whoever asks, or has no package.
pub async fn find(store: &Store, reach: &Reach, uri: &str) -> Result<Option<Package>, StoreError> {
    if store.tao_sees(&reach.all(store).await?, uri, EntityType::Delivery).await? {
        let Some(package) = store.package_current(uri).await? else { return Ok(None) };
        // TAO's protocol has no locked packages: before its release there is none.
        let release = store.release_of(package.id).await?;
        Ok(Some(package).filter(|_| release.is_none_or(|release| release.at <= store.clock().now())))
    } else {
        Ok(None)
    }
}
