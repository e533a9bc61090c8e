//! What a test runner asks of a local server (docs/PROTOCOL.md): who is who, which tests are here, and keeping attempts.

mod authenticate;
mod caching;
mod deliveries;
mod executions;
mod file;
mod key;
mod lti_users;
mod media_type;
pub(crate) mod opened;
mod packages;
pub(crate) mod pieces;
mod refusal;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use http::Method;
use taosync_store::settings::Role;

use crate::api::face;
use crate::routes::{Access, Endpoint, Route};
use crate::state::Local;
use crate::{envelope, pages, routes};

/// Most bytes of a request of a runner.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024;

/// Before every address of the interface.
const BASE: &str = "/api/v1/runner";

/// Everything a local server answers.
pub fn local_router(mut local: Local) -> Router {
    let desk = local.desk.take();
    let (store, clock) = (local.store.clone(), local.store.clock().clone());
    let local = Arc::new(local);
    let runner = routes::router(table())
        .route_layer(middleware::from_fn_with_state(Arc::clone(&local), key::check))
        .with_state(local);
    let pages = desk.map_or_else(Router::new, |desk| pages::router(store.clone(), Role::Local, desk));
    envelope::wrap(runner.merge(face::router(store, Role::Local)).merge(pages), clock)
}

/// Every endpoint of a local server.
pub fn local_endpoints() -> Vec<Endpoint> {
    [routes::endpoints(&table()), face::endpoints(), pages::endpoints(Role::Local)].concat()
}

fn table() -> Vec<Route<Arc<Local>>> {
    let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
    let runner = Access::TestRunner;
    let path = |path: &str| format!("{BASE}{path}");
    vec![
        Route::new(post.clone(), path("/authenticate"), runner, authenticate::authenticate),
        Route::new(get.clone(), path("/deliveries"), runner, deliveries::list),
        Route::new(get.clone(), path("/delivery"), runner, deliveries::show),
        Route::new(get.clone(), path("/packages/{package}/compiled"), runner, packages::compiled),
        Route::new(get.clone(), path("/packages/{package}/test"), runner, packages::test),
        Route::new(get.clone(), path("/packages/{package}/items/{*href}"), runner, packages::item),
        Route::new(get.clone(), path("/packages/{package}/files/{*path}"), runner, file::file),
        Route::new(post.clone(), path("/executions"), runner, executions::start),
        Route::new(get, path("/executions/{id}"), runner, executions::show),
        Route::new(put.clone(), path("/executions/{id}/variables/{save}"), runner, executions::variables),
        Route::new(put.clone(), path("/executions/{id}/log/{save}"), runner, executions::log),
        Route::new(put, path("/executions/{id}/position"), runner, executions::position),
        Route::new(post.clone(), path("/executions/{id}/finish"), runner, executions::finish),
        Route::new(post.clone(), path("/executions/{id}/reactivate"), runner, executions::reactivate),
        Route::new(post, path("/lti-users"), runner, lti_users::lti_user),
    ]
}
