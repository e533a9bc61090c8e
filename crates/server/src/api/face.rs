//! What anybody may see: whether the server is well, and a page for a person who opens its address in a browser.

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::{Json, Router};
use http::{Method, StatusCode};
use serde::Serialize;
use taosync_store::Store;
use taosync_store::settings::Role;

use crate::routes::{Access, Endpoint, Route};
use crate::{VERSION, routes};

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
    routes::router(table()).with_state(Face { store, role })
}

/// The endpoints of both roles.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    routes::endpoints(&table())
}

fn table() -> Vec<Route<Face>> {
    vec![
        Route::new(Method::GET, "/", Access::Anybody, page),
        Route::new(Method::GET, "/healthz", Access::Anybody, health),
    ]
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
