//! Central as TAO's clients see it (docs/TAO.md). What they ask is read with `wire::tao`, what they may see comes from the
//! same scopes as everything else, what they hand in lands among the received items.
//!
//! * [`compat`]: what is switched on, and how.
//! * [`reach`]: whose data a consumer may see.
//! * [`listing`]: checksums, details, classes.
//! * [`walks`]: where clients that count their own pages have come to.
//! * [`login`]: sync managers, and the handshake.
//! * [`hand_in`]: results, logs, sessions, LTI users.
//! * [`orphans`]: consumers whose sync manager is gone.
//! * `results`, `names`: TAO's variables and ids on their way into ours.
//! * [`package`]: the zip of a delivery.
//! * [`confirm`]: the record of a sync.

pub mod compat;
pub mod confirm;
pub mod hand_in;
pub(crate) mod ids;
pub mod listing;
pub mod login;
pub(crate) mod names;
pub mod orphans;
pub mod package;
pub mod reach;
pub(crate) mod results;
pub mod walks;

pub use compat::Compat;
pub use reach::Reach;
