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

/// The pin of an authority: its whole fingerprint, or the beginning of it where there is little room, as on paper. 128 bits
/// are enough: nobody finds a second certificate with the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// All of it.
    Whole(Fingerprint),
    /// The first half.
    Beginning([u8; PIN_BYTES]),
}

/// Bytes of a pin that is only the beginning of a fingerprint.
pub const PIN_BYTES: usize = 16;

impl Pin {
    /// Whether an authority with this fingerprint is the pinned one.
    pub fn matches(&self, fingerprint: &Fingerprint) -> bool {
        match self {
            Self::Whole(whole) => whole == fingerprint,
            Self::Beginning(beginning) => fingerprint.beginning() == *beginning,
        }
    }
}

impl Fingerprint {
    /// The first half, for where there is little room.
    pub fn beginning(&self) -> [u8; PIN_BYTES] {
        let mut beginning = [0; PIN_BYTES];
        beginning.copy_from_slice(&self.0[..PIN_BYTES]);
        beginning
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
