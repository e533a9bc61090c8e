//! The names in the server's certificate: all under which it may be called. A changed list makes a new certificate
//! under the same authority, so that what local servers have pinned stays valid.

use std::net::IpAddr;

use taosync_vault::tls::Tls;
use url::Url;

use crate::config::Listen;
use crate::failure::Failure;
use crate::node::Node;

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
    let names = names(node.config.listen, node.config.public_url.as_ref(), &node.config.hosts);
    let wanted = names.join(" ");
    let keys = node.place.keys();
    if node.store.setting_get(NAMES).await?.as_deref() == Some(&wanted) {
        return Ok(Some(Tls::open(&keys)?));
    }
    let tls = Tls::reissue(&keys, &names, node.clock.now())?;
    node.store.setting_set(NAMES, &wanted).await?;
    Ok(Some(tls))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
