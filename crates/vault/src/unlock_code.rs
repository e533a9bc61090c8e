//! Unlock codes: what a person reads out on the day when the line is dead, to open a delivery key that came before its
//! release (DESIGN §6). A code is for one machine and one package, has 75 bits and a check character, and opens nothing
//! without that machine's own key. It is made from the delivery key, so it is kept nowhere.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::code_text::{SYMBOLS, check_of, line_of, symbol_of};
use crate::delivery_key::DeliveryKey;
use crate::node_identity::NodeIdentity;
use crate::seal::{self, KEY_BYTES, NONCE_BYTES, TAG_BYTES};
use crate::{VaultError, random, sealed_file};

/// Characters that are looked at, with all hyphens and spaces a person may put.
const MAX_TYPED: usize = 64;

const CODE_CONTEXT: &str = "taosync 2026 unlock code 1";
const KEY_CONTEXT: &str = "taosync 2026 key under an unlock code 1";
const LABEL: &[u8] = b"taosync locked delivery key 1\n";

/// Which package a code opens, and on which machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locked<'a> {
    /// URI of the delivery.
    pub delivery: &'a str,
    /// Version of its package.
    pub version: u32,
    /// The machine.
    pub node: Uuid,
}

impl Locked<'_> {
    fn context(&self) -> Vec<u8> {
        seal::context(&[self.delivery.as_bytes(), &self.version.to_le_bytes(), self.node.as_bytes()])
    }
}

/// A code: a line of 75 random bits. Nobody chooses them, so that trying codes is hopeless without a slow hash. Wiped from
/// memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct UnlockCode(Zeroizing<[u8; SYMBOLS]>);

/// What is wrong with a code as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Not as long as a code.
    #[error("a code has 16 characters in four groups")]
    Length,
    /// A character that no code has.
    #[error("a code has digits and letters only")]
    Character,
    /// A character was mistyped or two were swapped.
    #[error("a character of the code is wrong, or two are swapped")]
    Mistyped,
}

impl UnlockCode {
    /// `XXXX-XXXX-XXXX-XXXX`, to be read out. The last character checks the others.
    pub fn to_text(&self) -> Zeroizing<String> {
        line_of(&self.0)
    }

    fn key(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        Zeroizing::new(blake3::derive_key(KEY_CONTEXT, self.0.as_slice()))
    }
}

impl FromStr for UnlockCode {
    type Err = CodeError;

    /// Reads a code in any case, with or without hyphens and spaces, and with O for 0, I and L for 1.
    fn from_str(text: &str) -> Result<Self, CodeError> {
        if text.len() > MAX_TYPED {
            return Err(CodeError::Length);
        }
        let typed = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
        let symbols: Option<Vec<u8>> = typed.map(symbol_of).collect();
        let symbols = Zeroizing::new(symbols.ok_or(CodeError::Character)?);
        let (check, symbols) = symbols.split_last().ok_or(CodeError::Length)?;
        let symbols: [u8; SYMBOLS] = symbols.try_into().map_err(|_| CodeError::Length)?;
        if check_of(&symbols) == *check { Ok(Self(Zeroizing::new(symbols))) } else { Err(CodeError::Mistyped) }
    }
}

impl fmt::Debug for UnlockCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnlockCode(…)")
    }
}

impl DeliveryKey {
    /// The code of one machine for this package: always the same.
    pub fn code_for(&self, locked: &Locked<'_>) -> UnlockCode {
        let key = self.to_bytes();
        let material = Zeroizing::new([key.as_slice(), &locked.context()].concat());
        let hash = Zeroizing::new(blake3::derive_key(CODE_CONTEXT, &material));
        let mut symbols = Zeroizing::new([0; SYMBOLS]);
        for (symbol, byte) in symbols.iter_mut().zip(hash.iter()) {
            *symbol = byte % 32;
        }
        UnlockCode(symbols)
    }

    /// The key for one machine before its release: sealed under the code, and that for the machine's recipient. Both are
    /// needed to open it.
    pub fn lock_for(&self, recipient: &str, locked: &Locked<'_>) -> Result<Vec<u8>, VaultError> {
        let nonce = random::bytes::<NONCE_BYTES>();
        let mut inner = Zeroizing::new([LABEL, nonce.as_slice()].concat());
        let code = self.code_for(locked);
        seal::seal_onto(&mut inner, &code.key(), nonce, &locked.context(), self.to_bytes().as_slice());
        sealed_file::encrypt_to(&[recipient.to_owned()], &inner)
    }
}

impl NodeIdentity {
    /// Opens what [`DeliveryKey::lock_for`] made, with the code that belongs to it.
    pub fn unlock_delivery_key(
        &self,
        sealed: &[u8],
        code: &UnlockCode,
        locked: &Locked<'_>,
    ) -> Result<DeliveryKey, VaultError> {
        let bad = || VaultError::BadSeal { what: "the locked delivery key" };
        let most = LABEL.len() + NONCE_BYTES + KEY_BYTES + TAG_BYTES;
        let inner = sealed_file::decrypt(self, sealed, most).map(Zeroizing::new).map_err(|_| bad())?;
        let rest = inner.strip_prefix(LABEL).ok_or_else(bad)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(bad)?;
        let key = seal::open(&code.key(), *nonce, &locked.context(), sealed).map(Zeroizing::new).ok_or_else(bad)?;
        DeliveryKey::from_bytes(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code_text::ALPHABET;
    use proptest::prelude::*;

    fn locked(node: u8) -> Locked<'static> {
        Locked { delivery: "http://central.example/d", version: 3, node: Uuid::from_bytes([node; 16]) }
    }

    #[test]
    fn key_and_code_of_one_machine_open_it_and_nothing_less() {
        let (node, other) = (NodeIdentity::generate(), NodeIdentity::generate());
        let key = DeliveryKey::generate();
        let sealed = key.lock_for(&node.recipient(), &locked(1)).unwrap();
        let code = key.code_for(&locked(1));
        let opened = node.unlock_delivery_key(&sealed, &code, &locked(1)).unwrap();
        assert_eq!(opened.to_bytes(), key.to_bytes());
        assert!(other.unlock_delivery_key(&sealed, &code, &locked(1)).is_err(), "another machine");
        assert!(node.unlock_delivery_key(&sealed, &key.code_for(&locked(2)), &locked(1)).is_err(), "its code");
        assert!(node.unwrap_delivery_key(&sealed).is_err(), "no code at all");
        let later = Locked { version: 4, ..locked(1) };
        assert!(node.unlock_delivery_key(&sealed, &code, &later).is_err());
        assert_ne!(key.code_for(&later), code);
        assert_ne!(DeliveryKey::generate().code_for(&locked(1)), code);
        assert!(!format!("{code:?}").contains(&code.to_text()[..4]));
    }

    #[test]
    fn the_form_is_fixed() {
        let key = DeliveryKey::from_bytes(&[7; 32]).unwrap();
        let text = key.code_for(&locked(1)).to_text();
        assert_eq!(text.len(), 19);
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [4, 4, 4, 4]);
        assert_eq!(text.parse(), Ok(key.code_for(&locked(1))), "always the same");
    }

    #[test]
    fn what_is_no_code_is_told() {
        let read = |text: &str| text.parse::<UnlockCode>().map(drop);
        assert_eq!(read(""), Err(CodeError::Length));
        assert_eq!(read("0000-0000-0000-000"), Err(CodeError::Length));
        assert_eq!(read(&"0".repeat(17)), Err(CodeError::Length));
        assert_eq!(read(&"-".repeat(65)), Err(CodeError::Length));
        assert_eq!(read("0000-0000-0000-000é"), Err(CodeError::Character));
        assert_eq!(read("0000-0000-0000-0001"), Err(CodeError::Mistyped));
        assert_eq!(read("oooo 0000 OOOO 0000"), Ok(()));
    }

    proptest! {
        #[test]
        fn a_code_reads_back_and_one_wrong_character_shows(seed: [u8; 32], place in 0_usize..16, step in 1_u8..32) {
            let code = DeliveryKey::from_bytes(&seed).unwrap().code_for(&locked(1));
            let text = code.to_text();
            prop_assert_eq!(text.to_lowercase().replace('-', " ").parse::<UnlockCode>(), Ok(code));
            let mut wrong: Vec<char> = text.chars().filter(|c| *c != '-').collect();
            let symbol = symbol_of(wrong[place]).unwrap();
            wrong[place] = char::from(ALPHABET[usize::from((symbol + step) % 32)]);
            let wrong: String = wrong.into_iter().collect();
            prop_assert_eq!(wrong.parse::<UnlockCode>().map(drop), Err(CodeError::Mistyped));
        }

        #[test]
        fn a_code_with_a_flipped_bit_opens_nothing(place in 0_usize..SYMBOLS, bit in 0_u8..5) {
            let (node, key) = (NodeIdentity::generate(), DeliveryKey::generate());
            let sealed = key.lock_for(&node.recipient(), &locked(1)).unwrap();
            let mut code = key.code_for(&locked(1));
            prop_assert!(node.unlock_delivery_key(&sealed, &code, &locked(1)).is_ok());
            code.0[place] ^= 1 << bit;
            // Its last character checks the others: whoever types it has forged that too.
            let typed: UnlockCode = code.to_text().parse().unwrap();
            prop_assert_eq!(&typed, &code);
            prop_assert!(node.unlock_delivery_key(&sealed, &code, &locked(1)).is_err());
        }

        #[test]
        fn a_flipped_bit_of_its_text_is_refused_or_only_another_way_to_write_it(seed: [u8; 32]) {
            let code = DeliveryKey::from_bytes(&seed).unwrap().code_for(&locked(1));
            let text = code.to_text();
            for bit in 0..text.len() * 7 {
                // All of it is ASCII: the highest bit would not be text.
                let mut other = text.as_bytes().to_vec();
                other[bit / 7] ^= 1 << (bit % 7);
                if let Ok(read) = String::from_utf8(other).unwrap().parse::<UnlockCode>() {
                    prop_assert_eq!(&read, &code, "bit {}", bit);
                }
            }
        }

        #[test]
        fn a_flipped_bit_is_refused(bit: prop::sample::Index) {
            let (node, key) = (NodeIdentity::generate(), DeliveryKey::generate());
            let mut sealed = key.lock_for(&node.recipient(), &locked(1)).unwrap();
            let bit = bit.index(sealed.len() * 8);
            sealed[bit / 8] ^= 1 << (bit % 8);
            let code = key.code_for(&locked(1));
            prop_assert!(node.unlock_delivery_key(&sealed, &code, &locked(1)).is_err());
        }
    }
}
