//! Access tokens, client secrets, runner keys: random texts of which only a hash is kept.

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The kept form of a token: SHA-256. Tokens are 256 random bits, so nothing slower is needed.
#[derive(Clone, Copy, Debug)]
pub struct TokenHash;

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &SecretString) -> [u8; 32] {
        Sha256::digest(token.expose_secret()).into()
    }

    /// Whether a token is the one whose hash was kept; takes as long for any answer.
    pub fn matches(token: &SecretString, kept: &[u8]) -> bool {
        equal(&Self::of(token), kept)
    }
}

/// A text that only the holder of a token can make, for one purpose, and that does not give the token away: hex SHA-256 of
/// both.
pub fn derived(purpose: &str, token: &SecretString) -> String {
    let hash = Sha256::new().chain_update(purpose).chain_update([0]).chain_update(token.expose_secret()).finalize();
    hex::encode(hash)
}

/// Compares two secrets or hashes in a time that depends on their lengths only.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    #[test]
    fn a_token_matches_its_own_hash_only() {
        let token = random::token();
        let kept = TokenHash::of(&token);
        assert!(TokenHash::matches(&token, &kept));
        assert!(!TokenHash::matches(&random::token(), &kept));
        assert!(!TokenHash::matches(&token, &kept[..31]));
        assert!(!TokenHash::matches(&token, &[]));
    }

    #[test]
    fn what_is_derived_tells_neither_the_token_nor_its_hash() {
        let token = random::token();
        let derived = derived("form", &token);
        assert_eq!(derived, super::derived("form", &token));
        assert_ne!(derived, super::derived("another", &token));
        assert_ne!(derived, super::derived("form", &random::token()));
        assert_ne!(derived, hex::encode(TokenHash::of(&token)));
    }

    #[test]
    fn the_hash_is_plain_sha_256() {
        let kept = TokenHash::of(&SecretString::from("abc"));
        assert_eq!(hex::encode(kept), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
