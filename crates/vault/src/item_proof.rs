//! A node's word for the items it hands in (DESIGN §5): Ed25519 over the root of a Merkle tree of their envelopes, and so
//! over the digests of their payloads. One signature covers a batch; each item can be shown with its own way to the root,
//! without the others.

use taosync_model::Digest;
use taosync_model::item::{Envelope, ItemProof};

use crate::node_key::{self, NodeKey};
use crate::{VaultError, merkle};

/// Items under one signature at most.
pub const BATCH: usize = 64;

/// The leaf of an item: the hash of everything its envelope says.
pub fn leaf_of(envelope: &Envelope) -> Digest {
    merkle::leaf(&envelope.signed_bytes())
}

/// Signs leaves as one batch; the signature in hex, empty when there are none.
pub fn sign_batch(key: &NodeKey, leaves: &[Digest]) -> String {
    match merkle::root(leaves) {
        Some(root) => hex::encode(key.sign(&signed_bytes(leaves.len() as u32, &root))),
        None => String::new(),
    }
}

/// Whether the holder of `public` signed exactly these leaves as one batch; gives the signature as bytes.
pub fn verify_batch(public: &[u8; 32], signature: &str, leaves: &[Digest]) -> Result<[u8; 64], VaultError> {
    let root = merkle::root(leaves).ok_or_else(bad)?;
    verify_root(public, signature, leaves.len() as u32, &root)
}

/// What shows one item of a batch alone; none when the batch has no such leaf.
pub fn proof_of(signer: &[u8; 32], signature: &[u8], leaves: &[Digest], leaf: u32) -> Option<ItemProof> {
    let path = merkle::path(leaves, leaf as usize)?;
    let (signer, signature) = (hex::encode(signer), hex::encode(signature));
    Some(ItemProof { signer, signature, leaf, of: leaves.len() as u32, path })
}

/// Whether the holder of `public` signed the envelope exactly as it stands.
pub fn verify(public: &[u8; 32], envelope: &Envelope, proof: &ItemProof) -> Result<(), VaultError> {
    let root = merkle::climb(leaf_of(envelope), proof.leaf as usize, proof.of as usize, &proof.path);
    verify_root(public, &proof.signature, proof.of, &root.ok_or_else(bad)?).map(drop)
}

fn bad() -> VaultError {
    VaultError::BadSignature { what: "the item" }
}

fn verify_root(public: &[u8; 32], signature: &str, leaves: u32, root: &Digest) -> Result<[u8; 64], VaultError> {
    let mut bytes = [0; 64];
    hex::decode_to_slice(signature, &mut bytes).map_err(|_| bad())?;
    node_key::verify(public, &signed_bytes(leaves, root), &bytes).map_err(|_| bad())?;
    Ok(bytes)
}

/// What the signature is over: a domain, the number of leaves, the root.
fn signed_bytes(leaves: u32, root: &Digest) -> Vec<u8> {
    [b"taosync items".as_slice(), &leaves.to_le_bytes(), &root.0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use taosync_model::OrgId;
    use taosync_model::item::ItemKind;
    use uuid::Uuid;

    fn envelope(number: u128) -> Envelope {
        let org = OrgId::new("school-7").unwrap();
        let envelope = Envelope::first(ItemKind::Attempt, Uuid::from_u128(number), org, Uuid::from_u128(2), b"sealed");
        Envelope { delivery: Some(String::new()), ..envelope }
    }

    fn signed(key: &NodeKey, envelopes: &[Envelope]) -> Vec<ItemProof> {
        let leaves: Vec<Digest> = envelopes.iter().map(leaf_of).collect();
        let signature = verify_batch(&key.public(), &sign_batch(key, &leaves), &leaves).unwrap();
        (0..).map_while(|leaf| proof_of(&key.public(), &signature, &leaves, leaf)).collect()
    }

    #[test]
    fn each_item_of_a_batch_verifies_alone_and_no_other_does() {
        let (key, other) = (NodeKey::generate(), NodeKey::generate());
        let envelopes: Vec<Envelope> = (0..BATCH as u128).map(envelope).collect();
        let proofs = signed(&key, &envelopes);
        assert_eq!(proofs.len(), BATCH);
        for (place, (envelope, proof)) in envelopes.iter().zip(&proofs).enumerate() {
            verify(&key.public(), envelope, proof).unwrap();
            assert!(verify(&other.public(), envelope, proof).is_err());
            assert!(verify(&key.public(), envelope, &proofs[(place + 1) % BATCH]).is_err());
            let json = serde_json::to_string(proof).unwrap();
            verify(&key.public(), envelope, &serde_json::from_str(&json).unwrap()).unwrap();
        }
    }

    #[test]
    fn a_batch_is_signed_as_a_whole() {
        let key = NodeKey::generate();
        let leaves: Vec<Digest> = (0..5).map(|n| leaf_of(&envelope(n))).collect();
        let signature = sign_batch(&key, &leaves);
        verify_batch(&key.public(), &signature, &leaves).unwrap();
        assert!(verify_batch(&key.public(), &signature, &leaves[..4]).is_err(), "one left out");
        let swapped: Vec<Digest> = [1, 0, 2, 3, 4].map(|place| leaves[place]).to_vec();
        assert!(verify_batch(&key.public(), &signature, &swapped).is_err());
        assert!(verify_batch(&key.public(), "", &leaves).is_err());
        assert!(sign_batch(&key, &[]).is_empty() && verify_batch(&key.public(), &signature, &[]).is_err());
        assert!(verify_batch(&NodeKey::generate().public(), &signature, &leaves).is_err());
    }

    #[test]
    fn every_field_is_signed() {
        let key = NodeKey::generate();
        let signed_envelope = envelope(1);
        let proof = signed(&key, std::slice::from_ref(&signed_envelope)).remove(0);
        verify(&key.public(), &signed_envelope, &proof).unwrap();
        let json = serde_json::to_value(&signed_envelope).unwrap();
        let others = serde_json::json!({
            "kind": "log", "item": Uuid::nil(), "org": "school-8", "origin": Uuid::nil(), "version": 2,
            "previous": signed_envelope.digest, "digest": "00".repeat(32), "size": 7, "form": 2,
            "execution": Uuid::nil(), "delivery": "d", "test_taker": "", "state": "finished",
            "started_at": "2026-05-12T08:00:00Z", "finished_at": "2026-05-12T08:00:00Z",
            "counts": {"items": 0, "variables": 1, "log": 0},
        });
        for (field, value) in others.as_object().unwrap() {
            let mut changed = json.clone();
            changed[field] = value.clone();
            let changed: Envelope = serde_json::from_value(changed).unwrap();
            assert!(verify(&key.public(), &changed, &proof).is_err(), "{field}");
        }
        let missing = Envelope { delivery: None, ..signed_envelope };
        assert!(verify(&key.public(), &missing, &proof).is_err(), "missing is not empty");
    }
}
