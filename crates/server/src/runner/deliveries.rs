//! `GET deliveries` and `GET delivery`: which tests are here, and where a runner reads one.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use taosync_model::delivery::PackageRef;
use taosync_model::{Entity, EntityType, OrgId};
use taosync_store::packages::{Package, PackageState};
use taosync_sync::runner::RunnerError;

use super::key::Reach;
use super::opened;
use crate::problem::ApiError;
use crate::state::Local;

/// A delivery in the list.
#[derive(Serialize)]
pub(super) struct Listed {
    uri: String,
    label: String,
    /// `ready`, `locked` (complete, its key is not released yet), `fetching`, `failed`, or `none` (no package).
    state: &'static str,
    /// Version that new executions get.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
}

#[derive(Serialize)]
pub(super) struct List {
    deliveries: Vec<Listed>,
}

/// Which package is meant: that of a delivery new executions get, or a certain version (that of an execution).
#[derive(Deserialize)]
pub(super) struct Which {
    uri: String,
    #[serde(default)]
    version: Option<u32>,
}

/// A delivery as a runner needs it.
#[derive(Serialize)]
pub(super) struct Shown {
    uri: String,
    label: String,
    version: u32,
    /// Orgs that have the delivery.
    organisations: Vec<OrgId>,
    package: PackageRef,
    /// Where test, items and files are, see [`super::packages`].
    package_address: String,
}

pub(super) async fn list(
    State(local): State<Arc<Local>>,
    Extension(reach): Extension<Reach>,
) -> Result<Json<List>, ApiError> {
    let mut packages: BTreeMap<String, Vec<Package>> = BTreeMap::new();
    for package in local.store.packages_list().await? {
        packages.entry(package.delivery.clone()).or_default().push(package);
    }
    let deliveries = reach.deliveries(&local).await?;
    let here = |uri: &str| packages.get(uri).map_or(&[][..], Vec::as_slice);
    let deliveries = deliveries.into_iter().map(|(uri, entity)| listed(here(&uri), uri, &entity));
    Ok(Json(List { deliveries: deliveries.collect() }))
}

fn listed(packages: &[Package], uri: String, entity: &Entity) -> Listed {
    let wanted = entity.package.as_ref();
    let is_wanted = |package: &Package| wanted == Some(&package.reference);
    // As a start chooses: a version that can be run counts before the one central names.
    let counts = |package: &&Package| (package.state == PackageState::Ready, is_wanted(package), package.version);
    let taken_back = entity.taken_back();
    let may_start = |package: &&Package| is_wanted(package) || !taken_back.contains(&package.version);
    let package = packages.iter().filter(may_start).max_by_key(counts).filter(|_| wanted.is_some());
    let state = package.map_or("none", |package| match package.state {
        PackageState::Ready if package.unlocked => "ready",
        PackageState::Ready => "locked",
        other => other.as_str(),
    });
    let version = package.filter(|package| package.state == PackageState::Ready).map(|package| package.version);
    Listed { label: entity.label().to_owned(), uri, state, version }
}

pub(super) async fn show(
    State(local): State<Arc<Local>>,
    Extension(reach): Extension<Reach>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Shown>, ApiError> {
    let Query(which) = which.map_err(|_| ApiError::bad_request("the query needs 'uri', and may have 'version'"))?;
    let mut seen = local.store.replica_get(&which.uri).await?;
    seen.retain(|(org, entity_type, _)| *entity_type == EntityType::Delivery && reach.has(org));
    if !reach.may_read(&local, &which.uri).await? {
        return Err(no_such_delivery());
    }
    let package = package(&local, &which, &seen).await?;
    let label = seen.first().map(|(_, _, entity)| entity.label().to_owned()).unwrap_or_default();
    Ok(Json(Shown {
        uri: which.uri,
        label,
        version: package.version,
        organisations: seen.into_iter().map(|(org, _, _)| org).collect(),
        package_address: opened::address(package.reference.tree_digest),
        package: package.reference,
    }))
}

/// The package that is meant, complete and with its key. A version that is named stays readable for running executions,
/// also after the delivery has left; without a name it is the one that central names, as for a start.
async fn package(local: &Local, which: &Which, seen: &[(OrgId, EntityType, Entity)]) -> Result<Package, ApiError> {
    let found = match which.version {
        Some(version) => local.store.package_get(&which.uri, version).await?,
        None if seen.is_empty() => None,
        None => {
            let named = seen.iter().map(|(_, _, entity)| entity).find(|entity| entity.package.is_some());
            let not_published = || RunnerError::NotPublished { delivery: which.uri.clone() };
            local.store.package_to_start(named.ok_or_else(not_published)?).await?
        }
    };
    match found {
        Some(package) if package.state == PackageState::Ready && package.unlocked => Ok(package),
        Some(package) if package.state == PackageState::Ready => Err(locked()),
        None if seen.is_empty() => Err(no_such_delivery()),
        _ => Err(ApiError::new(
            StatusCode::CONFLICT,
            "delivery_not_ready",
            "the package of this delivery is not complete here",
            "run 'taosync sync data' on this server",
        )),
    }
}

fn no_such_delivery() -> ApiError {
    ApiError::not_found("there is no such delivery here")
}

/// The package is here, its key is not.
fn locked() -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "delivery_locked",
        "the package of this delivery is complete but still locked",
        "its key comes with the next sync after its release",
    )
}
