//! Central's signed word about the authorities of its certificate: what local servers pin follows from it.

use uuid::Uuid;

use crate::VaultError;
use crate::node_key::{self, NodeKey};

/// Central's signature over the authorities that may sign its certificate, hex.
pub fn announce_authorities(key: &NodeKey, central: Uuid, fingerprints: &[String]) -> String {
    hex::encode(key.sign(&announced_bytes(central, fingerprints)))
}

/// Whether the central that holds `public` announced exactly these authorities, in this order.
pub fn verify_authorities(
    public: &[u8; 32],
    central: Uuid,
    fingerprints: &[String],
    signature: &str,
) -> Result<(), VaultError> {
    let bad = || VaultError::BadSignature { what: "the list of certificate authorities" };
    let mut bytes = [0; 64];
    hex::decode_to_slice(signature, &mut bytes).map_err(|_| bad())?;
    node_key::verify(public, &announced_bytes(central, fingerprints), &bytes).map_err(|_| bad())
}

fn announced_bytes(central: Uuid, fingerprints: &[String]) -> Vec<u8> {
    let parts = [b"taosync authorities".as_slice(), central.as_bytes()].into_iter();
    crate::seal::context(&parts.chain(fingerprints.iter().map(String::as_bytes)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_about_one_central_and_one_list() {
        let (key, central) = (NodeKey::from_seed(&[1; 32]), Uuid::from_u128(7));
        let list = ["aa".to_owned(), "bb".to_owned()];
        let word = announce_authorities(&key, central, &list);
        let holds =
            |central, list: &[String], word: &str| verify_authorities(&key.public(), central, list, word).is_ok();
        assert!(holds(central, &list, &word));
        assert!(!holds(Uuid::from_u128(8), &list, &word));
        assert!(!holds(central, &list[..1], &word));
        assert!(!holds(central, &["aab".to_owned(), "b".to_owned()], &word));
        assert!(!holds(central, &list, &word.replace(&word[..1], if word.starts_with('0') { "1" } else { "0" })));
        assert!(!holds(central, &list, ""));
    }
}
