//! The address a server listens on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use crate::failure::{Exit, Failure};

/// An address and port; port 0 means any free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

/// A text that is no address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{0}' is not an address to listen on; use ADDRESS:PORT, such as 0.0.0.0:8443 or 127.0.0.1:0")]
pub struct BadListen(String);

impl Listen {
    /// Refuses plain HTTP where others could listen in.
    pub fn check_plain_http(self) -> Result<(), Failure> {
        if self.0.ip().is_loopback() {
            return Ok(());
        }
        let message = format!("plain HTTP on {} is refused: everybody on the network could read it", self.0);
        let advice = "leave out --plain-http (plain_http), or listen on 127.0.0.1";
        Err(Failure::new("TS-006", message, advice).exit(Exit::Usage))
    }

    /// The address as a host in a certificate or URL; none when it means all addresses.
    pub fn host(self) -> Option<String> {
        let ip = self.0.ip();
        (!ip.is_unspecified()).then(|| ip.to_string())
    }
}

impl FromStr for Listen {
    type Err = BadListen;

    fn from_str(text: &str) -> Result<Self, BadListen> {
        let bad = || BadListen(text.chars().take(100).collect());
        match text.rsplit_once(':') {
            Some(("localhost", port)) => {
                let port = port.parse().map_err(|_| bad())?;
                Ok(Self(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)))
            }
            _ => text.parse().map(Self).map_err(|_| bad()),
        }
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
