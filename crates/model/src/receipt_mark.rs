//! The newest receipt a local server holds, in short: what it shows so that a central that was put back to an older state
//! is found out, also when that central has given the same numbers to others since.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::Digest;
use crate::continuation::Malformed;

/// Hexadecimal characters of the item's digest, and of the epoch. Enough to tell receipts apart; nobody gains by a
/// receipt that looks like another.
const DIGEST_CHARACTERS: usize = 16;
const EPOCH_CHARACTERS: usize = 8;

/// `NUMBER.DIGEST.EPOCH`, the latter two by their beginnings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptMark {
    /// Number of the receipt.
    pub receipt_no: i64,
    digest: String,
    epoch: String,
}

impl ReceiptMark {
    /// The mark of a receipt.
    pub fn new(receipt_no: i64, digest: Digest, epoch: Uuid) -> Self {
        let mut digest = digest.to_hex();
        digest.truncate(DIGEST_CHARACTERS);
        Self { receipt_no, digest, epoch: start_of(epoch) }
    }

    /// Whether the receipt belongs to this history.
    pub fn is_of(&self, epoch: Uuid) -> bool {
        self.epoch == start_of(epoch)
    }

    /// Whether the receipt is for an item with this digest.
    pub fn names(&self, digest: &[u8]) -> bool {
        hex::encode(digest).starts_with(&self.digest)
    }
}

fn start_of(epoch: Uuid) -> String {
    let mut text = epoch.simple().to_string();
    text.truncate(EPOCH_CHARACTERS);
    text
}

impl fmt::Display for ReceiptMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.receipt_no, self.digest, self.epoch)
    }
}

impl FromStr for ReceiptMark {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next().unwrap_or_default();
        let (number, digest, epoch) = (next(), next(), next());
        let is_hex = |text: &str, length| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
        let is_number = number.len() <= 18 && number.bytes().all(|b| b.is_ascii_digit());
        if !is_number || !is_hex(digest, DIGEST_CHARACTERS) || !is_hex(epoch, EPOCH_CHARACTERS) {
            return Err(Malformed);
        }
        let receipt_no = number.parse().map_err(|_| Malformed)?;
        Ok(Self { receipt_no, digest: digest.to_ascii_lowercase(), epoch: epoch.to_ascii_lowercase() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_its_receipt_and_no_other() {
        let (digest, epoch) = (Digest::of(b"item"), Uuid::from_u128(7 << 100));
        let mark: ReceiptMark = ReceiptMark::new(42, digest, epoch).to_string().parse().unwrap();
        assert_eq!(mark, ReceiptMark::new(42, digest, epoch));
        assert!(mark.is_of(epoch) && !mark.is_of(Uuid::from_u128(8 << 100)));
        assert!(mark.names(&digest.0) && !mark.names(&Digest::of(b"other").0) && !mark.names(b""));
    }

    #[test]
    fn what_is_not_a_mark_is_refused() {
        for text in [
            "",
            "42",
            "42.00",
            "42.0123456789abcdef.0123456",
            "-1.0123456789abcdef.01234567",
            "x.0123456789abcdef.01234567",
            "42.0123456789abcdeg.01234567",
            "42.0123456789abcdef.01234567.x",
        ] {
            assert_eq!(text.parse::<ReceiptMark>(), Err(Malformed), "{text}");
        }
    }
}
