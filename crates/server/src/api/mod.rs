//! What a browser, a monitor, and local servers ask.

pub(crate) mod face;
pub(crate) mod tao;
pub(crate) mod v1;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use taosync_store::settings::Role;
use taosync_wire::v1::{
    PATH_CHUNKS, PATH_COMPARE, PATH_COMPARE_LISTING, PATH_COMPARE_ROUND, PATH_DELIVERY_KEYS, PATH_FEED, PATH_OUTBOX,
    PATH_REPORT, PATH_TOKEN,
};

use crate::state::Central;
use crate::{envelope, oauth};

/// Everything a central answers.
pub fn central_router(central: Central) -> Router {
    let (store, clock) = (central.store.clone(), central.store.clock().clone());
    let path = |path: &str| format!("/{path}");
    let central = Arc::new(central);
    let protocol = Router::new()
        .route(&path(PATH_TOKEN), post(oauth::token::token))
        .route(&path(PATH_FEED), get(v1::feed::feed))
        .route(&path(PATH_COMPARE_ROUND), post(v1::compare::round))
        .route(&path(PATH_COMPARE_LISTING), post(v1::compare::listing))
        .route(&path(PATH_COMPARE), post(v1::compare::compare))
        .route(&path(PATH_OUTBOX), post(v1::outbox::outbox))
        .route(&path(PATH_REPORT), post(v1::report::report))
        .route(&path(PATH_DELIVERY_KEYS), post(v1::delivery_keys::delivery_keys))
        .route(&path(PATH_CHUNKS), post(v1::chunks::chunks))
        .route(&format!("/{PATH_CHUNKS}/{{name}}"), get(v1::chunk::chunk))
        .with_state(central.clone());
    envelope::wrap(protocol.merge(tao::router(&central)).merge(face::router(store, Role::Central)), clock)
}
