//! Fingerprints of certificates.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

use crate::VaultError;

/// SHA-256 of a certificate (DER). Shown in lower-case hex; read with any case, with or without colons.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl FromStr for Fingerprint {
    type Err = VaultError;

    fn from_str(text: &str) -> Result<Self, VaultError> {
        let digits: String = text.trim().chars().filter(|c| *c != ':').take(65).collect();
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| VaultError::BadFingerprint)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_usual_spelling_is_read() {
        let plain = "00ff".repeat(16);
        let colons = ["00", "FF"].repeat(16).join(":");
        for text in [&plain, &plain.to_uppercase(), &colons, &format!(" {colons}\n")] {
            assert_eq!(text.parse::<Fingerprint>().unwrap().to_string(), plain);
        }
        for text in ["", &plain[..63], &plain[..62], &format!("{plain}0"), &format!("{plain}00"), &"zz".repeat(32)] {
            assert!(matches!(text.parse::<Fingerprint>(), Err(VaultError::BadFingerprint)), "{text}");
        }
    }
}
