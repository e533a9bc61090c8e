//! Packages from a TAO central: a zip for each delivery, fetched when the delivery is new or changed, or when its package
//! is not ready here. TAO says nothing about a package but where it is, so what comes is known by its contents.

use std::path::{Path, PathBuf};
use std::time::Instant;

use taosync_model::delivery::PackageRef;
use taosync_model::{Digest, Entity, EntityType};
use taosync_packages::Limits;
use taosync_store::packages::NewPackage;
use taosync_store::{Store, StoreError};
use taosync_wire::tao::PATH_DELIVERY_TEST;
use taosync_wire::tao::query::encode;
use tokio::io::AsyncWriteExt as _;

use super::details::{Arrivals, Arrived};
use super::intake::Intake;
use super::walk::Checksums;
use super::{TaoLink, Work};
use crate::link::{LinkError, Request};
use crate::packages::{FetchOutcome, PublishError, adopt};
use crate::session::{Progress, SyncError};

/// Where a zip lies until it is cut and sealed. One sync runs at a time, so one name is enough.
const ARRIVING: &str = "tao-package.part";

/// Fetches the packages that are needed, and puts them on the deliveries that came. One that is broken or does not come
/// is put aside with its reason; its delivery is asked for again at the next sync.
pub async fn bring(
    intake: &Intake<'_>,
    listed: &Checksums,
    arrivals: &mut Arrivals,
) -> Result<FetchOutcome, SyncError> {
    let Work { store, link, replica, progress, .. } = intake.work();
    let since = Instant::now();
    let held = store.replica_deliveries_of(Some(&replica.org)).await?;
    for (uri, entity) in &held {
        if listed.contains_key(uri) && !arrivals.contains_key(uri) && !is_ready(store, entity).await? {
            let checksum = listed.get(uri).copied();
            arrivals.insert(uri.clone(), Arrived { entity: entity.clone(), checksum });
        }
    }
    let mut outcome = FetchOutcome::default();
    let number = arrivals.len();
    for (at, (uri, arrived)) in arrivals.iter_mut().enumerate() {
        // A package that came before the last sync was cut is named by its delivery already.
        if is_ready(store, &arrived.entity).await? {
            continue;
        }
        progress(Progress::Phase(format!("fetching test {} of {number}, {}", at + 1, arrived.entity.label())));
        match one(store, link, uri, &mut outcome).await {
            Ok(reference) => {
                arrived.entity.package = Some(reference);
                intake.keep(EntityType::Delivery, std::iter::once(&*arrived)).await?;
            }
            Err(error) if is_of_this_machine(&error) => return Err(error),
            Err(error) => {
                let reason = error.to_string();
                let before = held.get(uri).and_then(|entity| entity.package.clone());
                arrived.entity.package = Some(put_aside(store, uri, before, &reason).await?);
                arrived.checksum = None;
                outcome.failed.insert(uri.clone(), reason);
            }
        }
    }
    outcome.seconds = since.elapsed().as_secs_f64();
    Ok(outcome)
}

async fn is_ready(store: &Store, entity: &Entity) -> Result<bool, StoreError> {
    let Some(reference) = &entity.package else { return Ok(false) };
    let package = store.package_get(&entity.uri, reference.version).await?;
    Ok(package.is_some_and(|package| package.is_ready_as(reference)))
}

/// What the next package would fail of too.
fn is_of_this_machine(error: &SyncError) -> bool {
    matches!(error, SyncError::Store(_))
}

async fn one(store: &Store, link: &TaoLink, uri: &str, outcome: &mut FetchOutcome) -> Result<PackageRef, SyncError> {
    let arriving = Arriving(store.dir().join(ARRIVING));
    outcome.bytes += download(link, uri, &arriving.0).await?;
    let adopted = adopt(store, uri, arriving.0.clone()).await.map_err(|error| match error {
        PublishError::Store(error) => SyncError::Store(error),
        PublishError::Check(report) => {
            let first = report.errors.first().map(ToString::to_string).unwrap_or_default();
            SyncError::Package(format!("the package has {}, the first: {first}", report.errors_counted()))
        }
        other => SyncError::Package(other.to_string()),
    })?;
    outcome.fetched += 1;
    outcome.compiled += 1;
    outcome.files += adopted.reference.files;
    outcome.chunks += adopted.new_chunks;
    Ok(adopted.reference)
}

/// A file that goes when it is not needed any more.
struct Arriving(PathBuf);

impl Drop for Arriving {
    fn drop(&mut self) {
        // It may never have come to be; one that stays is overwritten by the next.
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn download(link: &TaoLink, uri: &str, to: &Path) -> Result<u64, SyncError> {
    let request = Request::get(format!("{PATH_DELIVERY_TEST}?delivery-uri={}", encode(uri)));
    let mut response = link.send(&request).await?;
    let write = |error: std::io::Error| SyncError::Package(format!("the package cannot be written here ({error})"));
    let mut options = tokio::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(to).await.map_err(write)?;
    let (limit, mut bytes) = (Limits::default().total_bytes, 0);
    while let Some(piece) = response.chunk().await? {
        bytes += piece.len() as u64;
        if bytes > limit {
            return Err(LinkError::Protocol(format!("a package of more than {limit} bytes")).into());
        }
        file.write_all(&piece).await.map_err(write)?;
    }
    file.flush().await.map_err(write)?;
    Ok(bytes)
}

/// The package that was there before goes on; where there was none, a failed one is shown.
async fn put_aside(
    store: &Store,
    uri: &str,
    before: Option<PackageRef>,
    reason: &str,
) -> Result<PackageRef, StoreError> {
    if let Some(before) = before.filter(|before| before.version > 0) {
        return Ok(before);
    }
    let nothing = Digest([0; 32]);
    let reference = PackageRef {
        version: 0,
        tree_digest: nothing,
        compiled_digest: nothing,
        compiler: 0,
        sealed_tree: nothing,
        sealed_tree_bytes: 0,
        files: 0,
        bytes: 0,
    };
    let id = store.package_fetching(&NewPackage { delivery: uri, reference: &reference, chunks: &[] }).await?;
    store.package_failed(id, reason).await?;
    Ok(reference)
}
