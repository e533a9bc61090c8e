//! TLS (rustls with aws-lc-rs): the server's certificate, its private authority, and what clients trust.

mod authority;
mod client;
mod distrust;
mod fingerprint;
mod server;
mod window;

pub use authority::{CertificateAuthority, ServerCertificate};
pub use client::{Dates, client_config, client_config_by};
pub use distrust::{Distrust, OtherAuthority};
pub use fingerprint::{Fingerprint, PIN_BYTES, Pin};
pub use server::Tls;
pub use window::Window;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The one protocol that is spoken inside TLS.
const HTTP_1_1: &[u8] = b"http/1.1";

/// The one provider; handed to every configuration, so nothing depends on what a process installed.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
