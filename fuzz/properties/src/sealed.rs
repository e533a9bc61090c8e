//! Sealed things: age files with their headers, values of sealed columns, files of identities.
//!
//! An input is one letter that says which, then the bytes.

use std::sync::LazyLock;

use taosync_sync::up::sealing::readable;
use taosync_vault::Keyring;
use taosync_vault::results_keys::ResultsIdentities;
use taosync_vault::sealed_file::is_sealed_file;

use crate::shown;

/// Opens the sealed files among the inputs, and nothing else.
const IDENTITY: &str = "AGE-SECRET-KEY-1W293TWX45YF07PF0GHAGTZ0ZDJLH02CXXL4XJTZFTT22FFGFW6GQ6VVEL8";
/// An `age` file around form 1.
const FORM: u8 = 2;

static IDENTITIES: LazyLock<ResultsIdentities> =
    LazyLock::new(|| ResultsIdentities::from_text(IDENTITY).expect("an identity that age-keygen made"));
static KEYRING: LazyLock<Keyring> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory");
    Keyring::create(&dir.path().join("keys")).expect("fresh keys")
});

/// Reads, and opens nothing that was not sealed for us.
pub fn check(input: &[u8]) {
    match input {
        [b'a', file @ ..] => age_file(file),
        [b'b', value @ ..] => column(value),
        [b'c', text @ ..] => identities(text),
        [b'd', value @ ..] => sealed_here(value),
        _ => {}
    }
}

fn age_file(file: &[u8]) {
    match readable(FORM, file, &IDENTITIES) {
        Ok(plain) => {
            assert!(is_sealed_file(file), "what opens has a head that can be read");
            assert!(plain.len() < file.len(), "nothing grows when it is opened");
            flipped(file);
        }
        Err(error) => drop(shown(&error)),
    }
}

/// One bit in a file that opens, at a place the file itself chooses: it does not open to anything else.
fn flipped(file: &[u8]) {
    let bit = place_in(file) % (file.len() * 8);
    let mut changed = file.to_vec();
    changed[bit / 8] ^= 1 << (bit % 8);
    assert!(readable(FORM, &changed, &IDENTITIES).is_err(), "bit {bit} was changed and it opened");
}

fn place_in(file: &[u8]) -> usize {
    file.iter().fold(file.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)))
}

fn column(value: &[u8]) {
    let opened = KEYRING.columns().open("table", b"row", "column", value);
    shown(&opened.expect_err("nobody can seal with a key that was made a moment ago"));
}

/// A value that was sealed for this place: it opens as it was, with one bit changed or at another place not at all.
fn sealed_here(value: &[u8]) {
    let columns = KEYRING.columns();
    let mut sealed = columns.seal("table", b"row", "column", value);
    let opened = columns.open("table", b"row", "column", &sealed).expect("it was sealed a moment ago");
    assert_eq!(opened.as_slice(), value);
    for (table, row, column) in [("other", "row", "column"), ("table", "other", "column"), ("table", "row", "other")] {
        assert!(columns.open(table, row.as_bytes(), column, &sealed).is_err(), "it opens at another place");
    }
    let bit = place_in(value) % (sealed.len() * 8);
    sealed[bit / 8] ^= 1 << (bit % 8);
    assert!(columns.open("table", b"row", "column", &sealed).is_err(), "bit {bit} was changed and it opened");
}

fn identities(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    match ResultsIdentities::from_text(text) {
        Ok(identities) => assert!(!identities.is_empty() && !format!("{identities:?}").contains("SECRET")),
        Err(error) => assert!(!shown(&error).contains("KEY-1Q"), "an error quotes nothing"),
    }
}
