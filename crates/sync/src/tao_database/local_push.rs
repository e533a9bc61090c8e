//! Local: finished executions of TAO become items of the outbox.

use taosync_store::Store;

use super::{Installation, Outcome, TaoDatabaseError};
use crate::session::Mode;

/// Does it, or says what it would do.
#[expect(clippy::unused_async, reason = "it will speak with both databases")]
pub async fn run(_store: &Store, _installation: &Installation, mode: Mode) -> Result<Outcome, TaoDatabaseError> {
    let mut outcome = Outcome { dry_run: mode == Mode::DryRun, ..Outcome::default() };
    outcome.note("", "this way is not in this version yet", "use taoSync for it, or TAO's protocol (docs/TAO.md)");
    Ok(outcome)
}
