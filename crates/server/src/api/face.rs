//! What anybody may see: whether the server is well, and a page for a person who opens its address in a browser.

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::Serialize;
use taosync_store::Store;
use taosync_store::settings::Role;

use crate::VERSION;

#[derive(Clone)]
struct Face {
    store: Store,
    role: Role,
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    role: &'static str,
    version: &'static str,
}

/// The routes of both roles.
pub(crate) fn router(store: Store, role: Role) -> Router {
    Router::new().route("/", get(page)).route("/healthz", get(health)).with_state(Face { store, role })
}

/// `ok` when the database answers.
async fn health(State(face): State<Face>) -> Response {
    let (code, status) = match face.store.identity().await {
        Ok(_) => (StatusCode::OK, "ok"),
        Err(error) => {
            tracing::error!(%error, "the database does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "failing")
        }
    };
    (code, Json(Health { status, role: face.role.as_str(), version: VERSION })).into_response()
}

async fn page(State(face): State<Face>) -> Html<String> {
    let next = match face.role {
        Role::Central => {
            "<p>Local servers meet this server with <code>taosync sync all</code>. To connect one, run \
             <code>taosync oauth generate --org ORG --cmd</code> here, and on the local server the command it \
             prints.</p>\n<p>To see which local servers are ready: <code>taosync status</code>.</p>"
        }
        Role::Local => {
            "<p>To fetch data and hand in results, run <code>taosync sync all</code> on this server.</p>\n\
             <p>To see whether everything is ready for the exam: <code>taosync status</code>.</p>"
        }
    };
    let role = face.role;
    Html(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>taosync {role}</title>\n\
         </head>\n<body>\n<main>\n<h1>taosync {role} is running</h1>\n<p>Version {VERSION}.</p>\n{next}\n\
         </main>\n</body>\n</html>\n"
    ))
}
