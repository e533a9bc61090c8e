//! What surrounds every request: its identity in the log, headers against browsers' good will, and panics.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY};
use http::{HeaderName, HeaderValue};
use taosync_model::Clock;
use taosync_wire::v1;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;

use crate::api::v1::FRAMES;
use crate::listen::Peer;
use crate::problem;

/// Names a request in answers and in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static(v1::REQUEST_ID);

/// Set on every answer a browser could show, unless it says otherwise.
const FOR_BROWSERS: [(HeaderName, &str); 4] = [
    (HeaderName::from_static("x-content-type-options"), "nosniff"),
    (HeaderName::from_static("x-frame-options"), "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
];

/// Puts the layers around all routes of a role. Paths and methods nobody serves are answered as problems.
pub(crate) fn wrap(router: Router, clock: Arc<dyn Clock>) -> Router {
    router
        .fallback(problem::unknown_path)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(CatchPanicLayer::custom(problem::after_panic))
        .layer(middleware::from_fn(move |request: Request, next: Next| observe(clock.new_id(), request, next)))
}

/// Logs the request by its route, never by its address: queries name people and tests.
async fn observe(id: uuid::Uuid, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str);
    let peer = request.extensions().get::<Peer>().copied();
    let span = tracing::info_span!(
        "request",
        %id,
        method = %request.method(),
        route,
        peer = peer.map(|p| tracing::field::display(p.address.ip())),
        consumer = tracing::field::Empty,
        org = tracing::field::Empty,
        node = tracing::field::Empty,
    );
    async {
        let mut response = next.run(request).await;
        tracing::debug!(status = response.status().as_u16(), "answered");
        let headers = response.headers_mut();
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        // Streams of frames and empty answers are for programs only, and travel over thin lines.
        if headers.get(CONTENT_TYPE).is_some_and(|media_type| media_type != FRAMES) {
            for (name, value) in &FOR_BROWSERS {
                headers.entry(name).or_insert(HeaderValue::from_static(value));
            }
            if peer.is_some_and(|p| p.secure) {
                headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
            }
        }
        if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
            headers.insert(REQUEST_ID, id);
        }
        response
    }
    .instrument(span)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use taosync_model::clock::SystemClock;
    use tower::ServiceExt as _;

    async fn fails() -> &'static str {
        panic!("column 'secret' of table 'answers'")
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_that_tells_nothing() {
        let router = wrap(Router::new().route("/fails", get(fails)), Arc::new(SystemClock));
        let answer = router.oneshot(Request::get("/fails").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains(r#""code":"internal""#) && !text.contains("secret"), "{text}");
    }
}
