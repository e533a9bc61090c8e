//! What a TAO client may send to a listening central: queries, parameters, results, logs, sessions, handshakes.
//!
//! An input is one byte that says which address, then a line with the query, a line with `Authorization` (empty: a right
//! token), and the body.

use bytes::Bytes;
use http::Response;
use serde_json::Value;
use taosync_wire::tao::failure::{
    ACCESS_DENIED, LOGIN_MISSING, NO_CLASS, NO_RIGHTS, NOT_IMPLEMENTED, PARAMETER_MISSING, UNAUTHORIZED, UNEXPECTED,
    VERSION_MISSING, VERSION_UNSUPPORTED, WRONG_CREDENTIALS, WRONG_TYPE,
};
use taosync_wire::tao::query::Query;
use taosync_wire::tao::results::TaoResult;
use taosync_wire::tao::{
    Failure, PATH_CHECKSUMS, PATH_CLASSES, PATH_CONFIRM_FAILED, PATH_CONFIRM_FINISHED, PATH_DELIVERY_TEST,
    PATH_DETAILS, PATH_HANDSHAKE, PATH_LOGS, PATH_LTI_USERS, PATH_RESULTS, PATH_SESSIONS, PATH_SUPPORTED_VM,
    PATH_TOKEN, SyncParams, time_of,
};

use crate::central::{TAO_VERSION, place, request};

/// Where it goes, and how.
const ADDRESSES: [(&str, &str); 14] = [
    ("GET", PATH_CHECKSUMS),
    ("POST", PATH_DETAILS),
    ("POST", PATH_CLASSES),
    ("GET", PATH_DELIVERY_TEST),
    ("POST", PATH_CONFIRM_FINISHED),
    ("POST", PATH_CONFIRM_FAILED),
    ("POST", PATH_RESULTS),
    ("POST", PATH_LOGS),
    ("POST", PATH_SESSIONS),
    ("POST", PATH_LTI_USERS),
    ("POST", PATH_HANDSHAKE),
    ("POST", PATH_TOKEN),
    ("GET", PATH_SUPPORTED_VM),
    ("GET", "taoSync/Unknown/unknown"),
];
/// Everything a failure says, but for the version of the box.
const WORDS: [&str; 11] = [
    UNEXPECTED,
    WRONG_TYPE,
    VERSION_MISSING,
    PARAMETER_MISSING,
    WRONG_CREDENTIALS,
    UNAUTHORIZED,
    ACCESS_DENIED,
    NOT_IMPLEMENTED,
    LOGIN_MISSING,
    NO_CLASS,
    NO_RIGHTS,
];
const SLOW_DOWN: &str = "Too many wrong tries; try again in ";

/// Sends it twice, and reads its parts alone.
pub fn check(input: &[u8]) {
    let [kind, rest @ ..] = input else { return };
    let mut lines = rest.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (query, authorization, body) = (line(), line(), line());
    if let Ok(text) = std::str::from_utf8(query) {
        next_pages(text);
    }
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        parts(&value);
    }
    let (method, path) = ADDRESSES[usize::from(*kind) % ADDRESSES.len()];
    let first = ask(method, path, query, authorization, body);
    let second = ask(method, path, query, authorization, body);
    let (Some(first), Some(second)) = (first, second) else { return };
    sound(&first);
    sound(&second);
    let is_slowed = second.status() == 429;
    // A token is another each time; all else is said again as it was, so a repeat is no failure.
    if path != PATH_TOKEN && !is_slowed {
        assert_eq!((first.status(), first.body()), (second.status(), second.body()));
    }
}

fn ask(method: &str, path: &str, query: &[u8], authorization: &[u8], body: &[u8]) -> Option<Response<Bytes>> {
    let place = place();
    let right = format!("Bearer {}", place.tao_token);
    let authorization = if authorization.is_empty() { right.as_bytes() } else { authorization };
    let address = [b"/", path.as_bytes(), b"?", query].concat();
    let headers = [("host", b"localhost".as_slice()), ("authorization", authorization)];
    Some(place.exchange(request(method, &address, &headers, body.to_vec())?))
}

fn sound(answer: &Response<Bytes>) {
    let status = answer.status().as_u16();
    let is_known = matches!(status, 200 | 400 | 401 | 403 | 404 | 406 | 413 | 414 | 429 | 431 | 500 | 501);
    assert!(is_known, "{answer:?}");
    // The package, and what is refused before it is a request of TAO's.
    let is_of_ours = answer.headers().get("content-type").is_some_and(|kind| kind == "application/problem+json");
    let Ok(document) = serde_json::from_slice::<Value>(answer.body()) else {
        return assert!(status == 200 || status == 414 || status == 431, "{answer:?}");
    };
    if is_of_ours {
        return;
    }
    if status != 200 || document.get("success") == Some(&Value::Bool(false)) {
        let failure: Failure = serde_json::from_value(document).expect("a failure has TAO's form");
        assert_eq!((failure.success, failure.version.as_str()), (false, TAO_VERSION));
        let words = failure.error_msg.as_str();
        let version = words.strip_prefix(VERSION_UNSUPPORTED);
        let is_known = WORDS.contains(&words) || words.starts_with(SLOW_DOWN);
        assert!(is_known || version.is_some_and(|version| version.chars().count() <= 64), "{words:?}");
    }
}

/// The address of the next page says what was asked, and can be asked for.
fn next_pages(text: &str) {
    let query = Query::parse(text);
    let next = query.next_page(100, "77");
    assert!(next.bytes().all(|byte| byte.is_ascii_graphic()), "{next:?}");
    let next = Query::parse(&next);
    assert_eq!(next.get("type"), Some(query.get("type").unwrap_or_default()));
    assert_eq!((next.param("offset"), next.after()), (Some("100"), Some("77")));
    for name in ["organisation_id", "sync_id", "box_id", "tao_version"] {
        assert_eq!(next.param(name), query.param(name), "{name}");
    }
    written(SyncParams::of_query(&query));
}

/// A number of a sync becomes a plain number when it is written; from then on nothing changes.
fn written(params: SyncParams) {
    let once = SyncParams::from(Value::from(params));
    assert_eq!(SyncParams::from(Value::from(once.clone())), once);
}

/// What is read can be written, and says the same.
fn parts(value: &Value) {
    written(SyncParams::from(value.clone()));
    let Some(results) = value.get("results").and_then(Value::as_object) else { return };
    for result in results.values() {
        match TaoResult::read(result) {
            Ok(read) => {
                let written = serde_json::to_value(&read).expect("a result is JSON");
                assert_eq!(TaoResult::read(&written).as_ref(), Ok(&read));
                let times = [&read.details.starttime, &read.details.finishtime];
                for time in times.into_iter().flatten().filter_map(|text| time_of(text)) {
                    assert!(time.as_second() >= 0);
                }
            }
            Err(why) => assert!(!why.is_empty()),
        }
    }
}
