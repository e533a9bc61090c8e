//! The names in the server's certificate: all under which it may be called. A changed list makes a new certificate
//! under the same authority, so that what local servers have pinned stays valid. So does one that comes near its end.

use std::net::IpAddr;
use std::path::Path;

use jiff::{Timestamp, ToSpan as _};
use taosync_vault::tls::Tls;
use url::Url;

use crate::config::Listen;
use crate::failure::Failure;
use crate::node::Node;

/// Days before its end at which a server makes itself another certificate when it starts.
pub const RENEW_DAYS: i64 = 90;
/// Days before its end at which `doctor` warns: the server has not been started for long.
pub const WARN_DAYS: i64 = 60;

/// Setting: the names in the certificate that is in use.
const NAMES: &str = "certificate_names";

/// Every name and address under which a server may be called.
pub fn names(listen: Listen, public_url: Option<&Url>, further: &[String]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    names.extend(listen.host());
    names.extend(hostname());
    names.extend(public_url.and_then(Url::host).map(|host| match host {
        url::Host::Domain(name) => name.to_owned(),
        url::Host::Ipv4(ip) => ip.to_string(),
        url::Host::Ipv6(ip) => ip.to_string(),
    }));
    names.extend(further.iter().cloned());
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// The name of this machine, where it can be told.
pub fn hostname() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| is_host(name))
}

/// Whether a text is a host name or an address.
pub fn is_host(text: &str) -> bool {
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let is_label = |label: &str| !label.is_empty() && label.len() <= 63 && label.bytes().all(is_letter);
    text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && text.split('.').all(is_label))
}

/// The certificate to serve with, for the names of today; none for plain HTTP.
pub async fn current(node: &Node) -> Result<Option<Tls>, Failure> {
    if node.config.plain_http {
        return Ok(None);
    }
    let names = all_names(node);
    let keys = node.place.keys();
    if node.store.setting_get(NAMES).await?.as_deref() == Some(&names.join(" ")) && is_current(&keys, node.clock.now())
    {
        return Ok(Some(Tls::open(&keys)?));
    }
    let tls = Tls::reissue(&keys, &names, node.clock.now())?;
    node.store.setting_set(NAMES, &names.join(" ")).await?;
    Ok(Some(tls))
}

/// Puts the prepared authority in the place of the one in use, with a certificate for the names of today.
pub async fn switch(node: &Node) -> Result<Tls, Failure> {
    let names = all_names(node);
    let tls = Tls::switch(&node.place.keys(), &names, node.clock.now())?;
    node.store.setting_set(NAMES, &names.join(" ")).await?;
    Ok(tls)
}

fn all_names(node: &Node) -> Vec<String> {
    names(node.config.listen, node.config.public_url.as_ref(), &node.config.hosts)
}

/// Whether the certificate is valid now and for a while. What cannot be read is told by who opens it.
fn is_current(keys: &Path, now: Timestamp) -> bool {
    let soon = now.saturating_add((RENEW_DAYS * 24).hours()).unwrap_or(now);
    Tls::window(keys).is_ok_and(|window| window.from <= now && soon < window.until)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use taosync_model::Clock as _;
    use taosync_model::clock::ShiftedClock;
    use taosync_store::settings::Role;

    use super::*;
    use crate::commands::init;
    use crate::config::{NewNode, Place};
    use crate::context::Context;
    use crate::output::Output;

    #[test]
    fn hosts_are_names_or_addresses() {
        for good in ["central.example", "10.0.0.5", "::1", "a_b", "xn--bcher-kva.example"] {
            assert!(is_host(good), "{good}");
        }
        for bad in ["", "a b", "a..b", "a/b", &"x".repeat(64), "ü.example"] {
            assert!(!is_host(bad), "{bad}");
        }
    }

    #[test]
    fn the_certificate_names_each_host_once() {
        let url = "https://central.example:444/".parse().unwrap();
        let further = ["localhost".to_owned(), "other.example".to_owned()];
        let names = names("10.0.0.5:8443".parse().unwrap(), Some(&url), &further);
        for expected in ["localhost", "127.0.0.1", "::1", "10.0.0.5", "central.example", "other.example"] {
            assert_eq!(names.iter().filter(|name| *name == expected).count(), 1, "{expected} in {names:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_starts_near_the_end_of_its_certificate_makes_another_and_keeps_the_pin() {
        // Fails only when another test was first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ShiftedClock::default());
        let place = Place::new(Some(&dir.path().join("central")));
        let context = Context { place, output: Output::Json, clock: clock.clone() };
        let listen = "127.0.0.1:0".parse().unwrap();
        let new = NewNode { role: Role::Central, listen, plain_http: false, public_url: None, hosts: Vec::new() };
        init::make(&context, &new).await.unwrap();
        let node = Node::open(&context).await.unwrap();
        let keys = node.place.keys();
        let pin = current(&node).await.unwrap().unwrap().fingerprint();
        let first = Tls::window(&keys).unwrap();
        let days_left = |days: i64| clock.shift(first.until.duration_since(clock.now()).as_secs() - days * 86_400);
        days_left(RENEW_DAYS + 1);
        current(&node).await.unwrap();
        assert_eq!(Tls::window(&keys).unwrap(), first, "not yet");
        days_left(RENEW_DAYS - 1);
        assert_eq!(current(&node).await.unwrap().unwrap().fingerprint(), pin);
        let second = Tls::window(&keys).unwrap();
        assert!(second.until > first.until, "{second:?}");
        // A certificate made while the clock was ahead is made again when it is right.
        clock.shift(-200 * 86_400);
        current(&node).await.unwrap();
        assert!(Tls::window(&keys).unwrap().from <= clock.now());
    }
}
