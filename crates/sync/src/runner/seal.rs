//! Sealing at the source: what is handed in is for the holders of the results keys, and for this server only until the
//! reactivation window is over (DESIGN §5).

use jiff::Timestamp;
use taosync_model::item::{FORM_AGE_ZSTD, FORM_ZSTD_JSON};
use taosync_model::{Digest, OrgId};
use taosync_store::outbox::SealedSource;
use taosync_vault::sealed_file;

use super::{Runner, RunnerError};

/// For whom the results of an org are sealed.
#[derive(Clone)]
pub(crate) struct Sealing {
    recipients: Vec<String>,
    /// Until when they can be shown here; none: not at all.
    readable_until: Option<Timestamp>,
}

/// A payload as it is handed in.
pub(crate) struct Sealed {
    pub payload: Vec<u8>,
    pub form: u8,
    pub source: Option<SealedSource>,
}

impl Runner {
    /// How results of an org are handed in.
    pub(crate) async fn sealing(&self, org: &OrgId) -> Result<Sealing, RunnerError> {
        Ok(Sealing { recipients: self.store.results_recipients_of(org).await?, readable_until: self.window_end() })
    }

    /// When the reactivation window of what ends now is over; none when there is no window.
    pub(crate) fn window_end(&self) -> Option<Timestamp> {
        (!self.window.is_zero()).then(|| self.store.clock().now().checked_add(self.window).ok()).flatten()
    }

    /// A payload of form 1 as it is handed in; it can be shown here until the reactivation window is over.
    pub(crate) fn seal(&self, sealing: &Sealing, plain: Vec<u8>) -> Result<Sealed, RunnerError> {
        if sealing.recipients.is_empty() {
            return Ok(Sealed { payload: plain, form: FORM_ZSTD_JSON, source: None });
        }
        let payload = sealed_file::encrypt_to(&sealing.recipients, &plain).map_err(RunnerError::Seal)?;
        let content = self.store.keyring().index().of("content", &Digest::of(&plain).to_hex());
        let readable = sealing.readable_until.map(|until| (plain, until));
        Ok(Sealed { payload, form: FORM_AGE_ZSTD, source: Some(SealedSource { content, readable }) })
    }
}
