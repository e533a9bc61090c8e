//! The client's side: trust in one pinned authority, or in those the machine trusts.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::VerifierBuilderError;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};

use super::{Fingerprint, HTTP_1_1, OtherAuthority, provider};
use crate::VaultError;

/// What a client needs to speak TLS. With a pin, only the authority with that fingerprint is trusted, and the server
/// must send its certificate; without, the authorities the machine trusts. Host name and dates are checked either way;
/// [`super::Distrust::in_error`] tells afterwards what was wrong.
pub fn client_config(pin: Option<Fingerprint>) -> Result<Arc<ClientConfig>, VaultError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|source| VaultError::Tls { doing: "choosing TLS versions", source })?;
    let mut config = match pin {
        Some(pin) => {
            let verifier = PinnedAuthority { pin, provider: provider() };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
        None => builder.with_root_certificates(trusted_by_machine()?).with_no_client_auth(),
    };
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(Arc::new(config))
}

fn trusted_by_machine() -> Result<RootCertStore, VaultError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(VaultError::NoTrustStore) } else { Ok(roots) }
}

/// Trusts what the pinned authority has signed, and nothing else.
#[derive(Debug)]
struct PinnedAuthority {
    pin: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl PinnedAuthority {
    /// The ordinary check of a chain, with the pinned authority as its only root.
    fn verifier(&self, chain: &[CertificateDer<'_>]) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
        let authority = chain.iter().find(|certificate| Fingerprint::of(certificate) == self.pin);
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

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier(intermediates)?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
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
