//! The dates of a certificate, as the library that checks them understands them: it is asked at both ends of time and says what
//! is wrong there.

use std::time::Duration;

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};

use super::provider;

/// Seconds since 1970 of a day in the year 9999, the last that a certificate can name.
const LAST_DAY: u64 = 253_402_214_400;

/// Between these times a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Not before.
    pub from: Timestamp,
    /// Not after.
    pub until: Timestamp,
}

/// The window of a server's certificate, if the authority signed it.
pub(super) fn of(authority: &CertificateDer<'_>, chain: &[CertificateDer<'_>]) -> Option<Window> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone().into_owned()).ok()?;
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider()).build().ok()?;
    let (server, further) = chain.split_first()?;
    // Dates are looked at before names: the name is not asked for here.
    let name = ServerName::try_from("name.invalid").ok()?;
    let refused = |seconds| {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        verifier.verify_server_cert(server, further, &name, &[], at).err()
    };
    let time = |at: UnixTime| Timestamp::from_second(i64::try_from(at.as_secs()).ok()?).ok();
    let from = match refused(0)? {
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => time(not_before)?,
        _ => return None,
    };
    let until = match refused(LAST_DAY)? {
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => time(not_after)?,
        _ => return None,
    };
    Some(Window { from, until })
}
