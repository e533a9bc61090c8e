//! Why a client did not trust a server, in terms a person can act on.

use std::error::Error;

use rustls::CertificateError as Bad;

/// The chain a server showed does not hold the pinned authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server answered with a certificate that the pinned authority did not issue")]
pub struct OtherAuthority;

/// Why a server was not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// Another certificate than the pinned authority's: a filter or login page in between answered, or the pin is old.
    OtherAuthority,
    /// Its issuer is not trusted by this machine, or did not sign it.
    UnknownIssuer,
    /// Out of date, or the clock here is ahead.
    Expired,
    /// Valid only later: most likely the clock here is behind.
    NotYetValid,
    /// Made for another host.
    OtherHost,
    /// Anything else about the certificate.
    BadCertificate,
}

impl Distrust {
    /// Looks through an error and its sources for a refused certificate; `None` when the trouble is another.
    pub fn in_error(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(tls) = error.downcast_ref::<rustls::Error>() {
                return Self::of(tls);
            }
            // The source of an I/O error is its payload's source: the payload itself must be asked for.
            let payload = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            next = payload.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
        }
        None
    }

    fn of(error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::Other(other) if other.0.is::<OtherAuthority>() => Some(Self::OtherAuthority),
            rustls::Error::InvalidCertificate(bad) => Some(match bad {
                Bad::Expired | Bad::ExpiredContext { .. } => Self::Expired,
                Bad::NotValidYet | Bad::NotValidYetContext { .. } => Self::NotYetValid,
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Self::OtherHost,
                Bad::UnknownIssuer | Bad::BadSignature => Self::UnknownIssuer,
                _ => Self::BadCertificate,
            }),
            _ => None,
        }
    }
}
