//! What a test runner does on a local server: sign in, start, save, finish; and taking in results that were made
//! elsewhere.
//!
//! * `eligible`: what a test taker may sit; [`Runner::startable`] and [`Runner::start`].
//! * `save`, `fold`, `finish`: from saved parts to the attempt that is handed in.
//! * `seal`: for whom it is handed in.
//! * `late`: items of their own: log rows after the end, LTI users.
//! * `login`: passwords; `submit`: QTI result files.

mod eligible;
mod error;
mod finish;
pub(crate) mod fold;
mod late;
mod login;
mod save;
pub(crate) mod seal;
mod start;
mod submit;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use taosync_store::runner_keys::RunnerScope;
use taosync_store::{Store, StoreError};
use tokio::sync::MutexGuard;
use uuid::Uuid;

pub use error::RunnerError;
pub use fold::{ItemRef, SavedVariables};
pub use late::MAX_LTI_USER;
pub use login::{SignedIn, StartableDelivery};
pub use save::{MAX_PARTS, MAX_POSITION, MAX_SAVE};
pub use start::period_end;
pub use submit::{MAX_FILES, Submission, SubmitOutcome};

/// Attempts in work at once that do not wait for each other.
const TURNS: usize = 64;

/// The runner's side of a local server. Cheap to clone; there must be one for a node's directory, as it orders what
/// happens to an attempt.
#[derive(Clone)]
pub struct Runner {
    store: Store,
    node: Uuid,
    /// How long an attempt that was ended can be reactivated (`reactivation_window`); zero for never.
    window: SignedDuration,
    turns: Arc<[tokio::sync::Mutex<()>; TURNS]>,
    saved: Arc<Mutex<HashMap<Uuid, usize>>>,
    wrong_tries: Arc<login::WrongTries>,
    scope: RunnerScope,
}

impl Runner {
    /// The runner of an initialised node.
    pub async fn open(store: Store, reactivation_window: SignedDuration) -> Result<Self, StoreError> {
        let node = store.identity().await?.node;
        Ok(Self {
            store,
            node,
            window: reactivation_window,
            turns: Arc::new(std::array::from_fn(|_| tokio::sync::Mutex::new(()))),
            saved: Arc::default(),
            wrong_tries: Arc::default(),
            scope: RunnerScope::All,
        })
    }

    /// The same runner, for these organisations only: who signs in and what is started belongs to one of them.
    #[must_use]
    pub fn within(&self, scope: RunnerScope) -> Self {
        Self { scope, ..self.clone() }
    }

    /// Id of this node: what is made here names it.
    pub(crate) const fn node(&self) -> Uuid {
        self.node
    }

    /// Waits until nobody else works on the attempt: what is saved while it is being finished would be confirmed, but
    /// not in what is handed in.
    async fn turn(&self, execution: Uuid) -> MutexGuard<'_, ()> {
        self.turns[execution.as_u128() as usize % TURNS].lock().await
    }
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("node", &self.node).finish_non_exhaustive()
    }
}
