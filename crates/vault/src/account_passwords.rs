//! Passwords of accounts of our own: Argon2id (RFC 9106), kept as PHC strings. Slow and hungry on purpose: callers bound
//! how many are checked at once, and check them where nothing else waits.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{VaultError, random};

/// Memory of one hash in KiB, passes, and lanes: the second choice of RFC 9106 §4, with one lane as one thread works.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 1;

/// What is checked for a login nobody has. The hash is all zeros, so no password fits it that anybody could find.
const NOBODYS: &str =
    "$argon2id$v=19$m=65536,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes a password with a fresh salt.
///
/// # Errors
/// When there is not enough memory.
pub fn hash(password: &SecretString) -> Result<SecretString, VaultError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| VaultError::PasswordHash)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = random::bytes::<16>();
    let hash = argon2.hash_password_with_salt(password.expose_secret().as_bytes(), &salt);
    hash.map(|hash| SecretString::from(hash.to_string())).map_err(|_| VaultError::PasswordHash)
}

/// Whether a password is the one behind a kept hash; compared in constant time. With no hash, for a login nobody has, the
/// same work is done and the answer is no.
pub fn verify(password: &SecretString, kept: Option<&SecretString>) -> bool {
    let text = kept.map_or(NOBODYS, SecretString::expose_secret);
    let Ok(parsed) = PasswordHash::new(text) else { return false };
    let fits = Argon2::default().verify_password(password.expose_secret().as_bytes(), &parsed).is_ok();
    fits && kept.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::{AssociatedData, ParamsBuilder};

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[test]
    fn a_password_fits_its_own_hash_only() {
        let password = secret("correct horse battery");
        let (kept, other) = (hash(&password).unwrap(), hash(&password).unwrap());
        assert!(kept.expose_secret().starts_with("$argon2id$v=19$m=65536,t=3,p=1$"));
        assert_ne!(kept.expose_secret(), other.expose_secret(), "each has a salt of its own");
        assert!(verify(&password, Some(&kept)) && verify(&password, Some(&other)));
        assert!(!verify(&secret("correct horse batterz"), Some(&kept)));
        assert!(!verify(&password, None), "a login nobody has");
    }

    #[test]
    fn nobodys_hash_costs_as_much_and_is_read() {
        let parsed = PasswordHash::new(NOBODYS).unwrap();
        let params = Params::try_from(&parsed).unwrap();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (MEMORY_KIB, PASSES, LANES));
    }

    #[test]
    fn a_flipped_character_of_a_hash_fits_nothing() {
        let password = secret("x");
        let params = Params::new(8, 1, 1, None).unwrap();
        let small = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let kept = small.hash_password_with_salt(b"x", b"salt-of-16-bytes").unwrap().to_string();
        assert!(verify(&password, Some(&secret(&kept))));
        let start = kept.find("p=1$").unwrap() + 4;
        for place in start..kept.len() {
            let mut text = kept.clone().into_bytes();
            text[place] = if text[place] == b'A' { b'B' } else { b'A' };
            let text = String::from_utf8(text).unwrap();
            // The last character of base64 holds bits that count for nothing: it is refused as not canonical.
            assert!(!verify(&password, Some(&secret(&text))), "{place}");
        }
        assert!(!verify(&password, Some(&secret(""))) && !verify(&password, Some(&secret("$argon2id$"))));
    }

    /// RFC 9106 §5.3.
    #[test]
    fn the_hash_is_that_of_the_rfc() {
        let data = AssociatedData::new(&[4; 12]).unwrap();
        let params = ParamsBuilder::new().m_cost(32).t_cost(3).p_cost(4).data(data).build().unwrap();
        let argon2 = Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params).unwrap();
        let mut tag = [0; 32];
        argon2.hash_password_into(&[1; 32], &[2; 16], &mut tag).unwrap();
        assert_eq!(hex::encode(tag), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
    }
}
