//! A local server at a TAO central (docs/TAO.md): data as a plan, results with an acknowledgement each. What that central
//! says is checked against everything it is known to get wrong, and nothing is claimed that was not shown.
//!
//! * [`link`]: requests with TAO's tokens and TAO's words about failures.
//! * [`walk`]: how a list is read to its end, and what is doubtful about it.
//! * [`listing`]: a whole list, read twice where something would go.
//! * [`details`]: entities and classes by name, in the form they are kept here.
//! * [`intake`]: what came is kept until it becomes visible, so that a cut sync asks for the rest only.
//! * [`plan`]: differences between list and replica, and which removals wait.
//! * [`packages`]: a package that comes as a zip is made what a published one is.
//! * [`pull`]: all of it for one org, staged, then one switch.
//! * [`hand_in`]: results, logs, sessions, LTI users, each with its own acknowledgement ([`heard`]).
//! * [`confirm`]: the word at the end.

pub mod confirm;
pub mod details;
pub mod hand_in;
pub mod heard;
pub mod intake;
pub mod link;
pub mod listing;
pub mod packages;
mod parcel;
pub mod plan;
pub mod pull;
pub(crate) mod variables;
pub mod walk;

use taosync_store::Store;
use taosync_store::replica::ReplicaScope;

use crate::session::{Plan, Progress};

pub use link::TaoLink;

/// What every step of a sync with a TAO central has at hand.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// The store here.
    pub store: &'a Store,
    /// The way to central.
    pub link: &'a TaoLink,
    /// The org's replica as it was when the step began.
    pub replica: &'a ReplicaScope,
    /// What is to be done.
    pub plan: &'a Plan,
    /// Who wants to know how far it is.
    pub progress: &'a (dyn Fn(Progress) + Send + Sync),
}
