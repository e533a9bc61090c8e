//! Results keys: the age identities that open results, and central's signed word for whom results are sealed (DESIGN §5).

use secrecy::SecretString;
use uuid::Uuid;

use crate::node_identity::NodeIdentity;
use crate::node_key::{self, NodeKey};
use crate::{VaultError, sealed_file};

/// Identities of one file at most.
const MAX_IDENTITIES: usize = 64;

/// The secret side of results keys. Wiped from memory when dropped.
#[derive(Clone, Debug, Default)]
pub struct ResultsIdentities(Vec<NodeIdentity>);

impl ResultsIdentities {
    /// Reads the text of a file that `age-keygen` or taosync has made: one identity a line, and comments.
    pub fn from_text(text: &str) -> Result<Self, VaultError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let identities = lines.map(|line| NodeIdentity::from_text(&SecretString::from(line)));
        let identities = identities.collect::<Option<Vec<_>>>().ok_or(VaultError::BadIdentity)?;
        if identities.is_empty() || identities.len() > MAX_IDENTITIES {
            return Err(VaultError::BadIdentity);
        }
        Ok(Self(identities))
    }

    /// For whom one seals so that these can open.
    pub fn recipients(&self) -> Vec<String> {
        self.0.iter().map(NodeIdentity::recipient).collect()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These and further ones.
    #[must_use]
    pub fn with(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Opens what was sealed for any of these; at most `max_plain` bytes.
    pub fn open(&self, sealed: &[u8], max_plain: usize) -> Result<Vec<u8>, VaultError> {
        sealed_file::decrypt_with(&self.0, sealed, max_plain)
    }
}

/// Central's signature over the recipients that results are sealed for, hex.
pub fn announce(key: &NodeKey, central: Uuid, recipients: &[String]) -> String {
    hex::encode(key.sign(&announced_bytes(central, recipients)))
}

/// Whether the central that holds `public` announced exactly these recipients.
pub fn verify_announced(
    public: &[u8; 32],
    central: Uuid,
    recipients: &[String],
    signature: &str,
) -> Result<(), VaultError> {
    let bad = || VaultError::BadSignature { what: "the list of results keys" };
    let mut bytes = [0; 64];
    hex::decode_to_slice(signature, &mut bytes).map_err(|_| bad())?;
    node_key::verify(public, &announced_bytes(central, recipients), &bytes).map_err(|_| bad())
}

fn announced_bytes(central: Uuid, recipients: &[String]) -> Vec<u8> {
    let parts = [b"taosync results keys".as_slice(), central.as_bytes()].into_iter();
    crate::seal::context(&parts.chain(recipients.iter().map(String::as_bytes)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn a_file_of_identities_opens_what_is_sealed_for_any_of_them() {
        let (a, b) = (NodeIdentity::generate(), NodeIdentity::generate());
        let text = format!("# made by hand\n\n{}\n{}\n", a.to_text().expose_secret(), b.to_text().expose_secret());
        let both = ResultsIdentities::from_text(&text).unwrap();
        assert_eq!(both.recipients(), [a.recipient(), b.recipient()]);
        for recipient in both.recipients() {
            let sealed = sealed_file::encrypt_to(&[recipient], b"answers").unwrap();
            assert_eq!(both.open(&sealed, 7).unwrap(), b"answers");
            assert!(both.open(&sealed, 6).is_err(), "bounded");
            assert!(ResultsIdentities::default().open(&sealed, 7).is_err());
        }
        for bad in ["", "# nothing", "age1abc", "AGE-SECRET-KEY-1QQPQQ"] {
            let message = ResultsIdentities::from_text(bad).unwrap_err().to_string();
            assert!(!message.contains("QQPQQ"), "{message}");
        }
        assert!(!format!("{both:?}").contains("AGE-SECRET"));
    }

    #[test]
    fn a_list_is_announced_by_one_central_and_as_a_whole() {
        let key = NodeKey::generate();
        let (central, list) = (Uuid::from_u128(1), vec!["age1a".to_owned(), "age1b".to_owned()]);
        let signature = announce(&key, central, &list);
        verify_announced(&key.public(), central, &list, &signature).unwrap();
        for (central, list) in [
            (Uuid::from_u128(2), list.clone()),
            (central, list[..1].to_vec()),
            (central, vec!["age1aage1b".to_owned()]),
            (central, Vec::new()),
        ] {
            assert!(verify_announced(&key.public(), central, &list, &signature).is_err());
        }
        assert!(verify_announced(&NodeKey::generate().public(), central, &list, &signature).is_err());
    }
}
