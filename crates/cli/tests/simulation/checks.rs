//! What must hold, looked up on the machines and held against what was told and made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use taosync_model::{EntityType, OrgId};
use taosync_store::Store;
use taosync_sync::packages::readiness;

use crate::world::{Looks, World};
use crate::{CANARY, ensure};

/// A local server holds what the rules give to each of its orgs, and nothing else (invariants 2 and 5).
pub async fn equal(store: &Store, world: &World, orgs: &[&str]) -> Result<(), String> {
    let mut held: BTreeMap<OrgId, BTreeMap<EntityType, BTreeMap<String, Looks>>> = BTreeMap::new();
    let mut uris = BTreeSet::new();
    for replica in store.replicas_list().await.unwrap() {
        ensure!(orgs.contains(&replica.org.as_str()), "a local server holds org {}", replica.org);
        for entity_type in EntityType::FEED {
            let listing = store.replica_listing(replica.id, entity_type).await.unwrap();
            uris.extend(listing.into_iter().map(|(uri, _)| uri));
        }
        held.insert(replica.org, EntityType::FEED.into_iter().map(|t| (t, BTreeMap::new())).collect());
    }
    for uri in uris {
        for (org, entity_type, entity) in store.replica_get(&uri).await.unwrap() {
            let of_org = held.get_mut(&org).ok_or_else(|| format!("{uri} is held for org {org}"))?;
            of_org.entry(entity_type).or_default().insert(uri.clone(), Looks::of(&entity));
        }
    }
    for (org, held) in held {
        let expected = world.seen_by(org.as_str());
        for entity_type in EntityType::FEED {
            let difference = difference(&expected[&entity_type], &held[&entity_type]);
            ensure!(difference.is_none(), "org {org}, {entity_type}: {}", difference.unwrap_or_default());
        }
    }
    Ok(())
}

/// The first difference, in words.
fn difference(expected: &BTreeMap<String, Looks>, held: &BTreeMap<String, Looks>) -> Option<String> {
    let uris: BTreeSet<&String> = expected.keys().chain(held.keys()).collect();
    uris.into_iter().find_map(|uri| match (expected.get(uri), held.get(uri)) {
        (Some(expected), Some(held)) if expected == held => None,
        (Some(expected), Some(held)) => Some(format!("{uri} looks like {held:?} instead of {expected:?}")),
        (Some(_), None) => Some(format!("{uri} is missing")),
        (None, _) => Some(format!("{uri} does not belong there")),
    })
}

/// Central holds exactly what it was told about these things.
pub async fn central_holds(store: &Store, world: &World, uris: &BTreeSet<String>) -> Result<(), String> {
    for uri in uris {
        let held = store.entity_get(uri).await.unwrap();
        let held = held.map(|stored| (stored.types.into_iter().collect::<BTreeSet<_>>(), Looks::of(&stored.entity)));
        let told = world.entities.get(uri).map(|(types, entity)| (types.clone(), Looks::of(entity)));
        ensure!(held == told, "{uri} at central is {held:?}, and central was told {told:?}");
    }
    Ok(())
}

/// A local server's sums and digests follow from its bodies.
pub async fn replica_is_whole(store: &Store) -> Result<(), String> {
    let problems = store.replica_check().await.unwrap();
    ensure!(problems.is_empty(), "a replica is not whole: {problems:?}");
    Ok(())
}

/// Every test central names is complete here, and it is that one.
pub async fn tests_are_ready(store: &Store) -> Result<(), String> {
    for test in readiness::readiness(store).await.unwrap().into_iter().filter(|test| test.wanted.is_some()) {
        ensure!(test.is_ready() && test.ready == test.wanted, "a test is not ready: {test:?}");
    }
    Ok(())
}

/// Central's scopes are what a rebuild from nothing gives.
pub async fn scopes_are_whole(store: &Store) -> Result<(), String> {
    let problems = store.scopes_check().await.unwrap();
    ensure!(problems.is_empty(), "scopes differ from a rebuild: {problems:?}");
    Ok(())
}

/// Nothing that must stay secret stands in these bytes (invariant 4).
pub fn is_silent(what: &str, bytes: &[u8], secrets: &[String]) -> Result<(), String> {
    let words = secrets.iter().map(String::as_str).chain([CANARY, "Bearer "]);
    for word in words {
        if let Some(at) = find(bytes, word.as_bytes()) {
            let around = &bytes[at.saturating_sub(80)..bytes.len().min(at + 80)];
            return Err(format!("{what} holds '{word}': …{}…", String::from_utf8_lossy(around)));
        }
    }
    Ok(())
}

/// Nothing that must stay secret stands plain in any file under a directory.
pub fn files_are_silent(dir: &Path, secrets: &[String]) -> Result<(), String> {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_are_silent(&path, secrets)?;
        } else if let Ok(bytes) = std::fs::read(&path) {
            is_silent(&path.display().to_string(), &bytes, secrets)?;
        }
    }
    Ok(())
}

fn find(bytes: &[u8], word: &[u8]) -> Option<usize> {
    let first = *word.first()?;
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(word) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}
