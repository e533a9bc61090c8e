//! Enrolment codes: what a person types from a sheet of paper to connect a fresh machine. A code holds where central is, the
//! beginning of the fingerprint of its authority, and a secret of 96 bits that is good once.
//!
//! As bytes: form (1, with a pin; 2, without; 3, plain HTTP on this machine), length of the address, the pin if any, the
//! secret, the address without its scheme, and two bytes of BLAKE3 of all that. As text: lines of 75 bits, the last one
//! filled with zeros, each with a character that checks it, so that a mistake is found in its line before any network.

use std::fmt;
use std::str::FromStr;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::code_text::{SYMBOLS, check_of, line_of, symbol_of};
use crate::random;
use crate::tls::{PIN_BYTES, Pin};

/// Bytes of the secret.
const SECRET_BYTES: usize = 12;
/// Bytes that check the whole.
const CHECK_BYTES: usize = 2;
/// Longest address without its scheme, in bytes: a code of 24 lines.
pub const MAX_ADDRESS: usize = 180;
/// Characters that are looked at, with all hyphens, spaces and lines a person may put.
pub const MAX_TYPED: usize = 2_048;
/// Bits of a character, and of a line.
const SYMBOL_BITS: usize = 5;
const LINE_BITS: usize = SYMBOL_BITS * SYMBOLS;

/// How central is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Over TLS, with this authority.
    Pinned([u8; PIN_BYTES]),
    /// Over TLS, with an authority that the machine trusts.
    Trusted,
    /// Without TLS, on the machine itself.
    Plain,
}

/// A code. Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolmentCode {
    reached: Reached,
    address: String,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

/// What is wrong with a code as it was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// A line is not as long as one.
    #[error("line {0} of the code is not complete: each has 16 characters in four groups")]
    Length(usize),
    /// A character that no code has.
    #[error("a code has digits and letters only")]
    Character,
    /// A character was mistyped or two were swapped.
    #[error("line {0} of the code is mistyped: a character is wrong, or two are swapped")]
    Mistyped(usize),
    /// Each line is right by itself, but they are not one code.
    #[error("the lines are not a whole code: one is missing, twice there, or in another place")]
    Lines,
    /// The address has no room in a code.
    #[error("the address of central is too long for a code ({MAX_ADDRESS} bytes at most)")]
    Address,
}

impl EnrolmentCode {
    /// A fresh code. `root` is central's root URL.
    pub fn generate(root: &str, pin: Option<Pin>) -> Result<Self, CodeError> {
        let reached = match (root.split_once("://"), pin) {
            (Some(("http", _)), _) => Reached::Plain,
            (_, Some(Pin::Whole(whole))) => Reached::Pinned(whole.beginning()),
            (_, Some(Pin::Beginning(beginning))) => Reached::Pinned(beginning),
            (_, None) => Reached::Trusted,
        };
        let address = root.split_once("://").map_or(root, |(_, rest)| rest).trim_end_matches('/').to_owned();
        if address.is_empty() || address.len() > MAX_ADDRESS {
            return Err(CodeError::Address);
        }
        Ok(Self { reached, address, secret: Zeroizing::new(random::bytes()) })
    }

    /// Central's root URL.
    pub fn root(&self) -> String {
        let scheme = if self.reached == Reached::Plain { "http" } else { "https" };
        format!("{scheme}://{}/", self.address)
    }

    /// The authority that is trusted; none: those of the machine.
    pub fn pin(&self) -> Option<Pin> {
        match self.reached {
            Reached::Pinned(beginning) => Some(Pin::Beginning(beginning)),
            Reached::Trusted | Reached::Plain => None,
        }
    }

    /// The secret as it travels, hexadecimal; central keeps its [`crate::tokens::TokenHash`].
    pub fn secret(&self) -> SecretString {
        SecretString::from(Zeroizing::new(hex::encode(*self.secret)).as_str())
    }

    /// The lines to be printed.
    pub fn to_lines(&self) -> Vec<Zeroizing<String>> {
        let bytes = self.to_bytes();
        let bit = |at: usize| bytes.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1);
        (0..(bytes.len() * 8).div_ceil(LINE_BITS))
            .map(|line| {
                let mut symbols = Zeroizing::new([0; SYMBOLS]);
                for (place, symbol) in symbols.iter_mut().enumerate() {
                    let first = line * LINE_BITS + place * SYMBOL_BITS;
                    *symbol = (first..first + SYMBOL_BITS).fold(0, |value, at| value << 1 | u8::from(bit(at)));
                }
                line_of(&symbols)
            })
            .collect()
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let (form, pin): (u8, &[u8]) = match &self.reached {
            Reached::Pinned(pin) => (1, pin),
            Reached::Trusted => (2, &[]),
            Reached::Plain => (3, &[]),
        };
        let length = self.address.len() as u8;
        let parts: [&[u8]; 4] = [&[form, length], pin, self.secret.as_slice(), self.address.as_bytes()];
        let mut bytes = Zeroizing::new(parts.concat());
        let check = check_of_all(&bytes);
        bytes.extend(check);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (form, rest) = bytes.split_first()?;
        let (length, rest) = rest.split_first()?;
        let (reached, rest) = match form {
            1 => rest.split_first_chunk::<PIN_BYTES>().map(|(pin, rest)| (Reached::Pinned(*pin), rest))?,
            2 => (Reached::Trusted, rest),
            3 => (Reached::Plain, rest),
            _ => return None,
        };
        let (secret, rest) = rest.split_first_chunk::<SECRET_BYTES>()?;
        let (address, rest) = rest.split_at_checked(usize::from(*length))?;
        let (check, filling) = rest.split_first_chunk::<CHECK_BYTES>()?;
        let whole = bytes.len() - filling.len() - CHECK_BYTES;
        let is_whole = *check == check_of_all(&bytes[..whole])
            && filling.iter().all(|byte| *byte == 0)
            && !address.is_empty()
            && address.len() <= MAX_ADDRESS;
        let address = std::str::from_utf8(address).ok().filter(|_| is_whole)?.to_owned();
        Some(Self { reached, address, secret: Zeroizing::new(*secret) })
    }
}

impl FromStr for EnrolmentCode {
    type Err = CodeError;

    /// Reads a code in any case, with or without hyphens, spaces and line breaks, and with O for 0, I and L for 1.
    fn from_str(text: &str) -> Result<Self, CodeError> {
        if text.len() > MAX_TYPED {
            return Err(CodeError::Lines);
        }
        let typed = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
        let symbols: Option<Vec<u8>> = typed.map(symbol_of).collect();
        let symbols = Zeroizing::new(symbols.ok_or(CodeError::Character)?);
        let mut bits = Zeroizing::new(Vec::with_capacity(symbols.len() * SYMBOL_BITS));
        for (number, line) in symbols.chunks(SYMBOLS + 1).enumerate() {
            let (data, check) = line.split_first_chunk::<SYMBOLS>().ok_or(CodeError::Length(number + 1))?;
            let check = check.first().ok_or(CodeError::Length(number + 1))?;
            if check_of(data) != *check {
                return Err(CodeError::Mistyped(number + 1));
            }
            bits.extend(data.iter().flat_map(|symbol| (0..SYMBOL_BITS).rev().map(move |bit| symbol >> bit & 1)));
        }
        // What is left of a byte at the end is filling.
        let bytes = bits.chunks(8).map(|byte| byte.iter().fold(0, |value, bit| value << 1 | bit) << (8 - byte.len()));
        let bytes: Zeroizing<Vec<u8>> = Zeroizing::new(bytes.collect());
        let code = Self::from_bytes(&bytes).ok_or(CodeError::Lines)?;
        // A further line of filling is none of this code.
        if code.to_lines().len() == symbols.len() / (SYMBOLS + 1) { Ok(code) } else { Err(CodeError::Lines) }
    }
}

fn check_of_all(bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&blake3::hash(bytes).as_bytes()[..CHECK_BYTES]);
    check
}

impl fmt::Debug for EnrolmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentCode").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    const ROOT: &str = "https://central.example:8443/";

    fn pinned() -> EnrolmentCode {
        EnrolmentCode::generate(ROOT, Some(Pin::Whole("ab".repeat(32).parse().unwrap()))).unwrap()
    }

    fn text(code: &EnrolmentCode) -> String {
        code.to_lines().iter().flat_map(|line| [line.as_str(), "\n"]).map(str::to_owned).collect()
    }

    #[test]
    fn a_code_carries_address_pin_and_secret() {
        let code = pinned();
        assert_eq!(code.to_lines().len(), 6, "a sheet of paper is enough");
        let read: EnrolmentCode = text(&code).to_lowercase().replace('-', " ").parse().unwrap();
        assert_eq!(read, code);
        assert_eq!(read.root(), ROOT);
        assert_eq!(read.pin(), Some(Pin::Beginning([0xab; PIN_BYTES])));
        assert_eq!(read.secret().expose_secret().len(), 2 * SECRET_BYTES);
        assert_ne!(pinned().secret().expose_secret(), read.secret().expose_secret());
        assert!(!format!("{read:?}").contains(read.secret().expose_secret()));
        for (root, pin) in [("https://exams.example/base/", None), ("http://127.0.0.1:8080/", None)] {
            let code = EnrolmentCode::generate(root, pin).unwrap();
            let read: EnrolmentCode = text(&code).parse().unwrap();
            assert_eq!((read.root().as_str(), read.pin(), &read), (root, None, &code));
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line() {
        let code = text(&pinned());
        let lines: Vec<&str> = code.lines().collect();
        let read = |text: &str| text.parse::<EnrolmentCode>().map(drop);
        assert_eq!(read(""), Err(CodeError::Lines));
        assert_eq!(read("Ü"), Err(CodeError::Character));
        assert_eq!(read(&lines[..5].join("\n")), Err(CodeError::Lines), "one is missing");
        assert_eq!(read(&format!("{code}0000-0000-0000-0000")), Err(CodeError::Lines), "one too many");
        assert_eq!(read(&code[..code.len() - 3]), Err(CodeError::Length(6)));
        assert_eq!(read(&"0".repeat(MAX_TYPED + 1)), Err(CodeError::Lines));
        let swapped = [lines[1], lines[0], lines[2], lines[3], lines[4], lines[5]].join(" ");
        assert_eq!(read(&swapped), Err(CodeError::Lines));
    }

    #[test]
    fn addresses_have_a_size() {
        let root = |bytes: usize| format!("https://{}/", "x".repeat(bytes));
        let longest = EnrolmentCode::generate(&root(MAX_ADDRESS), None).unwrap();
        assert_eq!(text(&longest).parse::<EnrolmentCode>(), Ok(longest));
        assert_eq!(EnrolmentCode::generate(&root(MAX_ADDRESS + 1), None), Err(CodeError::Address));
        assert_eq!(EnrolmentCode::generate(&root(0), None), Err(CodeError::Address));
    }

    /// Always the same one: two bytes that check the whole let one of 65,536 changes through.
    fn fixed() -> EnrolmentCode {
        let (reached, address) = (Reached::Pinned([0xab; PIN_BYTES]), "central.example:8443".to_owned());
        EnrolmentCode { reached, address, secret: Zeroizing::new([7; SECRET_BYTES]) }
    }

    #[test]
    fn any_flipped_bit_of_a_code_is_refused() {
        let bytes = fixed().to_bytes();
        assert_eq!(EnrolmentCode::from_bytes(&bytes), Some(fixed()));
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.to_vec();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(EnrolmentCode::from_bytes(&other), None, "bit {bit}");
        }
    }

    #[test]
    fn any_flipped_bit_of_its_text_is_refused_or_only_another_way_to_write_it() {
        let text = text(&fixed());
        let mut refused = 0;
        for bit in 0..text.len() * 8 {
            let mut other = text.clone().into_bytes();
            other[bit / 8] ^= 1 << (bit % 8);
            let Ok(other) = String::from_utf8(other) else { continue };
            match other.parse::<EnrolmentCode>() {
                Ok(read) => assert_eq!(read, fixed(), "bit {bit}"),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > text.len() * 5, "{refused} of {} bits", text.len() * 8);
    }

    proptest! {
        #[test]
        fn one_wrong_character_shows_in_its_line(place in 0_usize..96, step in 1_u8..32) {
            let code = text(&pinned());
            let mut wrong: Vec<char> = code.chars().filter(char::is_ascii_alphanumeric).collect();
            let symbol = symbol_of(wrong[place]).unwrap();
            wrong[place] = char::from(crate::code_text::ALPHABET[usize::from((symbol + step) % 32)]);
            let wrong: String = wrong.into_iter().collect();
            prop_assert_eq!(wrong.parse::<EnrolmentCode>().map(drop), Err(CodeError::Mistyped(place / 16 + 1)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9A-Z \n-]{0,200}") {
            let _ = text.parse::<EnrolmentCode>();
        }
    }
}
