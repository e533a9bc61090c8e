//! Proofs alone, without a central: bound to a token, and with the words of keys that the node had before.
//!
//! An input is one byte that says what is right already, then the proof. See [`SIGNED`] and [`BOUND`].

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use taosync_vault::node_key::{NodeKey, thumbprint};
use taosync_vault::proof::{MAX_JTI_BYTES, MAX_PROOF_BYTES, Proof, ProofError, VerifiedProof};
use taosync_vault::succession::{Follows, FormerKey, MAX_FORMER, vouch};
use uuid::Uuid;

use crate::shown;

/// The proof stands as `{header}TAB{payload}` in JSON and is signed here: a fuzzer signs nothing. `KEY` stands for the key,
/// `NODE` for the node, `ATH` for the hash of the token, `FORMER` for the word of a key that the node had before.
const SIGNED: u8 = 1;
/// The request carries a token, to which the proof must be bound.
const BOUND: u8 = 2;

const ADDRESS: &str = "https://central.example/api/v1/feed";
const TOKEN: &str = "token";
/// SHA-256 of the token in base64url, as RFC 9449 §4.2 has it.
const TOKEN_HASH: &str = "PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A";
const NODE: Uuid = Uuid::from_u128(7);

/// Checks the proof.
pub fn check(input: &[u8]) {
    let Some((jws, token)) = read(input) else { return };
    let outcome = verify(&jws, token.as_ref());
    assert_eq!(outcome, verify(&jws, token.as_ref()));
    match outcome {
        Err(error) => drop(shown(&error)),
        Ok(proof) => {
            sound(&jws, &proof);
            if token.is_some() {
                let other = SecretString::from("another");
                assert!(matches!(verify(&jws, Some(&other)), Err(ProofError::OtherToken)), "good for any token");
            }
            flipped(&jws, &proof, |jws| verify(jws, token.as_ref()));
        }
    }
}

/// The proof and the token of an input.
fn read(input: &[u8]) -> Option<(String, Option<SecretString>)> {
    let (kind, text) = input.split_first()?;
    let text = std::str::from_utf8(text).ok()?;
    let jws = if kind & SIGNED == 0 { text.to_owned() } else { sign(&NodeKey::from_seed(&[7; 32]), text) };
    Some((jws, (kind & BOUND != 0).then(|| SecretString::from(TOKEN))))
}

fn verify(jws: &str, token: Option<&SecretString>) -> Result<VerifiedProof, ProofError> {
    Proof::verify(jws, "GET", ADDRESS, Timestamp::UNIX_EPOCH, SignedDuration::MAX, token)
}

fn sound(jws: &str, proof: &VerifiedProof) {
    assert!(jws.len() <= MAX_PROOF_BYTES && (1..=MAX_JTI_BYTES).contains(&proof.jti.len()));
    assert_eq!(proof.thumbprint, thumbprint(&proof.public));
    assert!(proof.former.len() <= MAX_FORMER);
    assert_eq!(proof.former.len(), proof.claims.former.len(), "a word that is not true is passed over");
    assert!(proof.former.is_empty() || proof.claims.node.is_some(), "words about no node");
}

/// One bit at a place that the proof itself chooses.
fn flipped(jws: &str, proof: &VerifiedProof, verify: impl Fn(&str) -> Result<VerifiedProof, ProofError>) {
    let place = jws.bytes().fold(jws.len(), |sum, byte| sum.wrapping_mul(257).wrapping_add(usize::from(byte)));
    let bit = place % (jws.len() * 8);
    let mut other = jws.as_bytes().to_vec();
    other[bit / 8] ^= 1 << (bit % 8);
    let Ok(other) = String::from_utf8(other) else { return };
    assert!(verify(&other).is_err(), "bit {bit} of the proof {} was changed and it holds", proof.jti);
}

fn sign(key: &NodeKey, text: &str) -> String {
    let former = FormerKey { key: NodeKey::from_seed(&[8; 32]), follows: Follows::SameNode };
    let text = text.replace("KEY", &URL_SAFE_NO_PAD.encode(key.public())).replace("NODE", &NODE.to_string());
    let text = text.replace("ATH", TOKEN_HASH).replace("FORMER", &vouch(&former, NODE, &key.public()));
    let (header, payload) = text.split_once('\t').unwrap_or((&text, ""));
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An input that is refused at the door would show nothing.
    #[test]
    fn kept_inputs_reach_what_they_are_for() {
        let outcome = |input: &[u8]| {
            let (jws, token) = read(input).expect("a proof");
            verify(&jws, token.as_ref())
        };
        assert!(outcome(include_bytes!("../../corpus/proof/bound")).is_ok_and(|proof| proof.nonce.is_some()));
        for (input, words) in [
            (include_bytes!("../../corpus/proof/plain").as_slice(), 0),
            (include_bytes!("../../corpus/proof/former"), 1),
            (include_bytes!("../../corpus/proof/former-twice"), 2),
        ] {
            assert_eq!(outcome(input).map(|proof| proof.former.len()), Ok(words));
        }
    }
}
