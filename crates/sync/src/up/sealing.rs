//! Payloads sealed for the results keys: made at the source or on arrival, opened by whoever holds an identity (DESIGN §5).

use std::borrow::Cow;

use taosync_model::item::{FORM_AGE_ZSTD, FORM_ZSTD_JSON};
use taosync_vault::results_keys::ResultsIdentities;
use taosync_vault::{VaultError, sealed_file};

/// Bytes a sealed payload may hold: what a frame can carry, and more than form 1 ever has.
const MAX_OPENED: usize = taosync_wire::frame::MAX_BODY as usize;

/// Why a payload cannot be read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is sealed, and none of the identities opens it.
    #[error("it is sealed for the results keys")]
    Sealed,
    /// Its form is not known.
    #[error("it is in a form this program does not know")]
    UnknownForm,
}

/// A payload of form 1 sealed for these recipients; nothing when there are none or it is sealed already.
pub fn at_rest(recipients: &[String], form: u8, payload: &[u8]) -> Result<Option<Vec<u8>>, VaultError> {
    if recipients.is_empty() || form != FORM_ZSTD_JSON {
        return Ok(None);
    }
    sealed_file::encrypt_to(recipients, payload).map(Some)
}

/// A payload in form 1, opened where that is needed.
pub fn readable<'a>(form: u8, payload: &'a [u8], identities: &ResultsIdentities) -> Result<Cow<'a, [u8]>, Unreadable> {
    match form {
        FORM_ZSTD_JSON => Ok(Cow::Borrowed(payload)),
        FORM_AGE_ZSTD => identities.open(payload, MAX_OPENED).map(Cow::Owned).map_err(|_| Unreadable::Sealed),
        _ => Err(Unreadable::UnknownForm),
    }
}
