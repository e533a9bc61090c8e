//! The key of one delivery: it seals the tree of a package, and travels wrapped for each node (DESIGN §6).

use zeroize::Zeroizing;

use crate::node_identity::NodeIdentity;
use crate::seal::{self, KEY_BYTES, NONCE_BYTES};
use crate::{VaultError, random, sealed_file};

/// Most bytes of a wrapped delivery key; one for a single node has about 250.
pub const MAX_WRAPPED_BYTES: usize = 4096;

const TREE_CONTEXT: &[u8] = b"taosync sealed tree 1";
const WRAP_LABEL: &[u8] = b"taosync delivery key 1\n";

/// The key of one delivery. Wiped from memory when dropped.
#[derive(Clone)]
pub struct DeliveryKey(Zeroizing<[u8; KEY_BYTES]>);

impl DeliveryKey {
    /// A fresh key.
    pub fn generate() -> Self {
        Self(Zeroizing::new(random::bytes()))
    }

    /// The bytes of the key, to be kept in a sealed column.
    pub fn to_bytes(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        self.0.clone()
    }

    /// Reads [`DeliveryKey::to_bytes`] back; anything but 32 bytes is refused.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VaultError> {
        let key = bytes.try_into().map_err(|_| VaultError::BadSeal { what: "the delivery key" })?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// Seals a package's tree: a fresh nonce, then the ciphertext.
    pub fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let nonce = random::bytes::<NONCE_BYTES>();
        let mut sealed = Vec::with_capacity(NONCE_BYTES + plain.len() + seal::TAG_BYTES);
        sealed.extend_from_slice(&nonce);
        seal::seal_onto(&mut sealed, &self.0, nonce, TREE_CONTEXT, plain);
        sealed
    }

    /// Opens what [`DeliveryKey::seal`] made.
    pub fn open(&self, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        sealed
            .split_first_chunk::<NONCE_BYTES>()
            .and_then(|(nonce, rest)| seal::open(&self.0, *nonce, TREE_CONTEXT, rest))
            .ok_or(VaultError::BadSeal { what: "the tree of the package" })
    }

    /// Wraps the key for one node: an age file for its recipient. It proves nothing about who wrapped it.
    pub fn wrap_for(&self, recipient: &str) -> Result<Vec<u8>, VaultError> {
        let plain = Zeroizing::new([WRAP_LABEL, self.0.as_slice()].concat());
        sealed_file::encrypt_to(&[recipient.to_owned()], &plain)
    }
}

impl std::fmt::Debug for DeliveryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeliveryKey(…)")
    }
}

pub(crate) fn unwrap(identity: &NodeIdentity, wrapped: &[u8]) -> Result<DeliveryKey, VaultError> {
    if wrapped.len() > MAX_WRAPPED_BYTES {
        return Err(VaultError::TooLarge { what: "the wrapped delivery key", limit: MAX_WRAPPED_BYTES });
    }
    let bad = VaultError::BadSeal { what: "the wrapped delivery key" };
    let Ok(plain) = sealed_file::decrypt(identity, wrapped, WRAP_LABEL.len() + KEY_BYTES).map(Zeroizing::new) else {
        return Err(bad);
    };
    DeliveryKey::from_bytes(plain.strip_prefix(WRAP_LABEL).ok_or(bad)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_node_it_was_wrapped_for_unwraps() {
        let (node, other) = (NodeIdentity::generate(), NodeIdentity::generate());
        let key = DeliveryKey::generate();
        let wrapped = key.wrap_for(&node.recipient()).unwrap();
        assert_eq!(node.unwrap_delivery_key(&wrapped).unwrap().to_bytes(), key.to_bytes());
        assert!(other.unwrap_delivery_key(&wrapped).is_err());
        assert!(key.wrap_for("age1nonsense").is_err());
    }

    #[test]
    fn other_files_for_the_node_are_not_keys() {
        let node = NodeIdentity::generate();
        for content in [[0; 32].as_slice(), &[0; 55], b"", &[0; 56]] {
            let file = sealed_file::encrypt_to(&[node.recipient()], content).unwrap();
            assert!(matches!(node.unwrap_delivery_key(&file), Err(VaultError::BadSeal { .. })));
        }
        assert!(matches!(node.unwrap_delivery_key(&[0; MAX_WRAPPED_BYTES]), Err(VaultError::BadSeal { .. })));
        assert!(matches!(node.unwrap_delivery_key(&[0; MAX_WRAPPED_BYTES + 1]), Err(VaultError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn trees_open_again_and_a_flipped_bit_is_refused(plain: Vec<u8>, bit: prop::sample::Index) {
            let key = DeliveryKey::generate();
            let mut sealed = key.seal(&plain);
            prop_assert_eq!(key.open(&sealed).unwrap(), plain);
            prop_assert!(DeliveryKey::generate().open(&sealed).is_err());
            let bit = bit.index(sealed.len() * 8);
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(key.open(&sealed).is_err());
        }
    }
}
