//! Blind indexes: finding a sealed login, label or e-mail by equality, without keeping it readable.

use secrecy::SecretString;
use zeroize::Zeroizing;

/// The key of all blind indexes of a database. Wiped from memory when dropped.
#[derive(Clone)]
pub struct BlindIndex(Zeroizing<[u8; 32]>);

impl BlindIndex {
    pub(crate) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// A key for another purpose; it says nothing about this one.
    pub(crate) fn key_for(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*blake3::keyed_hash(&self.0, purpose.as_bytes()).as_bytes())
    }

    /// The index of a text in a field: keyed BLAKE3 of the text without outer white space and in lower case,
    /// 16 bytes. Every field has a key of its own, so equal texts in two fields cannot be matched.
    pub fn of(&self, field: &str, text: &str) -> [u8; 16] {
        let field_key = blake3::keyed_hash(&self.0, field.as_bytes());
        let normalised = Zeroizing::new(text.trim().to_lowercase());
        let full = blake3::keyed_hash(field_key.as_bytes(), normalised.as_bytes());
        let mut index = [0; 16];
        index.copy_from_slice(&full.as_bytes()[..16]);
        index
    }

    /// A secret that belongs to a name and can be told again, so that it is kept nowhere: 64 hexadecimal characters.
    /// `purpose` must be no field of [`BlindIndex::of`].
    pub(crate) fn secret(&self, purpose: &str, name: &str) -> SecretString {
        let purpose_key = blake3::keyed_hash(&self.0, purpose.as_bytes());
        SecretString::from(blake3::keyed_hash(purpose_key.as_bytes(), name.as_bytes()).to_hex().as_str())
    }

    /// The index of exactly this text, such as a URI.
    pub fn exact(&self, field: &str, text: &str) -> [u8; 16] {
        let field_key = blake3::keyed_hash(&self.0, field.as_bytes());
        let mut index = [0; 16];
        index.copy_from_slice(&blake3::keyed_hash(field_key.as_bytes(), text.as_bytes()).as_bytes()[..16]);
        index
    }
}

impl std::fmt::Debug for BlindIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BlindIndex(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_matter_and_field_and_key_do() {
        let index = BlindIndex::new(Zeroizing::new([1; 32]));
        let anna = index.of("login", "Ünal.Anna");
        assert_eq!(anna, index.of("login", " ünal.anna\n"));
        assert_ne!(anna, index.of("mail", "Ünal.Anna"));
        assert_ne!(anna, index.of("login", "Unal.Anna"));
        assert_ne!(anna, BlindIndex::new(Zeroizing::new([2; 32])).of("login", "Ünal.Anna"));
    }

    #[test]
    fn the_form_is_fixed() {
        let index = BlindIndex::new(Zeroizing::new([1; 32]));
        assert_eq!(
            hex::encode(index.of("login", "anna")),
            "6d7b8d80c6d30701877ae87959b714d7",
            "a new form needs every index rebuilt"
        );
    }
}
