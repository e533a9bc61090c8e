//! Codes that people type: enrolment codes and unlock codes, and what an unlock code opens.
//!
//! An input is one letter that says which, then the text: `e` an enrolment code, `u` an unlock code, `r` a root address for
//! which a code is made, `l` a delivery key that is locked.

use std::fmt::Debug;
use std::str::FromStr;
use std::sync::LazyLock;

use secrecy::ExposeSecret as _;
use taosync_vault::delivery_key::DeliveryKey;
use taosync_vault::enrolment_code::{EnrolmentCode, MAX_ADDRESS};
use taosync_vault::node_identity::NodeIdentity;
use taosync_vault::unlock_code::{Locked, UnlockCode};
use uuid::Uuid;

use crate::shown;

static NODE: LazyLock<NodeIdentity> = LazyLock::new(NodeIdentity::generate);
const LOCKED: Locked<'static> = Locked { delivery: "urn:x:delivery", version: 1, node: Uuid::from_u128(7) };

/// Reads what was typed; a code with one bit changed is the same code, written otherwise, or none.
pub fn check(input: &[u8]) {
    let [kind, rest @ ..] = input else { return };
    let text = std::str::from_utf8(rest);
    match (kind, text) {
        (b'e', Ok(text)) => {
            if let Some(code) = typed::<EnrolmentCode>(text) {
                enrolment(&code);
            }
        }
        (b'u', Ok(text)) => drop(typed::<UnlockCode>(text).map(|code| printed(&code))),
        (b'r', Ok(root)) => made_for(root),
        (b'l', _) => locked(rest),
        _ => {}
    }
}

fn typed<C: FromStr<Err: std::fmt::Display> + PartialEq + Debug>(text: &str) -> Option<C> {
    let code = text.parse::<C>().inspect_err(|error| drop(shown(error))).ok()?;
    for bit in 0..text.len() * 8 {
        let mut other = text.as_bytes().to_vec();
        other[bit / 8] ^= 1 << (bit % 8);
        let Ok(other) = String::from_utf8(other) else { continue };
        if let Ok(read) = other.parse::<C>() {
            assert!(read == code, "bit {bit} makes it another code");
        }
    }
    Some(code)
}

fn enrolment(code: &EnrolmentCode) {
    let lines: Vec<String> = code.to_lines().iter().map(|line| line.to_string()).collect();
    assert_eq!(lines.join("\n").parse::<EnrolmentCode>().as_ref(), Ok(code), "it is printed as it was read");
    let said = format!("{code:?}");
    assert!(!said.contains(code.secret().expose_secret()), "the secret is shown");
    assert!(code.root().len() <= MAX_ADDRESS + "https:///".len());
}

fn printed(code: &UnlockCode) {
    let text = code.to_text();
    assert_eq!(text.parse::<UnlockCode>().as_ref(), Ok(code), "it is printed as it was read");
    assert!(!format!("{code:?}").contains(&text[..4]), "the code is shown");
}

fn made_for(root: &str) {
    match EnrolmentCode::generate(root, None) {
        Ok(code) => enrolment(&code),
        Err(error) => drop(shown(&error)),
    }
}

/// Nobody makes a lock that opens without the delivery key, and one that is right stands no changed bit.
fn locked(bytes: &[u8]) {
    let key = DeliveryKey::from_bytes(&[7; 32]).expect("a key has 32 bytes");
    let code = key.code_for(&LOCKED);
    drop(shown(&NODE.unlock_delivery_key(bytes, &code, &LOCKED).expect_err("it was not locked for this machine")));
    let mut right = key.lock_for(&NODE.recipient(), &LOCKED).expect("it is locked");
    let bit = place_in(bytes) % (right.len() * 8);
    right[bit / 8] ^= 1 << (bit % 8);
    assert!(NODE.unlock_delivery_key(&right, &code, &LOCKED).is_err(), "bit {bit} was changed and it opened");
}

fn place_in(bytes: &[u8]) -> usize {
    bytes.iter().fold(bytes.len(), |sum, byte| sum.wrapping_mul(257).wrapping_add(usize::from(*byte)))
}
