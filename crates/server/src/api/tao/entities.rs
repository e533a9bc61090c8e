//! Listings, details and classes.

use axum::response::Response;
use http::{Method, StatusCode};
use taosync_model::EntityType;
use taosync_store::tao::TaoScope;
use taosync_sync::tao::confirm;
use taosync_sync::tao::listing::{self, Shows};
use taosync_sync::tao::walks::Walk;
use taosync_wire::tao::entities::{ClassesRequest, DetailsRequest};
use taosync_wire::tao::failure::{NO_CLASS, WRONG_TYPE};
use taosync_wire::tao::{PhpMap, SyncParams};

use super::Asked;
use super::caller::Caller;
use super::fault::{Fault, answer};

/// Entities or classes in one question at most.
const MAX_URIS: usize = 10_000;

pub(super) async fn checksums(asked: &Asked, caller: &Caller) -> Result<Response, Fault> {
    asked.needs(&Method::GET)?;
    let entity_type = asked.query.get("type").ok_or_else(Fault::unexpected)?;
    let params = SyncParams::of_query(&asked.query);
    asked.check_version(&params)?;
    let entity_type = type_of(entity_type)?;
    let offset = asked.query.param("offset").unwrap_or("0");
    if offset.parse::<u32>().is_err() {
        return Err(Fault::unexpected());
    }
    let store = &asked.central.store;
    let scope = scope_of(caller, &params)?;
    if asked.query.param("offset").is_none() {
        confirm::begun(store, &params, scope.org(), &caller.name).await?;
    }
    let shows = if params.with_properties == Some(true) { Shows::Properties } else { Shows::Checksums };
    let client = params.box_id.clone().unwrap_or_default();
    let walk = Walk { caller: caller.name.clone(), client, scope, entity_type };
    let (walks, size) = (&asked.central.tao_walks, asked.compat.chunk_size);
    let page = listing::page(store, walks, walk, &asked.query, size, shows).await?;
    Ok(answer(&page))
}

pub(super) async fn details(asked: &Asked, caller: &Caller) -> Result<Response, Fault> {
    let request: DetailsRequest = asked.document()?;
    let uris = request.uris().filter(|uris| uris.len() <= MAX_URIS).ok_or_else(Fault::unexpected)?;
    asked.check_version(&request.params)?;
    let entity_type = type_of(&request.entity_type)?;
    let scope = scope_of(caller, &request.params)?;
    let uris: Vec<&str> = uris.iter().map(String::as_str).collect();
    let mut details = listing::details(&asked.central.store, &scope, entity_type, &uris).await?;
    if request.params.with_properties == Some(false) {
        details = PhpMap(
            details
                .0
                .into_iter()
                .map(|(uri, mut entity)| {
                    entity.properties = taosync_model::tao::Properties::default();
                    (uri, entity)
                })
                .collect(),
        );
    }
    Ok(answer(&details))
}

pub(super) async fn classes(asked: &Asked, caller: &Caller) -> Result<Response, Fault> {
    let request: ClassesRequest = asked.document()?;
    let entity_type = type_of(&request.entity_type)?;
    let list = request.requested_classes.as_array().ok_or_else(Fault::unexpected)?;
    if list.is_empty() {
        return Err(Fault::explained(NO_CLASS));
    }
    let uris: Option<Vec<&str>> = list.iter().map(|class| class.as_str()).collect();
    let uris = uris.filter(|uris| uris.len() <= MAX_URIS).ok_or_else(Fault::unexpected)?;
    Ok(answer(&listing::classes(&asked.central.store, &caller.reach, entity_type, &uris).await?))
}

/// One of the six types.
fn type_of(text: &str) -> Result<EntityType, Fault> {
    let known = EntityType::SYNCED.into_iter().find(|known| known.as_str() == text);
    known.ok_or_else(|| Fault::with_words(StatusCode::BAD_REQUEST, WRONG_TYPE))
}

/// Whose data are meant. An organisation that is not the caller's is answered like one that does not exist, and not with
/// an empty list: a TAO client would delete everything it has.
pub(super) fn scope_of(caller: &Caller, params: &SyncParams) -> Result<TaoScope, Fault> {
    let scope = caller.reach.scope(params.organisation_id.as_deref()).ok_or_else(Fault::not_found)?;
    tracing::Span::current().record("org", scope.org().as_str());
    Ok(scope)
}
