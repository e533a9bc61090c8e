//! The server's side: files in the directory of keys, and the configuration made from them.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::authority::{CertificateAuthority, ServerCertificate};
use super::window::{self, Window};
use super::{Fingerprint, HTTP_1_1, provider};
use crate::{VaultError, key_files};

const AUTHORITY_NAME: &str = "taosync central";
const CA_CERTIFICATE: &str = "ca.pem";
const CA_KEY: &str = "ca.key";
const NEXT_CERTIFICATE: &str = "ca-next.pem";
const NEXT_KEY: &str = "ca-next.key";
const SERVER_CHAIN: &str = "server.pem";
const SERVER_KEY: &str = "server.key";

/// A server that can speak TLS.
pub struct Tls {
    config: Arc<ServerConfig>,
    fingerprint: Fingerprint,
}

impl Tls {
    /// Makes a private authority and a certificate for `hosts` in the directory of keys, which exists. Refuses when
    /// there is an authority already.
    pub fn create(dir: &Path, hosts: &[String], now: Timestamp) -> Result<Self, VaultError> {
        for file in [CA_CERTIFICATE, CA_KEY] {
            let path = dir.join(file);
            if path.symlink_metadata().is_ok() {
                return Err(VaultError::Exists { path });
            }
        }
        let authority = CertificateAuthority::create(AUTHORITY_NAME, now)?;
        let server = authority.issue_server(hosts, now)?;
        key_files::write(&dir.join(CA_KEY), authority.key_pem().as_bytes())?;
        key_files::write(&dir.join(CA_CERTIFICATE), authority.certificate_pem().as_bytes())?;
        write_server(dir, &server)?;
        Self::open(dir)
    }

    /// Makes a new server certificate under the same authority, for other hosts or later dates. Pins stay valid.
    pub fn reissue(dir: &Path, hosts: &[String], now: Timestamp) -> Result<Self, VaultError> {
        let certificate = key_files::read(&dir.join(CA_CERTIFICATE))?;
        let key = key_files::read(&dir.join(CA_KEY))?;
        let authority = CertificateAuthority::load(AUTHORITY_NAME, certificate.to_string(), &key)?;
        write_server(dir, &authority.issue_server(hosts, now)?)?;
        Self::open(dir)
    }

    /// Makes the authority that is to follow, beside the one in use, and gives its fingerprint. One that was made before and
    /// is not in use yet stays.
    pub fn prepare_next(dir: &Path, now: Timestamp) -> Result<String, VaultError> {
        if let Some(fingerprint) = Self::next_fingerprint(dir)? {
            return Ok(fingerprint);
        }
        let authority = CertificateAuthority::create(AUTHORITY_NAME, now)?;
        key_files::write(&dir.join(NEXT_KEY), authority.key_pem().as_bytes())?;
        // The certificate last: with it the authority is there.
        key_files::write(&dir.join(NEXT_CERTIFICATE), authority.certificate_pem().as_bytes())?;
        Ok(fingerprint_of(dir, NEXT_CERTIFICATE)?.to_string())
    }

    /// The fingerprint of the authority that is to follow, when one was made.
    pub fn next_fingerprint(dir: &Path) -> Result<Option<String>, VaultError> {
        if !dir.join(NEXT_CERTIFICATE).exists() {
            return Ok(None);
        }
        Ok(Some(fingerprint_of(dir, NEXT_CERTIFICATE)?.to_string()))
    }

    /// Puts the prepared authority in the place of the one in use, which is gone then, and makes a certificate of it. Cut
    /// anywhere, the same again completes it.
    pub fn switch(dir: &Path, hosts: &[String], now: Timestamp) -> Result<Self, VaultError> {
        let certificate = key_files::read(&dir.join(NEXT_CERTIFICATE))?;
        let key = key_files::read(&dir.join(NEXT_KEY))?;
        let authority = CertificateAuthority::load(AUTHORITY_NAME, certificate.to_string(), &key)?;
        let server = authority.issue_server(hosts, now)?;
        key_files::write(&dir.join(CA_KEY), key.as_bytes())?;
        key_files::write(&dir.join(CA_CERTIFICATE), certificate.as_bytes())?;
        write_server(dir, &server)?;
        let tls = Self::open(dir)?;
        for file in [NEXT_CERTIFICATE, NEXT_KEY] {
            let path = dir.join(file);
            std::fs::remove_file(&path).map_err(|source| VaultError::Io { doing: "remove", path, source })?;
        }
        Ok(tls)
    }

    /// The dates between which the server's certificate is valid.
    pub fn window(dir: &Path) -> Result<Window, VaultError> {
        let authority = read_certificate(dir, CA_CERTIFICATE)?;
        let chain = read_chain(dir)?;
        window::of(&authority, &chain).ok_or_else(|| VaultError::BadKeyFile {
            path: dir.join(SERVER_CHAIN),
            problem: "its certificate is not one of the authority in ca.pem",
        })
    }

    /// Reads the certificates and the server's key from the directory of keys.
    pub fn open(dir: &Path) -> Result<Self, VaultError> {
        let bad = |file: &str, problem| VaultError::BadKeyFile { path: dir.join(file), problem };
        let authority = read_certificate(dir, CA_CERTIFICATE)?;
        let chain = read_chain(dir)?;
        if !chain.contains(&authority) {
            return Err(bad(SERVER_CHAIN, "it must end with the certificate in ca.pem, which clients pin"));
        }
        let key = PrivateKeyDer::from_pem_slice(key_files::read(&dir.join(SERVER_KEY))?.as_bytes())
            .map_err(|_| bad(SERVER_KEY, "expected a private key in PEM"))?;
        Ok(Self { config: config(chain, key)?, fingerprint: Fingerprint::of(&authority) })
    }

    /// For the listener: TLS 1.2 and 1.3, HTTP/1.1.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// What clients pin: SHA-256 of the authority's certificate, lower-case hex.
    pub fn fingerprint(&self) -> String {
        self.fingerprint.to_string()
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

fn read_certificate(dir: &Path, file: &str) -> Result<CertificateDer<'static>, VaultError> {
    let path = dir.join(file);
    CertificateDer::from_pem_slice(key_files::read(&path)?.as_bytes())
        .map_err(|_| VaultError::BadKeyFile { path, problem: "expected a certificate in PEM" })
}

fn read_chain(dir: &Path) -> Result<Vec<CertificateDer<'static>>, VaultError> {
    let path = dir.join(SERVER_CHAIN);
    let chain = CertificateDer::pem_slice_iter(key_files::read(&path)?.as_bytes()).collect::<Result<Vec<_>, _>>();
    chain.map_err(|_| VaultError::BadKeyFile { path, problem: "expected certificates in PEM" })
}

fn fingerprint_of(dir: &Path, file: &str) -> Result<Fingerprint, VaultError> {
    Ok(Fingerprint::of(&read_certificate(dir, file)?))
}

/// The key goes first: a crash in between leaves a pair that does not match, which `open` refuses, and `reissue`
/// repairs.
fn write_server(dir: &Path, server: &ServerCertificate) -> Result<(), VaultError> {
    key_files::write(&dir.join(SERVER_KEY), server.key_pem.as_bytes())?;
    key_files::write(&dir.join(SERVER_CHAIN), server.chain_pem.as_bytes())
}

fn config(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Arc<ServerConfig>, VaultError> {
    let failed = |doing| move |source| VaultError::Tls { doing, source };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(failed("choosing TLS versions"))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(failed("matching server.pem and server.key"))?;
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(Arc::new(config))
}
