//! Sealed files: age files (age-encryption.org/v1) for one or more recipients.

use std::io::{Read as _, Write as _};

use age::x25519::Recipient;
use age::{Decryptor, Encryptor};

use crate::VaultError;
use crate::node_identity::NodeIdentity;

/// Most recipients of one file.
pub const MAX_RECIPIENTS: usize = 64;

/// Checks that a text is an age recipient (X25519, `age1…`).
pub fn check_recipient(text: &str) -> Result<(), VaultError> {
    parse(text).map(drop)
}

/// Seals bytes so that the holder of any of the recipients' identities can open them.
pub fn encrypt_to(recipients: &[String], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
    if recipients.len() > MAX_RECIPIENTS {
        return Err(VaultError::TooLarge { what: "the list of recipients", limit: MAX_RECIPIENTS });
    }
    let parsed = recipients.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
    seal(&parsed, plain).map_err(|source| VaultError::Seal { recipients: recipients.len(), source })
}

/// Opens a sealed file in memory; refuses when it was changed or cut, is for somebody else, or holds more than
/// `max_plain` bytes.
pub fn decrypt(identity: &NodeIdentity, sealed: &[u8], max_plain: usize) -> Result<Vec<u8>, VaultError> {
    decrypt_with(std::slice::from_ref(identity), sealed, max_plain)
}

/// Whether bytes begin like an age file for the holders of keys: a header that can be read, and no passphrase.
pub fn is_sealed_file(bytes: &[u8]) -> bool {
    Decryptor::new_buffered(bytes).is_ok_and(|decryptor| !decryptor.is_scrypt())
}

/// As [`decrypt`], with the first of several identities that fits.
pub(crate) fn decrypt_with(
    identities: &[NodeIdentity],
    sealed: &[u8],
    max_plain: usize,
) -> Result<Vec<u8>, VaultError> {
    let bad = || VaultError::BadSeal { what: "the sealed file" };
    let decryptor = Decryptor::new_buffered(sealed).map_err(|_| bad())?;
    let opened = decryptor
        .decrypt(identities.iter().map(|identity| identity.as_age() as &dyn age::Identity))
        .map_err(|_| bad())?;
    let mut plain = Vec::with_capacity(sealed.len().min(max_plain));
    opened.take(max_plain as u64 + 1).read_to_end(&mut plain).map_err(|_| bad())?;
    if plain.len() > max_plain {
        return Err(VaultError::TooLarge { what: "the content of the sealed file", limit: max_plain });
    }
    Ok(plain)
}

pub(crate) fn parse(text: &str) -> Result<Recipient, VaultError> {
    // The text is public, but someone may have pasted a secret key by mistake: only its beginning is shown.
    text.trim().parse().map_err(|_| VaultError::BadRecipient { shown: text.trim().chars().take(8).collect() })
}

fn seal(recipients: &[Recipient], plain: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let encryptor = Encryptor::with_recipients(recipients.iter().map(|r| r as &dyn age::Recipient))?;
    let mut sealed = Vec::with_capacity(plain.len() + 512);
    let mut writer = encryptor.wrap_output(&mut sealed)?;
    writer.write_all(plain)?;
    writer.finish()?;
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipient_opens_and_nobody_else() {
        let (a, b, other) = (NodeIdentity::generate(), NodeIdentity::generate(), NodeIdentity::generate());
        let sealed = encrypt_to(&[a.recipient(), b.recipient()], b"answers").unwrap();
        for identity in [&a, &b] {
            assert_eq!(decrypt(identity, &sealed, 7).unwrap(), b"answers");
        }
        assert!(matches!(decrypt(&other, &sealed, 7), Err(VaultError::BadSeal { .. })));
    }

    #[test]
    fn the_limit_holds_at_one_byte() {
        let identity = NodeIdentity::generate();
        let sealed = encrypt_to(&[identity.recipient()], &[7; 1000]).unwrap();
        assert_eq!(decrypt(&identity, &sealed, 1000).unwrap().len(), 1000);
        assert!(matches!(decrypt(&identity, &sealed, 999), Err(VaultError::TooLarge { limit: 999, .. })));
    }

    #[test]
    fn cut_and_changed_files_are_refused() {
        let identity = NodeIdentity::generate();
        let sealed = encrypt_to(&[identity.recipient()], &[7; 100]).unwrap();
        for cut in 0..sealed.len() {
            assert!(decrypt(&identity, &sealed[..cut], 1000).is_err(), "cut at {cut}");
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(decrypt(&identity, &changed, 1000).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn the_head_of_a_sealed_file_is_read() {
        let identity = NodeIdentity::generate();
        let sealed = encrypt_to(&[identity.recipient()], &[7; 100]).unwrap();
        assert!(is_sealed_file(&sealed));
        for other in
            [b"".as_slice(), b"age-encryption.org/v1\n", b"age-encryption.org/v1\n-> scrypt x 1\n", &sealed[1..]]
        {
            assert!(!is_sealed_file(other));
        }
        let passphrase = Encryptor::with_user_passphrase("secret".to_owned().into());
        let mut locked = Vec::new();
        passphrase.wrap_output(&mut locked).unwrap().finish().unwrap();
        assert!(!is_sealed_file(&locked));
    }

    #[test]
    fn a_bad_or_missing_recipient_is_refused_without_echoing_it() {
        let secret = "AGE-SECRET-KEY-1QQPQQPQQPQQPQQPQQPQQP";
        let message = encrypt_to(&[secret.to_owned()], b"").unwrap_err().to_string();
        assert!(message.contains("AGE-SECR") && !message.contains("QQPQQP"), "{message}");
        assert!(matches!(encrypt_to(&[], b""), Err(VaultError::Seal { recipients: 0, .. })));
        let many = vec![NodeIdentity::generate().recipient(); MAX_RECIPIENTS + 1];
        assert!(encrypt_to(&many[1..], b"").is_ok());
        assert!(matches!(encrypt_to(&many, b""), Err(VaultError::TooLarge { .. })));
    }
}
