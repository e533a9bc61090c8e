//! A local server at a TAO central (docs/TAO.md): data as a plan, results with an acknowledgement each. What that central
//! says is checked against everything it is known to get wrong, and nothing is claimed that was not shown.
//!
//! * [`link`]: requests with TAO's tokens and TAO's words about failures.
//! * [`walk`]: how a list is read to its end, and what is doubtful about it.
//! * [`listing`]: a whole list, read twice where something would go.
//! * [`details`]: entities and classes by name, in the form they are kept here.
//! * [`plan`]: differences between list and replica, and which removals wait.
//! * [`packages`]: a package that comes as a zip is made what a published one is.
//! * [`pull`]: all of it for one org, staged, then one switch.
//! * [`hand_in`]: results, logs, sessions, LTI users, each with its own acknowledgement.
//! * [`confirm`]: the word at the end.

pub mod confirm;
pub mod details;
pub mod hand_in;
pub mod link;
pub mod listing;
pub mod packages;
mod parcel;
pub mod plan;
pub mod pull;
mod variables;
pub mod walk;

pub use link::TaoLink;
