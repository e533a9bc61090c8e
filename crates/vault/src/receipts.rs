//! Receipts: central's signed word that it holds an item (DESIGN §5).

use taosync_model::item::Receipt;

use crate::VaultError;
use crate::node_key::{self, NodeKey};

/// Signs a receipt with central's key; whatever stood in `signature` is replaced.
pub fn sign_receipt(key: &NodeKey, receipt: &mut Receipt) {
    receipt.signature = hex::encode(key.sign(&receipt.signed_bytes()));
}

/// Whether a receipt was signed by the holder of `public` exactly as it stands.
pub fn verify_receipt(public: &[u8; 32], receipt: &Receipt) -> Result<(), VaultError> {
    let bad = || VaultError::BadSignature { what: "the receipt" };
    let mut signature = [0; 64];
    hex::decode_to_slice(&receipt.signature, &mut signature).map_err(|_| bad())?;
    node_key::verify(public, &receipt.signed_bytes(), &signature).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;
    use taosync_model::item::{ItemKind, ReceiptStatus};
    use taosync_model::{Digest, OrgId};
    use uuid::Uuid;

    fn receipt() -> Receipt {
        Receipt {
            v: 1,
            central: Uuid::from_u128(1),
            epoch: Uuid::from_u128(2),
            receipt_no: 3,
            org: OrgId::new("org").unwrap(),
            kind: ItemKind::Attempt,
            item: Uuid::from_u128(4),
            version: 5,
            digest: Digest::of(b"payload"),
            received_at: "2026-05-12T08:00:00Z".parse().unwrap(),
            status: ReceiptStatus::Stored,
            out_of_scope: false,
            signature: String::new(),
        }
    }

    #[test]
    fn a_signed_receipt_verifies_after_json() {
        let key = NodeKey::generate();
        let mut receipt = receipt();
        sign_receipt(&key, &mut receipt);
        let travelled: Receipt = serde_json::from_str(&serde_json::to_string(&receipt).unwrap()).unwrap();
        verify_receipt(&key.public(), &travelled).unwrap();
        assert!(verify_receipt(&NodeKey::generate().public(), &travelled).is_err());
    }

    #[test]
    fn every_field_is_signed() {
        let key = NodeKey::generate();
        let mut signed = receipt();
        sign_receipt(&key, &mut signed);
        let changes: [fn(&mut Receipt); 13] = [
            |r| r.v = 2,
            |r| r.central = Uuid::nil(),
            |r| r.epoch = Uuid::nil(),
            |r| r.receipt_no = 4,
            |r| r.org = OrgId::everything(),
            |r| r.kind = ItemKind::Log,
            |r| r.item = Uuid::nil(),
            |r| r.version = 6,
            |r| r.digest = Digest::of(b"other"),
            |r| r.received_at = "2026-05-12T08:00:00.000000001Z".parse().unwrap(),
            |r| r.status = ReceiptStatus::Duplicate,
            |r| r.out_of_scope = true,
            |r| r.signature.truncate(126),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut changed = signed.clone();
            change(&mut changed);
            assert!(verify_receipt(&key.public(), &changed).is_err(), "change {number}");
        }
    }
}
