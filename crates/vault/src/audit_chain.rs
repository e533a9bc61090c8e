//! The chain of an audit log: every entry holds the digest of the one before, and is signed with the node key. Whoever
//! changes an entry changes all digests after it, and cannot sign them.

use taosync_model::Digest;
use taosync_model::audit::AuditHead;

use crate::VaultError;
use crate::node_key::{self, NodeKey};

/// What is digested of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The entry before.
    pub previous: AuditHead,
    /// Milliseconds since 1970, UTC.
    pub at: i64,
    /// Who, what, to what, and further facts, in this order.
    pub texts: [&'a str; 4],
}

impl Link<'_> {
    /// The head of the log once this entry stands in it: every field counts, each length-prefixed.
    pub fn head(&self) -> AuditHead {
        let no = self.previous.no.saturating_add(1);
        let mut hasher = blake3::Hasher::new();
        let mut part = |field: &[u8]| {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field);
        };
        part(b"taosync audit entry");
        part(&self.previous.digest.0);
        part(&no.to_le_bytes());
        part(&self.at.to_le_bytes());
        for text in self.texts {
            part(text.as_bytes());
        }
        AuditHead { no, digest: Digest(*hasher.finalize().as_bytes()) }
    }
}

/// Signs the log up to a head.
pub fn sign(key: &NodeKey, head: &AuditHead) -> [u8; 64] {
    key.sign(&signed_bytes(head))
}

/// Whether the holder of `public` signed the log up to a head.
pub fn verify(public: &[u8; 32], head: &AuditHead, signature: &[u8; 64]) -> Result<(), VaultError> {
    node_key::verify(public, &signed_bytes(head), signature)
        .map_err(|_| VaultError::BadSignature { what: "the audit log" })
}

fn signed_bytes(head: &AuditHead) -> Vec<u8> {
    [b"taosync audit log".as_slice(), &head.no.to_le_bytes(), &head.digest.0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link<'static> {
        Link { previous: AuditHead { no: 1, digest: Digest::of(b"before") }, at: 5, texts: ["a", "b", "c", "{}"] }
    }

    #[test]
    fn every_field_counts() {
        let changes: [fn(&mut Link<'_>); 8] = [
            |l| l.previous.no = 2,
            |l| l.previous.digest = Digest::of(b"other"),
            |l| l.at = 6,
            |l| l.texts[0] = "x",
            |l| l.texts[1] = "x",
            |l| l.texts[2] = "x",
            |l| l.texts[3] = "{ }",
            |l| l.texts = ["ab", "", "c", "{}"],
        ];
        assert_eq!(link().head(), link().head());
        for (number, change) in changes.into_iter().enumerate() {
            let mut changed = link();
            change(&mut changed);
            assert_ne!(changed.head(), link().head(), "change {number}");
        }
    }

    #[test]
    fn a_head_is_signed_whole() {
        let key = NodeKey::generate();
        let head = link().head();
        let signature = sign(&key, &head);
        verify(&key.public(), &head, &signature).unwrap();
        assert!(verify(&NodeKey::generate().public(), &head, &signature).is_err());
        assert!(verify(&key.public(), &AuditHead { no: 3, ..head }, &signature).is_err());
        assert!(verify(&key.public(), &AuditHead { digest: Digest::of(b""), ..head }, &signature).is_err());
        for bit in 0..512 {
            let mut flipped = signature;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&key.public(), &head, &flipped).is_err(), "bit {bit}");
        }
    }
}
