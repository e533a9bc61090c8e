//! The cookie of a session. Over TLS its name begins with `__Host-`, so that browsers take it from this very host only,
//! for all of it, and encrypted. Plain HTTP exists on loopback alone (`listen`); there browsers would refuse that name.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

const SECURE: &str = "__Host-taosync";
const PLAIN: &str = "taosync-loopback";
/// Characters of a token.
const TOKEN_CHARACTERS: usize = 43;

/// How the browser reaches this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Tls,
    Loopback,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Tls => SECURE,
            Self::Loopback => PLAIN,
        }
    }

    const fn secure(self) -> &'static str {
        match self {
            Self::Tls => "; Secure",
            Self::Loopback => "",
        }
    }
}

/// The token in a request's cookies; none when it is given twice.
pub(super) fn token(headers: &HeaderMap, way: Way) -> Option<SecretString> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut tokens = pairs.filter(|(name, _)| *name == way.name()).map(|(_, token)| token);
    let token = tokens.next().filter(|token| token.len() == TOKEN_CHARACTERS)?;
    tokens.next().is_none().then(|| SecretString::from(token))
}

/// The header that gives a browser its cookie, for as long as it is open.
pub(super) fn given(token: &SecretString, way: Way) -> HeaderValue {
    line(&format!("{}={}; Path=/; HttpOnly; SameSite=Strict{}", way.name(), token.expose_secret(), way.secure()))
}

/// The header that takes it away.
pub(super) fn taken(way: Way) -> HeaderValue {
    line(&format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict{}", way.name(), way.secure()))
}

fn line(text: &str) -> HeaderValue {
    // Unwrap safety: names are constants, tokens base64url.
    let mut value = HeaderValue::from_str(text).expect("a cookie of letters");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str], way: Way) -> Option<String> {
        let headers = lines.iter().map(|line| (COOKIE, line.parse().unwrap())).collect();
        token(&headers, way).map(|token| token.expose_secret().to_owned())
    }

    #[test]
    fn a_cookie_is_read_once_and_by_its_own_name() {
        let (token, other) = ("a".repeat(43), "b".repeat(43));
        let own = format!("__Host-taosync={token}");
        assert_eq!(read(&[&format!("x=1; {own}; y=2")], Way::Tls).as_deref(), Some(token.as_str()));
        assert_eq!(read(&[&format!("taosync-loopback={token}; {own}x")], Way::Tls), None, "of another length");
        assert_eq!(read(&[&own], Way::Loopback), None);
        assert_eq!(read(&[&own, &format!("__Host-taosync={other}")], Way::Tls), None, "which of the two?");
        assert_eq!(read(&["__host-taosync=", "=", ";;"], Way::Tls), None);
    }

    #[test]
    fn what_browsers_are_told() {
        let token = SecretString::from("t".repeat(43));
        let text = |value: HeaderValue| value.to_str().unwrap().to_owned();
        assert_eq!(
            text(given(&token, Way::Tls)),
            format!("__Host-taosync={}; Path=/; HttpOnly; SameSite=Strict; Secure", "t".repeat(43))
        );
        assert!(!text(given(&token, Way::Loopback)).contains("Secure"), "browsers would not keep it");
        assert!(text(taken(Way::Tls)).contains("Max-Age=0") && given(&token, Way::Tls).is_sensitive());
    }
}
