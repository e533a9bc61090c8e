//! Whether a request that changes something comes from a page of this server: no foreign page may use the cookie that a
//! browser holds (CSRF).

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use url::Url;

/// The header in which browsers say where a request comes from (Fetch Metadata, W3C).
const FETCH_SITE: &str = "sec-fetch-site";

/// Browsers say it in one of two headers; a request without either is no browser's and has no business here.
pub(super) fn is_our_own(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match text(FETCH_SITE) {
        Some(site) => site == "same-origin",
        None => text(ORIGIN.as_str()).zip(text(HOST.as_str())).is_some_and(|(origin, host)| is_same(origin, host)),
    }
}

fn is_same(origin: &str, host: &str) -> bool {
    let Ok(origin) = Url::parse(origin) else { return false };
    let Ok(own) = Url::parse(&format!("{}://{host}/", origin.scheme())) else { return false };
    let place = |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
    origin.has_host() && place(&origin) == place(&own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(lines: &[(&'static str, &str)]) -> bool {
        is_our_own(&lines.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect())
    }

    #[test]
    fn only_our_own_pages_are_believed() {
        let host = ("host", "central.example:8443");
        assert!(asked(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(asked(&[host, ("origin", "https://central.example:8443")]));
        assert!(asked(&[("host", "central.example"), ("origin", "https://central.example")]));
        for site in ["same-site", "cross-site", "none", ""] {
            let origin = ("origin", "https://central.example:8443");
            assert!(!asked(&[host, ("sec-fetch-site", site), origin]), "{site}");
        }
        for origin in ["null", "", "https://evil.example", "https://central.example", "https://central.example:8444"] {
            assert!(!asked(&[host, ("origin", origin)]), "{origin}");
        }
        assert!(!asked(&[host]) && !asked(&[("origin", "https://central.example")]) && !asked(&[]));
    }
}
