//! What a test runner may keep, and how it asks whether that is still so (RFC 9110 §13.1.2, RFC 9111).

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use taosync_model::Digest;

/// How long an answer stays true.
#[derive(Clone, Copy, Debug)]
pub(super) enum Keep {
    /// For ever: its address names its contents.
    ForEver,
    /// Until it is asked about again: another version of this program may write it in another way.
    Asking,
}

/// The tag of contents with this digest.
pub(super) fn tag_of(contents: Digest) -> String {
    format!("\"{contents}\"")
}

/// Puts tag and advice on an answer.
pub(super) fn mark(headers: &mut HeaderMap, tag: &str, keep: Keep) {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(ETAG, tag);
    }
    // Private: between the runner and this server, nobody keeps what is for candidates.
    let advice = match keep {
        Keep::ForEver => "private, max-age=31536000, immutable",
        Keep::Asking => "private, no-cache",
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(advice));
}

/// The answer to a runner that has it already; `None` when it has not.
pub(super) fn unchanged(asked: &HeaderMap, tag: &str, keep: Keep) -> Option<Response> {
    let lines = asked.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let known = lines.flat_map(|line| line.split(',')).map(str::trim);
    // Weak comparison, as the RFC wants it here.
    known.map(|one| one.strip_prefix("W/").unwrap_or(one)).find(|one| *one == "*" || *one == tag)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    mark(response.headers_mut(), tag, keep);
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_in_any_of_its_forms() {
        for (asked, known) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(asked))]);
            assert_eq!(unchanged(&headers, "\"a\"", Keep::Asking).is_some(), known, "{asked}");
        }
        assert!(unchanged(&HeaderMap::new(), "\"a\"", Keep::Asking).is_none());
    }
}
