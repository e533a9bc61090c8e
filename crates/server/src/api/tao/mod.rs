//! TAO's protocol, as an unmodified TAO central answers it (docs/TAO.md): same addresses, same words, for right and wrong
//! requests. Everything stands below two paths; what is unknown there is answered as TAO does, and everything as any
//! unknown address when the protocol is switched off.

mod address;
mod caller;
mod entities;
mod fault;
mod handshake;
mod package;
mod results;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use http::header::ACCEPT;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use serde::de::DeserializeOwned;
use taosync_sync::tao::Compat;
use taosync_wire::tao as wire;
use taosync_wire::tao::failure::{NO_RIGHTS, NOT_IMPLEMENTED, VERSION_MISSING, VERSION_UNSUPPORTED};
use taosync_wire::tao::items::SupportedVersions;
use taosync_wire::tao::query::Query;
use tokio::sync::SemaphorePermit;

use address::Address;
use caller::Caller;
use fault::{Fault, answer};

use crate::body;
use crate::listen::Peer;
use crate::problem;
use crate::routes::{Access, Endpoint};
use crate::state::Central;

/// Bytes of a body with results at most.
const MAX_RESULTS: usize = 32 * 1024 * 1024;
/// Bytes of any other body at most.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// Bytes of a body that is read as soon as it is here.
const SMALL_BODY: usize = 64 * 1024;

/// A request, with everything its answer depends on.
struct Asked {
    central: Arc<Central>,
    compat: Compat,
    peer: Peer,
    method: Method,
    headers: HeaderMap,
    query: Query,
    body: Bytes,
}

/// All addresses of the protocol below a base path, which is empty or begins with a slash.
pub(crate) fn router(central: &Arc<Central>) -> Router {
    let base = central.tao_base_path.trim_end_matches('/');
    let base = if base.is_empty() || base.starts_with('/') { base.to_owned() } else { format!("/{base}") };
    Router::new()
        .route(&format!("{base}/taoOauth/{{*path}}"), any(serve))
        .route(&format!("{base}/taoSync/{{*path}}"), any(serve))
        .with_state(central.clone())
}

/// The addresses that are served, below no base path.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    Address::ALL.into_iter().map(Address::endpoint).collect()
}

async fn serve(State(central): State<Arc<Central>>, Extension(peer): Extension<Peer>, request: Request) -> Response {
    let compat = match Compat::load(&central.store).await {
        Ok(compat) => compat,
        Err(error) => return problem::ApiError::from(error).into_response(),
    };
    if !compat.tao {
        return problem::unknown_path().await.into_response();
    }
    let version = compat.version().to_owned();
    let (parts, body) = request.into_parts();
    match dispatch(central, compat, peer, parts, body).await {
        Ok(response) => response,
        Err(fault) => fault.into_answer(&version),
    }
}

async fn dispatch(
    central: Arc<Central>,
    compat: Compat,
    peer: Peer,
    parts: Parts,
    body: Body,
) -> Result<Response, Fault> {
    let Parts { method, uri, headers, .. } = parts;
    let base = central.tao_base_path.trim_matches('/');
    let path = uri.path().trim_start_matches('/');
    let path = path.strip_prefix(base).unwrap_or(path).trim_start_matches('/').to_owned();
    let limit = if path.starts_with("taoSync/ResultApi/") { MAX_RESULTS } else { MAX_BODY };
    let query = Query::parse(uri.query().unwrap_or_default());
    let address = Address::of(&path);
    let proves_itself = address.is_some_and(|address| address.access() != Access::TaoClient);
    let caller = if proves_itself { None } else { Some(caller::caller(&central, &compat, peer, &headers).await?) };
    // A body is read only for whoever may send one, and held in the room all such bodies have together.
    let room = central.clone();
    let gathered = body::gather_whole(body, limit, &room.questions).await;
    let (bytes, _held) = gathered.map_err(Fault::of_status)?;
    // Taken apart, a body takes many times its bytes: large ones are read a few at a time.
    let _turn = if bytes.len() > SMALL_BODY { Some(turn(&room).await?) } else { None };
    let asked = Asked { central, compat, peer, method, headers, query, body: bytes };
    match caller {
        None if address == Some(Address::Token) => token::token(&asked.central, peer, &asked.query, &asked.body).await,
        None => handshake::handshake(&asked).await,
        Some(caller) => act(&path, &asked, &caller).await,
    }
}

async fn turn(central: &Central) -> Result<SemaphorePermit<'_>, Fault> {
    central.hand_ins.acquire().await.map_err(|_| Fault::unexpected())
}

async fn act(path: &str, asked: &Asked, caller: &Caller) -> Result<Response, Fault> {
    asked.accepts_json()?;
    let Some(address) = Address::of(path) else {
        let controllers = ["taoSync/SynchronisationApi/", "taoSync/ResultApi/"];
        if controllers.iter().any(|controller| path.starts_with(controller)) {
            return Ok(answer(&serde_json::json!({ "error": NO_RIGHTS })));
        }
        return Err(Fault::denied());
    };
    match address {
        Address::Checksums => entities::checksums(asked, caller).await,
        Address::Details => entities::details(asked, caller).await,
        Address::Classes => entities::classes(asked, caller).await,
        Address::DeliveryTest => package::delivery_test(asked, caller).await,
        Address::ConfirmFinished | Address::ConfirmFailed => results::confirm(asked, caller, path).await,
        Address::Results => results::results(asked, caller).await,
        Address::Logs => results::logs(asked, caller).await,
        Address::Sessions => results::sessions(asked, caller).await,
        Address::LtiUsers => results::lti_users(asked, caller).await,
        Address::SupportedVersions => asked.supported_versions(),
        // Answered before anybody was asked who they are.
        Address::Token | Address::Handshake => Err(Fault::denied()),
    }
}

impl Asked {
    /// TAO answers JSON, and says so to whoever wants a page only.
    fn accepts_json(&self) -> Result<(), Fault> {
        let accept = self.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let is_page_only = accept.contains("text/html") && !accept.contains("*/*") && !accept.contains("application/");
        if is_page_only { Err(Fault::of_status(StatusCode::NOT_ACCEPTABLE)) } else { Ok(()) }
    }

    fn needs(&self, method: &Method) -> Result<(), Fault> {
        if self.method == method { Ok(()) } else { Err(Fault::unexpected()) }
    }

    /// The body of a `POST`.
    fn document<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        self.needs(&Method::POST)?;
        serde_json::from_slice(&self.body).map_err(|_| Fault::unexpected())
    }

    /// Boxes of other versions than those in the list do not sync.
    fn check_version(&self, params: &wire::SyncParams) -> Result<(), Fault> {
        let version = params.tao_version.as_deref().ok_or_else(|| Fault::explained(VERSION_MISSING))?;
        if self.compat.supports(version) {
            return Ok(());
        }
        let shown: String = version.chars().take(64).collect();
        Err(Fault::explained(format!("{VERSION_UNSUPPORTED}{shown}")))
    }

    fn supported_versions(&self) -> Result<Response, Fault> {
        if self.method != Method::GET {
            return Err(Fault::answered(StatusCode::BAD_REQUEST, 400, NOT_IMPLEMENTED));
        }
        Ok(answer(&SupportedVersions { success: true, data: self.compat.supported_versions.clone() }))
    }
}
