//! Whether an incoming item can be read (central). Only unreadable bytes are refused: everything genuine is held.

use taosync_model::Digest;
use taosync_model::OrgId;
use taosync_model::execution::ExecutionState;
use taosync_model::item::{Envelope, FORM_AGE_ZSTD, FORM_ZSTD_JSON, ItemKind, Refusal};

use taosync_vault::sealed_file::is_sealed_file;

use super::payload;

/// Code of the refusal of an item that no word of its node covers.
pub(super) const BAD_SIGNATURE: &str = "bad_signature";

/// Whether the word for the items that an item came with is its node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signed {
    ByNode,
    ByNobody,
}

/// Checks an item against its own envelope, the org of the token, and what is known of the word for it.
pub(super) fn check(envelope: &Envelope, payload: &[u8], org: &OrgId, signed: Signed) -> Result<(), Refusal> {
    let refuse = |code: &str, reason: &str| {
        let (code, reason) = (code.to_owned(), reason.to_owned());
        Err(Refusal { item: envelope.item, version: envelope.version, code, reason })
    };
    if &envelope.org != org {
        return refuse("wrong_org", "the item is of another organisation than the token it came with");
    }
    if envelope.size != payload.len() as u64 || envelope.digest != Digest::of(payload) {
        return refuse("digest_mismatch", "the payload is not the one the envelope names: it was changed on its way");
    }
    if signed == Signed::ByNobody {
        return refuse("bad_signature", "the envelope is not signed by the node that hands the item in");
    }
    if !is_complete(envelope) {
        return refuse("incomplete_envelope", "the envelope lacks what an item of its kind must say");
    }
    match envelope.form {
        FORM_ZSTD_JSON if is_readable(envelope.kind, payload) => Ok(()),
        FORM_ZSTD_JSON => refuse("unreadable_payload", "the payload is not what its kind and form say, or too long"),
        FORM_AGE_ZSTD if is_sealed_file(payload) => Ok(()),
        FORM_AGE_ZSTD => refuse("unreadable_payload", "the payload is not an age file"),
        _ => refuse("unknown_form", "the payload is in a form this central does not know; update central, then retry"),
    }
}

fn is_complete(envelope: &Envelope) -> bool {
    let is_attempt_whole = || {
        envelope.delivery.is_some()
            && envelope.test_taker.is_some()
            && envelope.state.is_some_and(ExecutionState::is_over)
            && envelope.started_at.is_some()
            && envelope.finished_at.is_some()
    };
    envelope.version > 0
        && match envelope.kind {
            ItemKind::Attempt => is_attempt_whole(),
            ItemKind::Log | ItemKind::Session => envelope.execution.is_some(),
            ItemKind::LtiUser => true,
        }
}

fn is_readable(kind: ItemKind, bytes: &[u8]) -> bool {
    match kind {
        ItemKind::Attempt => taosync_results::check_attempt(bytes, taosync_results::MAX_PLAIN).is_ok(),
        ItemKind::Log | ItemKind::Session | ItemKind::LtiUser => {
            payload::decode(bytes, payload::MAX_PLAIN).is_some_and(|document| document.is_object())
        }
    }
}
