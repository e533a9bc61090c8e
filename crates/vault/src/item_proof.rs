//! A node's word for an item it hands in: Ed25519 over the envelope, and so over the digest of the payload (DESIGN §5).

use taosync_model::item::Envelope;

use crate::VaultError;
use crate::node_key::{self, NodeKey};

/// Signs an envelope; what stood there is replaced.
pub fn sign(key: &NodeKey, envelope: &mut Envelope) {
    envelope.signature = Some(hex::encode(key.sign(&envelope.signed_bytes())));
}

/// Whether the holder of `public` signed the envelope exactly as it stands.
pub fn verify(public: &[u8; 32], envelope: &Envelope) -> Result<(), VaultError> {
    let bad = || VaultError::BadSignature { what: "the item" };
    let mut signature = [0; 64];
    let text = envelope.signature.as_deref().ok_or_else(bad)?;
    hex::decode_to_slice(text, &mut signature).map_err(|_| bad())?;
    node_key::verify(public, &envelope.signed_bytes(), &signature).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;
    use taosync_model::OrgId;
    use taosync_model::item::ItemKind;
    use uuid::Uuid;

    fn envelope() -> Envelope {
        let org = OrgId::new("school-7").unwrap();
        let envelope = Envelope::first(ItemKind::Attempt, Uuid::from_u128(1), org, Uuid::from_u128(2), b"sealed");
        Envelope { delivery: Some(String::new()), ..envelope }
    }

    #[test]
    fn every_field_is_signed() {
        let key = NodeKey::generate();
        let mut signed = envelope();
        sign(&key, &mut signed);
        verify(&key.public(), &signed).unwrap();
        assert!(verify(&NodeKey::generate().public(), &signed).is_err());
        let json = serde_json::to_value(&signed).unwrap();
        let others = serde_json::json!({
            "kind": "log", "item": Uuid::nil(), "org": "school-8", "origin": Uuid::nil(), "version": 2,
            "previous": signed.digest, "digest": "00".repeat(32), "size": 7, "form": 2, "execution": Uuid::nil(),
            "delivery": "d", "test_taker": "", "state": "finished", "started_at": "2026-05-12T08:00:00Z",
            "finished_at": "2026-05-12T08:00:00Z", "counts": {"items": 0, "variables": 1, "log": 0},
            "signature": "00".repeat(64),
        });
        for (field, value) in others.as_object().unwrap() {
            let mut changed = json.clone();
            changed[field] = value.clone();
            let changed: Envelope = serde_json::from_value(changed).unwrap();
            assert!(verify(&key.public(), &changed).is_err(), "{field}");
        }
        let missing = Envelope { delivery: None, ..signed.clone() };
        assert!(verify(&key.public(), &missing).is_err(), "missing is not empty");
        assert!(verify(&key.public(), &Envelope { signature: None, ..signed }).is_err(), "unsigned");
    }
}
