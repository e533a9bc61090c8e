//! Nonces for proofs (RFC 9449 §8): central's own time, said back to it. A proof with one needs no clock that is right.
//!
//! A nonce is a minute and a keyed hash of it, so that every process with the same keys knows it again, also after a
//! restart, and nothing has to be kept. Whether a proof is used twice is for whoever keeps their identities.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use zeroize::Zeroizing;

use crate::tokens;

/// How long a nonce is good: as long as a token usually is, so that a sync with the token and the nonce of the last one
/// costs no further trip.
pub const NONCE_LIFE: SignedDuration = SignedDuration::from_mins(60);

/// Processes of one central may differ by so many minutes.
const AHEAD: u32 = 2;
/// Minutes are counted in three bytes, and begin anew after 31 years.
const MINUTES: u32 = 1 << 24;
/// Bytes of the minute and of the hash. Each guess costs a request with a proof, so 48 bits are plenty.
const MINUTE: usize = 3;
const HASH: usize = 6;

/// Makes nonces and knows them again.
pub struct Nonces(Zeroizing<[u8; 32]>);

impl Nonces {
    pub(crate) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// The nonce of this minute, 12 characters.
    pub fn current(&self, now: Timestamp) -> String {
        let minute = minute(now);
        let [_, bytes @ ..] = minute.to_be_bytes();
        let mut nonce = [0; MINUTE + HASH];
        nonce[..MINUTE].copy_from_slice(&bytes);
        nonce[MINUTE..].copy_from_slice(&self.hash(minute));
        URL_SAFE_NO_PAD.encode(nonce)
    }

    /// Whether a text is a nonce that was given here within [`NONCE_LIFE`].
    pub fn is_good(&self, text: &str, now: Timestamp) -> bool {
        let mut nonce = [0; MINUTE + HASH];
        if text.len() != nonce.len() / 3 * 4 || URL_SAFE_NO_PAD.decode_slice(text, &mut nonce) != Ok(nonce.len()) {
            return false;
        }
        let given = u32::from_be_bytes([0, nonce[0], nonce[1], nonce[2]]);
        let age = minute(now).wrapping_add(AHEAD).wrapping_sub(given) % MINUTES;
        let life = u32::try_from(NONCE_LIFE.as_mins()).unwrap_or(0);
        tokens::equal(&self.hash(given), &nonce[MINUTE..]) && age <= life + AHEAD
    }

    fn hash(&self, minute: u32) -> [u8; HASH] {
        let full = blake3::keyed_hash(&self.0, &minute.to_be_bytes());
        let mut hash = [0; HASH];
        hash.copy_from_slice(&full.as_bytes()[..HASH]);
        hash
    }
}

fn minute(now: Timestamp) -> u32 {
    let minutes = now.as_second().div_euclid(60).rem_euclid(i64::from(MINUTES));
    // Unwrap safety: a number below 2^24.
    u32::try_from(minutes).unwrap_or(0)
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nonces() -> Nonces {
        Nonces::new(Zeroizing::new([3; 32]))
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_778_572_800 + minutes * 60).unwrap()
    }

    #[test]
    fn a_nonce_is_good_for_an_hour_with_these_keys() {
        let nonce = nonces().current(at(0));
        assert_eq!(nonce.len(), 12);
        for (minutes, good) in [(-3, false), (-2, true), (0, true), (60, true), (61, false), (1 << 23, false)] {
            assert_eq!(nonces().is_good(&nonce, at(minutes)), good, "{minutes}");
        }
        assert!(!Nonces::new(Zeroizing::new([4; 32])).is_good(&nonce, at(0)));
        assert_ne!(nonce, nonces().current(at(1)));
    }

    #[test]
    fn any_year_will_do() {
        for now in
            [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::from_second(4_086_000_000).unwrap(), Timestamp::MAX]
        {
            assert!(nonces().is_good(&nonces().current(now), now), "{now}");
        }
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_refused(bit in 0_usize..72, minutes in 0_i64..1_000_000) {
            let mut bytes = URL_SAFE_NO_PAD.decode(nonces().current(at(minutes))).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!nonces().is_good(&URL_SAFE_NO_PAD.encode(bytes), at(minutes)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            prop_assert!(!nonces().is_good(&text, at(0)));
        }
    }
}
