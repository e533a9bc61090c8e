//! The table of routes. A router is made from it and from nothing else, so that no endpoint can exist without a word about
//! who may use it; `docs/ACCESS.md` has a row for each, and a test asks each as everybody.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;

/// Who may use an endpoint. The organisation is always that of the credentials, never that of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Anybody: nothing is told or changed that is somebody's.
    Anybody,
    /// Whoever shows the client key and secret of a consumer.
    ClientSecret,
    /// Whoever shows a token of the consumer, for the token's organisation.
    Consumer,
    /// Whoever shows a key of a test runner.
    TestRunner,
    /// Whoever shows login and password of a sync manager.
    SyncManager,
    /// A TAO client: a plain token of a consumer, or login and password of a sync manager, for their organisations.
    TaoClient,
    /// Whoever shows login and password of an account, or at central of a sync manager.
    Account,
    /// Whoever is signed in at the pages; a sync manager for their organisations.
    Visitor,
    /// An office administrator or auditor who is signed in.
    Overseer,
    /// An office administrator who is signed in.
    Administrator,
    /// An office administrator who is signed in, or a sync manager for their organisations.
    Operator,
}

impl Access {
    /// The spelling in `docs/ACCESS.md`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anybody => "anybody",
            Self::ClientSecret => "client secret",
            Self::Consumer => "consumer",
            Self::TestRunner => "test runner",
            Self::SyncManager => "sync manager",
            Self::TaoClient => "TAO client",
            Self::Account => "account",
            Self::Visitor => "visitor",
            Self::Overseer => "overseer",
            Self::Administrator => "administrator",
            Self::Operator => "operator",
        }
    }
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Method; TAO's addresses take any and answer wrong ones in TAO's words, the usual one stands here.
    pub method: Method,
    /// Path, with `{name}` for a part and `{*name}` for the rest.
    pub path: String,
    /// Who may use it.
    pub access: Access,
}

/// An endpoint with what answers it.
pub(crate) struct Route<S> {
    endpoint: Endpoint,
    handler: MethodRouter<S>,
}

impl<S: Clone + Send + Sync + 'static> Route<S> {
    pub fn new<H, T>(method: Method, path: impl Into<String>, access: Access, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        // Unwrap safety: only the methods of HTTP that axum knows stand in our tables, as constants.
        let filter = MethodFilter::try_from(method.clone()).expect("a method of HTTP");
        let endpoint = Endpoint { method, path: path.into(), access };
        Self { endpoint, handler: on(filter, handler) }
    }
}

/// The endpoints of a table.
pub(crate) fn endpoints<S>(routes: &[Route<S>]) -> Vec<Endpoint> {
    routes.iter().map(|route| route.endpoint.clone()).collect()
}

/// The router of a table.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(routes: Vec<Route<S>>) -> Router<S> {
    routes.into_iter().fold(Router::new(), |router, route| router.route(&route.endpoint.path, route.handler))
}
