//! Forms of the pages: cookies, where a request says it comes from, and fields.
//!
//! An input is one byte that says what is right already, then lines: the header `Cookie`, `Sec-Fetch-Site`, `Origin`, and
//! the form (all that is left). See [`RIGHT_COOKIE`] and [`RIGHT_TOKEN`]; the two bits above choose the address.

use taosync_vault::tokens;

use crate::central::{HOST, place, request};

/// The cookie is that of somebody who is signed in; the line is passed over.
const RIGHT_COOKIE: u8 = 1;
/// The form carries the token of that session after what the input holds.
const RIGHT_TOKEN: u8 = 2;
const PATHS: [&str; 4] = ["/login", "/acts/approve-removals", "/acts/revoke-node", "/acts/approve-node"];

/// Sends the form; nothing is done but for a page of the session.
pub fn check(input: &[u8]) {
    let [kind, rest @ ..] = input else { return };
    let mut lines = rest.splitn(4, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (cookie, site, origin, form) = (line(), line(), line(), line());
    let path = PATHS[usize::from(kind >> 2) % PATHS.len()];
    let session = &place().session;
    let right = format!("taosync-loopback={}", secrecy::ExposeSecret::expose_secret(session));
    let cookie = if kind & RIGHT_COOKIE == 0 { cookie } else { right.as_bytes() };
    let mut form = form.to_vec();
    if kind & RIGHT_TOKEN != 0 {
        form.extend(format!("&form_token={}", tokens::derived("form", session)).into_bytes());
    }
    let headers = [
        ("host", HOST.as_bytes()),
        ("content-type", b"application/x-www-form-urlencoded"),
        ("cookie", cookie),
        ("sec-fetch-site", site),
        ("origin", origin),
    ];
    let Some(asked) = request("POST", path.as_bytes(), &headers, form) else { return };
    let answer = place().exchange(asked);
    let status = answer.status().as_u16();
    assert!(matches!(status, 303 | 400 | 401 | 403 | 409 | 413 | 429 | 431), "{answer:?}");
    assert!(answer.headers().contains_key("taosync-request"), "{answer:?}");
    if status != 303 {
        assert!(!answer.headers().contains_key("set-cookie"), "nobody gets a cookie with a refusal: {answer:?}");
        return;
    }
    assert_ne!(path, "/login", "nobody has a password here");
    assert!(kind & RIGHT_COOKIE != 0 && kind & RIGHT_TOKEN != 0, "done without a session or its form: {answer:?}");
    match site.trim_ascii() {
        b"" => assert!(!origin.trim_ascii().is_empty(), "done for somebody who says nothing of itself"),
        site => assert_eq!(site, b"same-origin", "done for a foreign page"),
    }
}
