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
use axum::routing::{get, post, put};
use taosync_store::settings::Role;

use crate::api::face;
use crate::envelope;
use crate::state::Local;

/// Most bytes of a request of a runner.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024;

/// Everything a local server answers.
pub fn local_router(local: Local) -> Router {
    let (store, clock) = (local.store.clone(), local.store.clock().clone());
    let local = Arc::new(local);
    let runner = Router::new()
        .route("/authenticate", post(authenticate::authenticate))
        .route("/deliveries", get(deliveries::list))
        .route("/delivery", get(deliveries::show))
        .route("/packages/{package}/compiled", get(packages::compiled))
        .route("/packages/{package}/test", get(packages::test))
        .route("/packages/{package}/items/{*href}", get(packages::item))
        .route("/packages/{package}/files/{*path}", get(file::file))
        .route("/executions", post(executions::start))
        .route("/executions/{id}", get(executions::show))
        .route("/executions/{id}/variables/{save}", put(executions::variables))
        .route("/executions/{id}/log/{save}", put(executions::log))
        .route("/executions/{id}/position", put(executions::position))
        .route("/executions/{id}/finish", post(executions::finish))
        .route("/executions/{id}/reactivate", post(executions::reactivate))
        .route("/lti-users", post(lti_users::lti_user))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&local), key::check))
        .with_state(local);
    envelope::wrap(Router::new().nest("/api/v1/runner", runner).merge(face::router(store, Role::Local)), clock)
}
