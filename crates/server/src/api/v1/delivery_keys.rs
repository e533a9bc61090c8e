//! `POST /api/v1/delivery-keys`: keys of packages in the caller's scope, sealed to the node that asks.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::json;
use taosync_store::audit::AuditEntry;
use taosync_store::packages::{Package, PackageState};
use taosync_store::releases::{Codes, Release};
use taosync_vault::delivery_key::DeliveryKey;
use taosync_vault::unlock_code::Locked;
use taosync_wire::v1::packages::{KeyWanted, Keys, KeysWanted, LockedKey, SealedKey};
use uuid::Uuid;

use crate::body;
use crate::oauth::{Caller, CallerOnce};
use crate::problem::ApiError;
use crate::state::Central;

/// Keys asked for in one request at most, and bytes of the request.
const MAX_KEYS: usize = 1_000;
const MAX_BODY: usize = 1024 * 1024;
/// Chunks of one package that are named at most: 400 GiB.
const MAX_CHUNKS: u32 = 100_000;

pub(crate) async fn delivery_keys(
    State(central): State<Arc<Central>>,
    CallerOnce(caller): CallerOnce,
    request: Body,
) -> Result<Json<Keys>, ApiError> {
    let wanted: KeysWanted = body::read_json(request, MAX_BODY).await?;
    if wanted.deliveries.len() > MAX_KEYS {
        let detail = format!("more than {MAX_KEYS} keys are asked for in one request");
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many", detail, "ask in several requests"));
    }
    let node = central.store.node_get(caller.node).await?;
    let recipient = node.ok_or_else(|| ApiError::not_found("this machine is not known here any more"))?.recipient;
    let (mut keys, mut withheld) = (Vec::new(), Vec::new());
    let packages = visible(&central, &caller, &wanted.deliveries).await?;
    let ids: Vec<_> = packages.iter().map(|package| package.id).collect();
    let releases = central.store.releases_of(&ids).await?;
    let now = central.store.clock().now();
    for package in packages {
        let Some(key) = central.store.package_open(package.id).await?.key else { continue };
        match releases.get(&package.id).filter(|release| release.at > now) {
            Some(release) => withheld.push((package, key, *release)),
            None => keys.push((package, key)),
        }
    }
    let locked = lock_all(&central, &caller, &withheld, &recipient, wanted.chunks_of.as_deref()).await?;
    let given: Vec<_> = keys.iter().map(|(package, _)| package.id).collect();
    note(&central, &caller, &given).await?;
    // Sealing is arithmetic, not waiting.
    let sealed = tokio::task::spawn_blocking(move || seal_all(&keys, &recipient)).await;
    Ok(Json(Keys { keys: sealed.map_err(|error| ApiError::internal(&error))??, locked }))
}

/// What is said of packages before their release; who gets a key under a code is noted before it leaves.
async fn lock_all(
    central: &Central,
    caller: &Caller,
    withheld: &[(Package, DeliveryKey, Release)],
    recipient: &str,
    chunks_of: Option<&str>,
) -> Result<Vec<LockedKey>, ApiError> {
    let coded = withheld.iter().filter(|(_, _, release)| release.codes == Codes::Given);
    let coded: Vec<_> = coded.map(|(package, _, _)| package.id).collect();
    central.store.codes_note(&coded, caller.node).await?;
    let mut locked = Vec::new();
    for (package, key, release) in withheld {
        let of = Locked { delivery: &package.delivery, version: package.version, node: caller.node };
        let sealed = match release.codes {
            Codes::Given => Some(key.lock_for(recipient, &of).map_err(|error| ApiError::internal(&error))?),
            Codes::None => None,
        };
        let chunks = match chunks_of {
            Some(uri) if uri == package.delivery => central.store.package_chunks(package.id, MAX_CHUNKS).await?,
            _ => Vec::new(),
        };
        locked.push(LockedKey {
            uri: package.delivery.clone(),
            version: package.version,
            release_at: release.at,
            sealed: sealed.map(|sealed| STANDARD.encode(sealed)),
            chunks: chunks.into_iter().map(|chunk| (chunk.name, chunk.bytes)).collect(),
        });
    }
    Ok(locked)
}

/// Keys that leave this central are noted before they do.
async fn note(central: &Central, caller: &Caller, keys: &[Uuid]) -> Result<(), ApiError> {
    if keys.is_empty() {
        central.store.poll_count("delivery.keys");
        return Ok(());
    }
    central.store.keys_note(keys, caller.node).await?;
    let (object, detail) = (caller.node.to_string(), json!({"org": caller.org, "keys": keys.len()}));
    let entry = AuditEntry { actor: &caller.consumer, act: "delivery.keys", object: &object, detail };
    Ok(central.store.audit_write(&entry).await?)
}

/// The published ones among the packages asked for whose delivery is in the scope of the org now. What belongs to
/// another org is left out like what does not exist.
async fn visible(central: &Central, caller: &Caller, wanted: &[KeyWanted]) -> Result<Vec<Package>, ApiError> {
    let Some(state) = central.store.feed_state(&caller.org).await? else { return Ok(Vec::new()) };
    let named: Vec<_> = wanted.iter().map(|KeyWanted { uri, version }| (&**uri, *version)).collect();
    let mut packages = central.store.packages_get(&named).await?;
    packages.retain(|package| package.state == PackageState::Published);
    let trees: Vec<_> = packages.iter().map(|package| package.reference.sealed_tree).collect();
    // The chunk of a sealed tree belongs to one package only, so it stands for it.
    let allowed: HashSet<_> = central.store.chunks_allowed(state.scope, &trees).await?.into_iter().collect();
    packages.retain(|package| allowed.contains(&package.reference.sealed_tree));
    Ok(packages)
}

fn seal_all(keys: &[(Package, DeliveryKey)], recipient: &str) -> Result<Vec<SealedKey>, ApiError> {
    keys.iter()
        .map(|(package, key)| {
            let sealed = key.wrap_for(recipient).map_err(|error| ApiError::internal(&error))?;
            Ok(SealedKey { uri: package.delivery.clone(), version: package.version, sealed: STANDARD.encode(sealed) })
        })
        .collect()
}
