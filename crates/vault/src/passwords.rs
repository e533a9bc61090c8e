//! Passwords in TAO's form: 10 characters of salt, then hex SHA-256 of salt and password (WIRE §3). It is fast to
//! guess, but it is what both sides' logins must understand; kept hashes are therefore sealed columns.

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::{random, tokens};

const SALT_CHARACTERS: usize = 10;
const HASH_CHARACTERS: usize = SALT_CHARACTERS + 64;
const ALPHABET: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const NOBODYS_SALT: &str = "nobody0000";

/// Hashes a password with a fresh salt.
pub fn tao_hash(password: &SecretString) -> String {
    hash_with(&salt(), password)
}

/// Whether a password is the one behind a stored hash. Takes as long for a wrong password as for the right one.
pub fn tao_verify(password: &SecretString, stored: &str) -> bool {
    match stored.split_at_checked(SALT_CHARACTERS) {
        Some((salt, _)) if stored.len() == HASH_CHARACTERS => {
            tokens::equal(hash_with(salt, password).as_bytes(), stored.as_bytes())
        }
        _ => tao_verify_nobody(password),
    }
}

/// The work of [`tao_verify`] for a login nobody has, so that the time of an answer does not tell which logins exist.
/// Always false.
pub fn tao_verify_nobody(password: &SecretString) -> bool {
    let hash = hash_with(NOBODYS_SALT, password);
    std::hint::black_box(tokens::equal(hash.as_bytes(), &[0; HASH_CHARACTERS]));
    false
}

/// Whether a text is in the stored form, and so not a password somebody typed.
pub fn looks_like_tao_hash(text: &str) -> bool {
    text.len() == HASH_CHARACTERS
        && text.bytes().take(SALT_CHARACTERS).all(|b| b.is_ascii_alphanumeric())
        && text.bytes().skip(SALT_CHARACTERS).all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn hash_with(salt: &str, password: &SecretString) -> String {
    let hash = Sha256::new().chain_update(salt).chain_update(password.expose_secret()).finalize();
    format!("{salt}{}", hex::encode(hash))
}

fn salt() -> String {
    let mut salt = String::with_capacity(SALT_CHARACTERS);
    while salt.len() < SALT_CHARACTERS {
        // A byte gives one of 64 numbers; the two beyond the alphabet are drawn again, so every character is as likely.
        let [byte] = random::bytes();
        salt.extend(ALPHABET.get(usize::from(byte >> 2)).map(|&b| char::from(b)));
    }
    salt
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// WIRE §14.2.
    const KNOWN: &str = "abcdefghijfc53a2436b6f3629cea086de07cd595645a856f743dab6c1f99588208da919e9";

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[test]
    fn a_hash_made_by_tao_verifies() {
        assert!(tao_verify(&secret("secret123"), KNOWN));
        assert!(!tao_verify(&secret("secret124"), KNOWN));
        assert!(!tao_verify(&secret("secret123"), &KNOWN[..73]));
        assert!(!tao_verify(&secret("secret123"), &format!("{KNOWN}0")));
        assert!(!tao_verify(&secret(""), ""));
        assert!(!tao_verify_nobody(&secret("secret123")));
    }

    #[test]
    fn only_the_stored_form_looks_like_it() {
        assert!(looks_like_tao_hash(KNOWN));
        for text in ["", "secret123", &KNOWN[..73], &KNOWN.to_uppercase(), &KNOWN.replacen('a', "-", 1)] {
            assert!(!looks_like_tao_hash(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_fresh_hash_verifies_and_is_salted(password in "\\PC{0,40}") {
            let password = secret(&password);
            let (stored, other) = (tao_hash(&password), tao_hash(&password));
            prop_assert!(looks_like_tao_hash(&stored));
            prop_assert!(tao_verify(&password, &stored));
            prop_assert_ne!(stored, other);
        }

        #[test]
        fn no_stored_text_panics(stored in "\\PC{0,80}") {
            prop_assert!(!tao_verify(&secret("x"), &stored));
        }
    }
}
