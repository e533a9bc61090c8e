//! `GET deliveries` and `GET delivery`: which tests are here, and what a runner needs of one.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use taosync_model::delivery::PackageRef;
use taosync_model::{Entity, EntityType, OrgId};
use taosync_packages::compile::CompiledTest;
use taosync_store::packages::{Package, PackageState};

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
    pub uri: String,
    #[serde(default)]
    pub version: Option<u32>,
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
    compiled: CompiledTest,
}

pub(super) async fn list(State(local): State<Arc<Local>>) -> Result<Json<List>, ApiError> {
    let mut newest: BTreeMap<String, Package> = BTreeMap::new();
    for package in local.store.packages_list().await? {
        // In the order of versions; a ready one is what counts, however new another is.
        match newest.get(&package.delivery) {
            Some(kept) if kept.state == PackageState::Ready && package.state != PackageState::Ready => {}
            _ => {
                newest.insert(package.delivery.clone(), package);
            }
        }
    }
    let deliveries = local.store.replica_deliveries().await?;
    let deliveries = deliveries.into_iter().map(|(uri, entity)| listed(newest.get(&uri), uri, &entity));
    Ok(Json(List { deliveries: deliveries.collect() }))
}

fn listed(package: Option<&Package>, uri: String, entity: &Entity) -> Listed {
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
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Shown>, ApiError> {
    let Query(which) = which.map_err(|_| ApiError::bad_request("the query needs 'uri', and may have 'version'"))?;
    let package = package(&local, &which).await?;
    let compiled = local.store.package_open(package.id).await?.compiled.ok_or_else(locked)?;
    let compiled = serde_json::from_slice(&compiled).map_err(|error| ApiError::internal(&error))?;
    let mut seen = local.store.replica_get(&which.uri).await?;
    seen.retain(|(_, entity_type, _)| *entity_type == EntityType::Delivery);
    let label = seen.first().map(|(_, _, entity)| entity.label().to_owned()).unwrap_or_default();
    Ok(Json(Shown {
        uri: which.uri,
        label,
        version: package.version,
        organisations: seen.into_iter().map(|(org, _, _)| org).collect(),
        package: package.reference,
        compiled,
    }))
}

/// The package that is meant, complete. A version that is named stays readable for running executions, also after the
/// delivery has left; without a name the delivery has to be here.
pub(super) async fn package(local: &Local, which: &Which) -> Result<Package, ApiError> {
    let found = match which.version {
        Some(version) => local.store.package_get(&which.uri, version).await?,
        None => local.store.package_current(&which.uri).await?,
    };
    let here = which.version.is_some() || is_delivery(local, &which.uri).await?;
    match found.filter(|_| here) {
        Some(package) if package.state == PackageState::Ready => Ok(package),
        None if !is_delivery(local, &which.uri).await? => Err(ApiError::not_found("there is no such delivery here")),
        _ => Err(ApiError::new(
            StatusCode::CONFLICT,
            "delivery_not_ready",
            "the package of this delivery is not complete here",
            "run 'taosync sync data' on this server",
        )),
    }
}

async fn is_delivery(local: &Local, uri: &str) -> Result<bool, ApiError> {
    let found = local.store.replica_get(uri).await?;
    Ok(found.iter().any(|(_, entity_type, _)| *entity_type == EntityType::Delivery))
}

/// The package is here, its key is not.
pub(super) fn locked() -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "delivery_locked",
        "the package of this delivery is complete but still locked",
        "its key comes with the next sync after its release",
    )
}
