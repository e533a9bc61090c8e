//! What anybody may see: whether the server is well, and a page for a person who opens its address in a browser.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use maud::html;
use serde::Serialize;
use taosync_store::Store;
use taosync_store::settings::Role;

use crate::pages::layout;
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
        Route::new(Method::GET, "/api/v1/openapi.json", Access::Anybody, openapi),
        Route::new(Method::GET, layout::STYLE, Access::Anybody, layout::style),
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

/// What this server can be asked, for programs that test or call it.
async fn openapi(State(face): State<Face>) -> impl IntoResponse {
    let document = match face.role {
        Role::Central => include_str!("../../../../docs/openapi/central.json"),
        Role::Local => include_str!("../../../../docs/openapi/local.json"),
    };
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], document)
}

async fn page(State(face): State<Face>) -> Response {
    let role = face.role;
    let content = html! {
        p { "Version " (VERSION) "." }
        @match role {
            Role::Central => {
                p { "Local servers meet this server with " code { "taosync sync all" } ". To connect one, run "
                    code { "taosync oauth generate --org ORG --cmd" } " here, and on the local server the command it prints." }
                p { a href="/login" { "Sign in" } " to see which local servers are ready." }
            }
            Role::Local => {
                p { "To fetch data and hand in results, run " code { "taosync sync all" } " on this server." }
                p { a href="/login" { "Sign in" } " to see whether everything is ready for the exam, and to synchronize." }
            }
        }
    };
    let page = layout::bare(&format!("taosync {role} is running"), &content);
    ([(CONTENT_SECURITY_POLICY, HeaderValue::from_static(layout::POLICY))], page).into_response()
}
