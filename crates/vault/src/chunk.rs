//! Chunks of packages: sealed deterministically, named by the hash of the ciphertext (DESIGN §6).
//!
//! The key comes from central's secret and the hash of the plain bytes, so the same bytes give the same chunk and are
//! kept and fetched once, while nobody without the secret can test a guess. A key seals one plaintext only, so its
//! nonce may be derived from it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use taosync_model::Digest;
use zeroize::Zeroizing;

use crate::VaultError;
use crate::seal::{self, KEY_BYTES, NONCE_BYTES, TAG_BYTES};

const KEY_CONTEXT: &[u8] = b"taosync chunk key 1";
const NONCE_CONTEXT: &str = "taosync chunk nonce 1";

/// Central's secret behind all chunk keys. Wiped from memory when dropped.
#[derive(Clone)]
pub struct ChunkSecret(Zeroizing<[u8; KEY_BYTES]>);

/// The key of one chunk; travels in the sealed tree. base64url in JSON. Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkKey(Zeroizing<[u8; KEY_BYTES]>);

/// A sealed chunk.
#[derive(Clone, Debug)]
pub struct SealedChunk {
    /// BLAKE3 of the ciphertext: what the chunk is called everywhere.
    pub name: Digest,
    /// Opens it.
    pub key: ChunkKey,
    /// The ciphertext, harmless on any disk.
    pub bytes: Vec<u8>,
}

impl ChunkSecret {
    pub(crate) fn new(secret: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(secret)
    }

    /// Seals a chunk. The same secret and bytes always give the same chunk.
    pub fn seal(&self, plain: &[u8]) -> SealedChunk {
        let key = self.key_of(plain);
        let mut bytes = Vec::with_capacity(plain.len() + TAG_BYTES);
        seal::seal_onto(&mut bytes, &key.0, key.nonce(), &[], plain);
        SealedChunk { name: Digest::of(&bytes), key, bytes }
    }

    fn key_of(&self, plain: &[u8]) -> ChunkKey {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(KEY_CONTEXT).update(blake3::hash(plain).as_bytes());
        ChunkKey(Zeroizing::new(*hasher.finalize().as_bytes()))
    }
}

impl ChunkKey {
    fn nonce(&self) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        blake3::Hasher::new_derive_key(NONCE_CONTEXT).update(self.0.as_slice()).finalize_xof().fill(&mut nonce);
        nonce
    }
}

/// Opens a chunk: first the name is checked, then the seal.
pub fn open_chunk(name: &Digest, key: &ChunkKey, bytes: &[u8]) -> Result<Vec<u8>, VaultError> {
    if Digest::of(bytes) != *name {
        return Err(VaultError::BadSeal { what: "a chunk of a package" });
    }
    seal::open(&key.0, key.nonce(), &[], bytes).ok_or(VaultError::BadSeal { what: "a chunk of a package" })
}

impl std::fmt::Debug for ChunkSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChunkSecret(…)")
    }
}

impl std::fmt::Debug for ChunkKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChunkKey(…)")
    }
}

impl Serialize for ChunkKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_slice())))
    }
}

impl<'de> Deserialize<'de> for ChunkKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        match URL_SAFE_NO_PAD.decode_slice(text.as_bytes(), key.as_mut_slice()) {
            Ok(KEY_BYTES) => Ok(Self(key)),
            _ => Err(de::Error::custom("not a chunk key: expected 43 characters of base64url")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret(byte: u8) -> ChunkSecret {
        ChunkSecret::new(Zeroizing::new([byte; 32]))
    }

    #[test]
    fn the_form_is_fixed() {
        assert_eq!(
            secret(1).seal(b"question 1").name.to_hex(),
            "6ac759528fc15bdfafb73a1d2539b4f413182c7f370f4e5fba48b29e17a58529",
            "changing how chunks are sealed makes every stored chunk unknown"
        );
    }

    #[test]
    fn names_depend_on_content_and_secret_only() {
        let (a, again) = (secret(1).seal(b"q"), secret(1).seal(b"q"));
        assert_eq!((a.name, &a.bytes), (again.name, &again.bytes));
        assert_ne!(a.name, secret(2).seal(b"q").name);
        assert_ne!(a.name, secret(1).seal(b"r").name);
    }

    #[test]
    fn keys_survive_json_and_rubbish_is_refused() {
        let chunk = secret(1).seal(b"q");
        let json = serde_json::to_string(&chunk.key).unwrap();
        assert_eq!(json.len(), 45);
        let key: ChunkKey = serde_json::from_str(&json).unwrap();
        assert_eq!(open_chunk(&chunk.name, &key, &chunk.bytes).unwrap(), b"q");
        for bad in [r#""""#, r#""AAAA""#, &format!("\"{}\"", "A".repeat(44)), "7"] {
            assert!(serde_json::from_str::<ChunkKey>(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn chunks_open_again_and_changes_are_refused(plain: Vec<u8>, bit: prop::sample::Index) {
            let chunk = secret(1).seal(&plain);
            prop_assert_eq!(open_chunk(&chunk.name, &chunk.key, &chunk.bytes).unwrap(), plain);
            let mut changed = chunk.bytes.clone();
            let bit = bit.index(changed.len() * 8);
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(open_chunk(&chunk.name, &chunk.key, &changed).is_err());
            // A renamed forgery passes the name and must fail at the seal.
            prop_assert!(open_chunk(&Digest::of(&changed), &chunk.key, &changed).is_err());
        }
    }
}
