//! Receipts: central's signed word that it holds an item (DESIGN §5).
//!
//! One signature covers a batch: the root of a Merkle tree (RFC 9162 §2.1, with BLAKE3) over its receipts. Each receipt
//! keeps the way from its leaf to the root, so it can be shown and verified without the others. The head of central's audit log
//! stands under the same signature: whoever holds a receipt can show later what the log held then.

use std::collections::HashMap;

use taosync_model::Digest;
use taosync_model::audit::AuditHead;
use taosync_model::item::{Receipt, ReceiptProof};

use crate::VaultError;
use crate::merkle;
use crate::node_key::{self, NodeKey};

/// Receipts under one signature at most: signing and verifying cost next to nothing per receipt, and a proof is six
/// hashes long.
pub const BATCH: usize = 64;

/// Signs receipts as one batch and gives each its proof; what stood there is replaced. Gives the signature, hex; it is
/// empty when there are no receipts.
pub fn sign_batch(key: &NodeKey, audit: AuditHead, receipts: &mut [Receipt]) -> String {
    let Some((root, paths)) = tree_of(receipts) else { return String::new() };
    let signature = hex::encode(key.sign(&signed_bytes(paths.len() as u32, &root, &audit)));
    attach(receipts, paths, &signature, audit);
    signature
}

/// Gives receipts that came as one batch their proofs, when the holder of `public` signed exactly this batch.
pub fn prove_batch(
    public: &[u8; 32],
    signature: &str,
    audit: AuditHead,
    receipts: &mut [Receipt],
) -> Result<(), VaultError> {
    let (root, paths) = tree_of(receipts).ok_or_else(bad)?;
    verify_root(public, paths.len() as u32, &root, &audit, signature)?;
    attach(receipts, paths, signature, audit);
    Ok(())
}

/// Whether a receipt was signed by the holder of `public` exactly as it stands.
pub fn verify_receipt(public: &[u8; 32], receipt: &Receipt) -> Result<(), VaultError> {
    let (proof, root) = root_of(receipt).ok_or_else(bad)?;
    verify_root(public, proof.of, &root, &proof.audit, &proof.signature)
}

/// As [`verify_receipt`] for each; receipts that share a signature cost one verification together.
pub fn verify_receipts(public: &[u8; 32], receipts: &[Receipt]) -> Vec<bool> {
    let mut known: HashMap<(&str, u32, Digest, AuditHead), bool> = HashMap::new();
    let verify = |receipt| {
        let Some((proof, root)) = root_of(receipt) else { return false };
        let is_signed = || verify_root(public, proof.of, &root, &proof.audit, &proof.signature).is_ok();
        *known.entry((&proof.signature, proof.of, root, proof.audit)).or_insert_with(is_signed)
    };
    receipts.iter().map(verify).collect()
}

fn bad() -> VaultError {
    VaultError::BadSignature { what: "the receipt" }
}

fn verify_root(
    public: &[u8; 32],
    leaves: u32,
    root: &Digest,
    audit: &AuditHead,
    signature: &str,
) -> Result<(), VaultError> {
    let mut bytes = [0; 64];
    hex::decode_to_slice(signature, &mut bytes).map_err(|_| bad())?;
    node_key::verify(public, &signed_bytes(leaves, root, audit), &bytes).map_err(|_| bad())
}

/// What the signature is over: a domain, the number of leaves, the root, the head of the audit log.
fn signed_bytes(leaves: u32, root: &Digest, audit: &AuditHead) -> Vec<u8> {
    let (no, digest) = (audit.no.to_le_bytes(), audit.digest.0);
    [b"taosync receipts".as_slice(), &leaves.to_le_bytes(), &root.0, &no, &digest].concat()
}

fn attach(receipts: &mut [Receipt], paths: Vec<Vec<Digest>>, signature: &str, audit: AuditHead) {
    let of = paths.len() as u32;
    for (leaf, (receipt, path)) in receipts.iter_mut().zip(paths).enumerate() {
        receipt.proof = Some(ReceiptProof { signature: signature.to_owned(), leaf: leaf as u32, of, path, audit });
    }
}

/// The root over receipts, and for each the hashes beside its way up.
fn tree_of(receipts: &[Receipt]) -> Option<(Digest, Vec<Vec<Digest>>)> {
    let leaves: Vec<Digest> = receipts.iter().map(leaf_of).collect();
    merkle::root_and_paths(&leaves)
}

/// The root that a receipt's own proof leads to.
fn root_of(receipt: &Receipt) -> Option<(&ReceiptProof, Digest)> {
    let proof = receipt.proof.as_ref()?;
    let root = merkle::climb(leaf_of(receipt), proof.leaf as usize, proof.of as usize, &proof.path)?;
    Some((proof, root))
}

fn leaf_of(receipt: &Receipt) -> Digest {
    merkle::leaf(&receipt.proved_bytes())
}

#[cfg(test)]
mod tests;
