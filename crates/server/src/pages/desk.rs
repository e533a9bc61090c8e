//! What the pages need of the program around the server: a look at its readiness, and its acts.

use std::fmt;
use std::pin::Pin;

use taosync_model::OrgId;
use taosync_model::readiness::Readiness;
use taosync_sync::accounts::Visitor;
use uuid::Uuid;

/// An answer that is being worked on.
type Coming<T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send>>;

/// Looks whether the node is ready.
pub type Looking = Box<dyn Fn() -> Coming<Readiness> + Send + Sync>;
/// Does an act for somebody who may; it is done, or well begun, when this answers.
pub type Doing = Box<dyn Fn(Act, Visitor) -> Coming<()> + Send + Sync>;

/// The program around the pages.
pub struct Desk {
    /// Looks whether the node is ready.
    pub look: Looking,
    /// Does an act.
    pub act: Doing,
    /// Whether TLS ends before this server, so that browsers see an address with https.
    pub tls_in_front: bool,
}

/// What somebody may do at a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Sync the organisations the visitor sees (local).
    Sync,
    /// Agree to everything that was removed from an organisation so far (central).
    ApproveRemovals(OrgId),
    /// Shut a local server out (central).
    RevokeNode(Uuid),
    /// Let a local server in again, and end alarms about it (central).
    ApproveNode(Uuid),
}

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Code, as in docs/ERRORS.md.
    pub code: &'static str,
    /// What happened.
    pub message: String,
    /// What to do.
    pub advice: String,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("tls_in_front", &self.tls_in_front).finish_non_exhaustive()
    }
}
