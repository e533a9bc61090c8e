//! Pages for people who sign in: what is ready, what happened, and a few acts. Server-rendered, without a script, with
//! one style sheet of our own.
//!
//! * `sign_in`: login, session, sign-out; `cookie` and `visitor`: who asks; `origin`: whether our own page asks.
//! * `overview`, `fleet`, `history`, `audit`: what is shown; `acts`: what is done; `layout`: what surrounds it.

mod acts;
mod audit;
mod cookie;
mod desk;
mod fleet;
mod history;
pub(crate) mod layout;
mod origin;
mod overview;
mod refusal;
mod sign_in;
mod visitor;

use std::sync::Arc;

use axum::response::Response;
use axum::{Router, middleware};
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{HeaderName, HeaderValue, Method};
use taosync_store::Store;
use taosync_store::settings::Role;
use taosync_sync::accounts::Accounts;

pub use desk::{Act, Desk, Doing, Looking, Trouble};

use crate::oauth::SlowDown;
use crate::routes::{self, Access, Endpoint, Route};

/// Wrong passwords for one login from one network, and for all logins from there, before tries are slowed down.
const WRONG_OF_LOGIN: u32 = 5;
const WRONG_OF_NETWORK: u32 = 50;

/// What the pages share.
pub(crate) struct Pages {
    store: Store,
    role: Role,
    accounts: Accounts,
    wrong: SlowDown,
    desk: Desk,
}

/// The pages of a role.
pub(crate) fn router(store: Store, role: Role, desk: Desk) -> Router {
    let accounts = Accounts::new(store.clone());
    let wrong = SlowDown::new(WRONG_OF_LOGIN, WRONG_OF_NETWORK);
    let pages = Arc::new(Pages { store, role, accounts, wrong, desk });
    routes::router(table(role)).layer(middleware::map_response(for_pages)).with_state(pages)
}

/// Pages load their own style and send their own forms, which say where they come from; other sites get neither.
async fn for_pages(mut response: Response) -> Response {
    const OWN: [(HeaderName, &str); 4] = [
        (CONTENT_SECURITY_POLICY, layout::POLICY),
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    response.headers_mut().extend(OWN.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

/// The endpoints of the pages of a role.
pub(crate) fn endpoints(role: Role) -> Vec<Endpoint> {
    routes::endpoints(&table(role))
}

fn table(role: Role) -> Vec<Route<Arc<Pages>>> {
    let (get, post) = (Method::GET, Method::POST);
    let mut table = vec![
        Route::new(get.clone(), "/login", Access::Anybody, sign_in::form),
        Route::new(post.clone(), "/login", Access::Account, sign_in::sign_in),
        Route::new(post.clone(), "/logout", Access::Visitor, sign_in::sign_out),
        Route::new(get.clone(), "/overview", Access::Visitor, overview::page),
        Route::new(get.clone(), "/history", Access::Visitor, history::page),
        Route::new(get, "/audit", Access::Overseer, audit::page),
    ];
    table.extend(match role {
        Role::Central => vec![
            Route::new(post.clone(), "/acts/approve-removals", Access::Administrator, acts::approve_removals),
            Route::new(post.clone(), "/acts/revoke-node", Access::Administrator, acts::revoke_node),
            Route::new(post, "/acts/approve-node", Access::Administrator, acts::approve_node),
        ],
        Role::Local => vec![Route::new(post, "/acts/sync", Access::Operator, acts::sync)],
    });
    table
}
