//! `GET time?nonce=…`: what time it is, signed by central, for a machine whose own clock is outside of the dates in central's
//! certificate. Whoever asks chooses the nonce, so that no older answer can be shown.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Bytes of a nonce; 32 hexadecimal characters in the address.
pub const NONCE_BYTES: usize = 16;

/// The query.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TimeQuery {
    /// Random bytes of whoever asks, hexadecimal.
    pub nonce: String,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTime {
    /// Node id of central.
    pub central: Uuid,
    /// Now, to the second.
    pub time: Timestamp,
    /// Ed25519 by central's node key over [`signed_bytes`], hexadecimal.
    pub signature: String,
}

/// What is signed: a domain, then central, nonce and seconds since 1970.
pub fn signed_bytes(central: Uuid, nonce: &[u8; NONCE_BYTES], time: Timestamp) -> Vec<u8> {
    [b"taosync time 1\n".as_slice(), central.as_bytes(), nonce, &time.as_second().to_le_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_fixed() {
        let time = Timestamp::from_second(258).unwrap();
        let bytes = signed_bytes(Uuid::from_u128(1), &[2; NONCE_BYTES], time);
        let expected = [b"taosync time 1\n".as_slice(), &[0; 15], &[1], &[2; 16], &[2, 1, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(bytes, expected);
    }
}
