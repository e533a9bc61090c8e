//! Who a node is: an Ed25519 key (RFC 8032), shown to others as an OKP JWK (RFC 8037).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{VaultError, random};

/// The signing key of a node. Wiped from memory when dropped.
pub struct NodeKey(SigningKey);

impl NodeKey {
    /// A fresh key.
    pub fn generate() -> Self {
        Self::from_seed(&Zeroizing::new(random::bytes()))
    }

    /// The key of a seed (RFC 8032 §5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public key, as in RFC 8032.
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The name of the key: see [`thumbprint`].
    pub fn thumbprint(&self) -> String {
        thumbprint(&self.public())
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeKey({})", self.thumbprint())
    }
}

/// RFC 7638 thumbprint of the OKP JWK (RFC 8037 §2): SHA-256, base64url without padding.
pub fn thumbprint(public: &[u8; 32]) -> String {
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(public));
    URL_SAFE_NO_PAD.encode(Sha256::digest(jwk))
}

/// Whether `signature` is that of `public` over `message`. Strict: weak keys and second forms of a signature are
/// refused, so a signature proves one key and one message.
pub fn verify(public: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), VaultError> {
    let bad = VaultError::BadSignature { what: "the message" };
    let (Ok(key), Ok(signature)) = (VerifyingKey::from_bytes(public), Signature::from_slice(signature)) else {
        return Err(bad);
    };
    key.verify_strict(message, &signature).map_err(|_| bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc_8037_key() -> NodeKey {
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        NodeKey::from_seed(&seed.try_into().unwrap())
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037_a_3() {
        assert_eq!(rfc_8037_key().thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn the_signature_is_that_of_rfc_8037_a_4() {
        let signed = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = rfc_8037_key().sign(signed);
        assert_eq!(
            URL_SAFE_NO_PAD.encode(signature),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
        verify(&rfc_8037_key().public(), signed, &signature).unwrap();
    }

    #[test]
    fn another_key_message_or_length_is_refused() {
        let key = rfc_8037_key();
        let signature = key.sign(b"a");
        assert!(verify(&NodeKey::generate().public(), b"a", &signature).is_err());
        assert!(verify(&key.public(), b"b", &signature).is_err());
        assert!(verify(&key.public(), b"a", &signature[..63]).is_err());
        // The neutral element as key would accept forged signatures without strict verification.
        let mut weak = [0; 32];
        weak[0] = 1;
        let mut forged = [0; 64];
        forged[0] = 1;
        assert!(verify(&weak, b"a", &forged).is_err());
    }
}
