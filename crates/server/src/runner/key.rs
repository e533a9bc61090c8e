//! Who may use the runner's interface: whoever holds a runner key.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use taosync_vault::tokens::TokenHash;

use crate::oauth::bearer::bearer;
use crate::problem::ApiError;
use crate::state::Local;

/// Lets requests with a valid key through. The key is looked up each time, so that revocation bites at once.
pub(super) async fn check(State(local): State<Arc<Local>>, request: Request, next: Next) -> Result<Response, ApiError> {
    let refused = |detail: &str| {
        ApiError::unauthorized("runner_key_invalid", detail, "make a key on this server and give it to the test runner")
    };
    let key = bearer(request.headers()).map_err(|error| refused(&error.problem().detail))?;
    match local.store.runner_key_check(&TokenHash::of(&key)).await? {
        Some(label) => {
            tracing::Span::current().record("consumer", label.as_str());
            Ok(next.run(request).await)
        }
        None => Err(refused("the runner key is unknown or revoked")),
    }
}
