//! A private certificate authority, for centrals without a public name.

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::VaultError;

/// How long the authority and its server certificates are valid. Clients pin the authority, and a school that is
/// visited once a year must not be locked out by a date.
const YEARS: i32 = 10;

/// A certificate authority with its key.
pub struct CertificateAuthority {
    certificate_pem: String,
    parameters: CertificateParams,
    key: KeyPair,
}

/// A server's certificate and its key.
pub struct ServerCertificate {
    /// The server's certificate and then the authority's, PEM: the server sends both, because clients pin the second.
    pub chain_pem: String,
    /// The key, PKCS #8 PEM.
    pub key_pem: Zeroizing<String>,
}

impl CertificateAuthority {
    /// A fresh authority, valid for ten years from the day before `now` (clocks differ).
    pub fn create(name: &str, now: Timestamp) -> Result<Self, VaultError> {
        let failed = |source| VaultError::Certificate { what: "the private certificate authority", source };
        let key = KeyPair::generate().map_err(failed)?;
        let mut parameters = parameters(name, &key);
        set_validity(&mut parameters, now);
        let certificate_pem = parameters.self_signed(&key).map_err(failed)?.pem();
        Ok(Self { certificate_pem, parameters, key })
    }

    /// An authority read back; `name` must be the one it was made with.
    pub(super) fn load(name: &str, certificate_pem: String, key_pem: &str) -> Result<Self, VaultError> {
        let failed = |source| VaultError::Certificate { what: "the private certificate authority", source };
        let key = KeyPair::from_pem(key_pem).map_err(failed)?;
        Ok(Self { certificate_pem, parameters: parameters(name, &key), key })
    }

    /// Makes a certificate for a server under all its host names and addresses.
    pub fn issue_server(&self, hosts: &[String], now: Timestamp) -> Result<ServerCertificate, VaultError> {
        let failed = |source| VaultError::Certificate { what: "the certificate of the server", source };
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = self.sign_server(hosts, now, &key).map_err(failed)?;
        let chain_pem = format!("{}{}", certificate.pem(), self.certificate_pem);
        Ok(ServerCertificate { chain_pem, key_pem: Zeroizing::new(key.serialize_pem()) })
    }

    /// The certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The key, PKCS #8 PEM.
    pub(super) fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.key.serialize_pem())
    }

    fn sign_server(&self, hosts: &[String], now: Timestamp, key: &KeyPair) -> Result<Certificate, rcgen::Error> {
        let mut server = CertificateParams::new(hosts)?;
        server.distinguished_name = rcgen::DistinguishedName::new();
        server.distinguished_name.push(DnType::CommonName, "taosync server");
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        set_validity(&mut server, now);
        server.signed_by(key, &Issuer::from_params(&self.parameters, &self.key))
    }
}

impl std::fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCertificate").field("chain", &self.chain_pem).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateAuthority").field("certificate", &self.certificate_pem).finish_non_exhaustive()
    }
}

/// Everything about the authority but its dates. The name holds a part of the key's hash, so that two authorities in
/// one trust store are told apart.
fn parameters(name: &str, key: &KeyPair) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    let key_name = hex::encode(&Sha256::digest(key.public_key_raw())[..4]);
    parameters.distinguished_name.push(DnType::CommonName, format!("{name} {key_name}"));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn set_validity(parameters: &mut CertificateParams, now: Timestamp) {
    let from = now.to_zoned_datetime(TimeZone::UTC).date().saturating_sub(1.day());
    let until = from.saturating_add(YEARS.years());
    let day = |date: jiff::civil::Date| rcgen::date_time_ymd(date.year().into(), date.month() as u8, date.day() as u8);
    parameters.not_before = day(from);
    parameters.not_after = day(until);
}
