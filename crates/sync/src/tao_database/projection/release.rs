//! Handing back: what a projection has begun and `taoSync` could not end.

use taosync_model::{EntityType, vocabulary as v};
use taosync_store::Store;
use taosync_store::projection::ImportState;
use taosync_tao::write::{entities, history};
use taosync_tao::{Database, Schema};

use super::ProjectionError;

/// Takes deliveries that TAO has not imported out of its data: `taoSync` would take them for imported, and brings them
/// anew this way. Says how many there were. Everything else stays as `taoSync` would have left it.
pub async fn hand_back(store: &Store, database: &Database, schema: &Schema) -> Result<u64, ProjectionError> {
    let imports = store.imports_list().await?;
    let is_done = |uri: &str| imports.iter().any(|i| i.delivery == uri && i.state == ImportState::Done);
    let deliveries = store.replica_deliveries().await?;
    let open: Vec<&str> = deliveries.keys().map(String::as_str).filter(|uri| !is_done(uri)).collect();
    let given = store.projection_given(EntityType::Delivery, &open).await?;
    let ours: Vec<&str> = given.iter().filter(|given| given.brought).map(|given| given.uri.as_str()).collect();
    if ours.is_empty() {
        return Ok(0);
    }
    let mut change = database.change("tao release").await?;
    let rows = change.rows(&entities::statements_of(ours.iter().copied())).await?;
    let stored = entities::stored(schema, rows)?;
    // One that is offered is so from an earlier package: attempts may run on it.
    let is_offered =
        |uri: &&str| stored.get(*uri).is_some_and(|rows| rows.iter().any(|row| row.predicate == v::RDF_TYPE));
    let gone: Vec<&str> = ours.into_iter().filter(|uri| !is_offered(uri)).collect();
    if !gone.is_empty() {
        entities::remove(&mut change, gone.iter().copied()).await?;
        history::checksums_forget(&mut change, schema, gone.iter().copied()).await?;
    }
    change.commit().await?;
    store.projection_forget(EntityType::Delivery, &gone).await?;
    // What is met again is compared again.
    store.setting_set(super::STANDING, "").await?;
    Ok(gone.len() as u64)
}
