//! Signatures of requests (RFC 9449): what proving each of them costs both sides.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Context;
use ed25519_dalek::{Signer as _, SigningKey};

/// Bytes that are signed for a request: header and claims of a proof in base64.
const MESSAGE: usize = 420;

/// Seconds of signing and verifying so many proofs on one core.
pub fn proofs(requests: u64) -> anyhow::Result<f64> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = key.verifying_key();
    let start = Instant::now();
    for number in 0..requests {
        let mut message = vec![b'.'; MESSAGE];
        message.extend_from_slice(&number.to_le_bytes());
        let signature = key.sign(black_box(&message));
        public.verify_strict(&message, black_box(&signature)).context("a signature just made does not verify")?;
    }
    Ok(start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    #[test]
    fn more_proofs_take_longer() {
        assert!(super::proofs(200).expect("signs") > super::proofs(1).expect("signs"));
    }
}
