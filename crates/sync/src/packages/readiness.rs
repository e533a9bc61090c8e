//! How the deliveries of a local server stand: what can be started, and why not.

use taosync_store::packages::PackageState;
use taosync_store::{Store, StoreError};

/// Whether a delivery can be started here.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Readiness {
    /// URI.
    pub uri: String,
    /// Label.
    pub label: String,
    /// Version central has.
    pub wanted: Option<u32>,
    /// Version that can be started here; perhaps an older one, or one that central has lost.
    pub ready: Option<u32>,
    /// Why what central has is not ready here, in words.
    pub reason: Option<String>,
}

impl Readiness {
    /// Whether what central has is ready here.
    pub fn is_ready(&self) -> bool {
        self.reason.is_none()
    }
}

/// How each delivery of this local server stands.
pub async fn readiness(store: &Store) -> Result<Vec<Readiness>, StoreError> {
    let mut list = Vec::new();
    for (uri, entity) in store.replica_deliveries().await? {
        let label = entity.label().to_owned();
        let Some(wanted) = &entity.package else {
            let reason = Some("central has published no package for it".to_owned());
            let ready = store.package_current(&uri).await?.map(|package| package.version);
            list.push(Readiness { label, wanted: None, ready, reason, uri });
            continue;
        };
        let ready = store.package_to_start(&entity).await?.map(|package| package.version);
        let reason = match store.package_get(&uri, wanted.version).await? {
            Some(package) if package.is_ready_as(wanted) => None,
            Some(package) if package.state == PackageState::Failed => package.reason,
            Some(_) => Some("its package is not completely here; synchronise again".to_owned()),
            None => Some("its package has not been fetched; synchronise again".to_owned()),
        };
        list.push(Readiness { label, wanted: Some(wanted.version), ready, reason, uri });
    }
    Ok(list)
}
