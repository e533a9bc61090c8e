//! `GET packages/{package}/…`: the compiled form of a test, whole or in parts. A package is named by the digest of its
//! files, so that an address stays what it is, whatever is published later.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use super::caching::{Keep, mark, unchanged};
use super::key::Reach;
use super::opened::{Document, opened};
use crate::problem::ApiError;
use crate::state::Local;

/// Package and path of an address.
pub(super) type Place = Result<Path<(String, String)>, PathRejection>;

pub(super) async fn compiled(
    State(local): State<Arc<Local>>,
    Extension(reach): Extension<Reach>,
    package: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    Ok(answer(&opened(&local, &reach, &only(package)?).await?.compiled, &headers))
}

pub(super) async fn test(
    State(local): State<Arc<Local>>,
    Extension(reach): Extension<Reach>,
    package: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    Ok(answer(&opened(&local, &reach, &only(package)?).await?.test, &headers))
}

pub(super) async fn item(
    State(local): State<Arc<Local>>,
    Extension(reach): Extension<Reach>,
    place: Place,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (package, href) = both(place)?;
    let opened = opened(&local, &reach, &package).await?;
    let item = opened.items.get(&href).ok_or_else(|| ApiError::not_found("the test has no such item"))?;
    Ok(answer(item, &headers))
}

/// Both parts of an address. What is not text names nothing.
pub(super) fn both(place: Place) -> Result<(String, String), ApiError> {
    place.map(|Path(both)| both).map_err(|_| nothing())
}

fn only(package: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    package.map(|Path(package)| package).map_err(|_| nothing())
}

fn nothing() -> ApiError {
    ApiError::not_found("there is nothing at this address")
}

fn answer(document: &Document, asked: &HeaderMap) -> Response {
    unchanged(asked, &document.tag, Keep::Asking).unwrap_or_else(|| {
        let mut response = Response::new(Body::from(document.bytes.clone()));
        mark(response.headers_mut(), &document.tag, Keep::Asking);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    })
}
