//! Results for people who may study them and not know whose they are: every test taker under a keyed pseudonym, and nothing
//! that names a person beside it.

use taosync_model::assessment::Attempt;
use taosync_model::item::Envelope;
use taosync_vault::index::BlindIndex;

/// How test takers are named in an export.
#[derive(Clone, Copy, Debug)]
pub enum Names<'a> {
    /// By their URIs.
    Uris,
    /// By pseudonyms: the same in every export of this node, and no way back without its key.
    Pseudonyms(&'a BlindIndex),
}

impl Names<'_> {
    /// Envelope and attempt under these names. With pseudonyms, log, session and the ids of sessions go: they tell who,
    /// where and when. Answers stay as they were written.
    pub(super) fn apply(self, mut envelope: Envelope, mut attempt: Attempt) -> (Envelope, Attempt) {
        let Self::Pseudonyms(index) = self else { return (envelope, attempt) };
        let pseudonym = |uri: &str| format!("pseudonym:{}", hex::encode(index.exact("pseudonym", uri)));
        let person = envelope.test_taker.as_deref().or(attempt.result.context.sourced_id.as_deref()).map(pseudonym);
        envelope.test_taker.clone_from(&person);
        attempt.result.context.sourced_id = person;
        attempt.result.context.sessions.clear();
        attempt.log.clear();
        attempt.session = None;
        attempt.other.clear();
        (envelope, attempt)
    }
}
