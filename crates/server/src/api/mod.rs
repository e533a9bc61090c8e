//! What a browser, a monitor, and local servers ask.

pub(crate) mod face;
pub(crate) mod tao;
pub(crate) mod v1;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use http::Method;
use taosync_store::settings::Role;
use taosync_wire::v1::{
    PATH_CHUNKS, PATH_COMPARE, PATH_COMPARE_LISTING, PATH_COMPARE_ROUND, PATH_DELIVERY_KEYS, PATH_ENROL, PATH_FEED,
    PATH_HANDSHAKE, PATH_OUTBOX, PATH_REPORT, PATH_TIME, PATH_TOKEN,
};

use crate::routes::{Access, Endpoint, Route};
use crate::state::Central;
use crate::{envelope, oauth, pages, routes};

/// Everything a central answers.
pub fn central_router(mut central: Central) -> Router {
    let desk = central.desk.take();
    let (store, clock) = (central.store.clone(), central.store.clock().clone());
    let central = Arc::new(central);
    let protocol = routes::router(protocol())
        .layer(middleware::from_fn_with_state(central.clone(), oauth::proof::next_nonce))
        .with_state(central.clone());
    let pages = desk.map_or_else(Router::new, |desk| pages::router(store.clone(), Role::Central, desk));
    let router = protocol.merge(tao::router(&central)).merge(face::router(store, Role::Central)).merge(pages);
    envelope::wrap(router, clock)
}

/// Every endpoint of a central, without a base path before TAO's.
pub fn central_endpoints() -> Vec<Endpoint> {
    [routes::endpoints(&protocol()), tao::endpoints(), face::endpoints(), pages::endpoints(Role::Central)].concat()
}

/// The protocol for local servers.
fn protocol() -> Vec<Route<Arc<Central>>> {
    let (get, post) = (Method::GET, Method::POST);
    let path = |path: &str| format!("/{path}");
    let consumer = Access::Consumer;
    vec![
        Route::new(post.clone(), path(PATH_TOKEN), Access::ClientSecret, oauth::token::token),
        Route::new(post.clone(), path(PATH_HANDSHAKE), Access::SyncManager, oauth::enrol::handshake),
        Route::new(post.clone(), path(PATH_ENROL), Access::ClientSecret, oauth::enrol::enrol),
        Route::new(get.clone(), path(PATH_TIME), Access::Anybody, v1::time::time),
        Route::new(get.clone(), path(PATH_FEED), consumer, v1::feed::feed),
        Route::new(post.clone(), path(PATH_COMPARE_ROUND), consumer, v1::compare::round),
        Route::new(post.clone(), path(PATH_COMPARE_LISTING), consumer, v1::compare::listing),
        Route::new(post.clone(), path(PATH_COMPARE), consumer, v1::compare::compare),
        Route::new(post.clone(), path(PATH_OUTBOX), consumer, v1::outbox::outbox),
        Route::new(post.clone(), path(PATH_REPORT), consumer, v1::report::report),
        Route::new(post.clone(), path(PATH_DELIVERY_KEYS), consumer, v1::delivery_keys::delivery_keys),
        Route::new(post, path(PATH_CHUNKS), consumer, v1::chunks::chunks),
        Route::new(get, format!("/{PATH_CHUNKS}/{{name}}"), consumer, v1::chunk::chunk),
    ]
}
