//! The client's side: trust in one pinned authority, or in those the machine trusts.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::VerifierBuilderError;
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};
use taosync_model::Clock;
use taosync_model::clock::SystemClock;

use super::{Fingerprint, HTTP_1_1, OtherAuthority, Pin, provider};
use crate::VaultError;

/// Certificates whose dates are looked at in turn, before it is said that they exclude each other.
const WINDOWS: usize = 4;

/// What the dates in certificates are compared with.
#[derive(Clone, Debug)]
pub enum Dates {
    /// A clock.
    Clock(Arc<dyn Clock>),
    /// The certificate's own dates, where the clock is outside of them: for the one question what time it is, whose
    /// answer central signs. Nothing secret may be sent over such a connection, and nothing unsigned believed.
    InDoubt(Arc<dyn Clock>),
}

/// What a client needs to speak TLS, by the clock of this machine; see [`client_config_by`].
pub fn client_config(pin: Option<Fingerprint>) -> Result<Arc<ClientConfig>, VaultError> {
    let pins: Vec<Pin> = pin.into_iter().map(Pin::Whole).collect();
    client_config_by(&pins, Dates::Clock(Arc::new(SystemClock)))
}

/// What a client needs to speak TLS. With pins, only the authorities with these fingerprints are trusted, and the server
/// must send the certificate of one; without, the authorities the machine trusts. Host name and dates are checked either
/// way; [`super::Distrust::in_error`] tells afterwards what was wrong.
pub fn client_config_by(pins: &[Pin], dates: Dates) -> Result<Arc<ClientConfig>, VaultError> {
    let (clock, when) = match dates {
        Dates::Clock(clock) => (clock, When::Now),
        Dates::InDoubt(clock) => (clock, When::InItsWindow),
    };
    let builder = ClientConfig::builder_with_details(provider(), Arc::new(ByClock(clock)))
        .with_safe_default_protocol_versions()
        .map_err(|source| VaultError::Tls { doing: "choosing TLS versions", source })?;
    let mut config = if pins.is_empty() {
        builder.with_root_certificates(trusted_by_machine()?).with_no_client_auth()
    } else {
        let verifier = PinnedAuthority { pins: pins.to_vec(), when, provider: provider() };
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
    };
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(Arc::new(config))
}

/// A clock as rustls asks it; what is before 1970 counts as 1970.
#[derive(Debug)]
struct ByClock(Arc<dyn Clock>);

impl TimeProvider for ByClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn trusted_by_machine() -> Result<RootCertStore, VaultError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(VaultError::NoTrustStore) } else { Ok(roots) }
}

/// When a certificate has to be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Now,
    InItsWindow,
}

/// Trusts what a pinned authority has signed, and nothing else.
#[derive(Debug)]
struct PinnedAuthority {
    pins: Vec<Pin>,
    when: When,
    provider: Arc<CryptoProvider>,
}

impl PinnedAuthority {
    /// The ordinary check of a chain, with the pinned authority that the server shows as its only root.
    fn verifier(&self, chain: &[CertificateDer<'_>]) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
        let is_pinned = |certificate: &&CertificateDer<'_>| {
            let fingerprint = Fingerprint::of(certificate);
            self.pins.iter().any(|pin| pin.matches(&fingerprint))
        };
        let authority = chain.iter().find(is_pinned);
        let authority = authority.ok_or_else(|| rustls::Error::Other(OtherError(Arc::new(OtherAuthority))))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&self.provider)).build().map_err(|error| {
            match error {
                VerifierBuilderError::InvalidCrl(error) => rustls::Error::InvalidCertRevocationList(error),
                _ => rustls::Error::InvalidCertificate(CertificateError::BadEncoding),
            }
        })
    }
}

/// The nearest time at which the certificate that was refused for its dates is valid.
fn edge_of_window(error: &rustls::Error) -> Option<UnixTime> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => Some(*not_after),
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => Some(*not_before),
        _ => None,
    }
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verifier = self.verifier(intermediates)?;
        let check = |at| verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, at);
        let refused = match (check(now), self.when) {
            (Err(refused), When::InItsWindow) => refused,
            (checked, _) => return checked,
        };
        let mut at = edge_of_window(&refused);
        for _ in 0..WINDOWS {
            let Some(inside) = at else { break };
            match check(inside) {
                Err(error) if edge_of_window(&error).is_some() => at = edge_of_window(&error),
                // Good, or wrong in another way than by its dates.
                other => return other,
            }
        }
        Err(refused)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
