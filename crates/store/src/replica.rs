//! The local copy of what central says, per remote and org: applied chunk by chunk, each with its positions in one
//! transaction (DESIGN §4).

mod access;
mod apply;
mod arrived;
mod check;
mod continuation;
mod held;
mod held_values;
mod items;
mod listing;
mod parted;
mod read;
mod staged;
mod state;

pub(crate) use apply::owner_key;
pub use apply::{AppliedChunk, Chunk, ChunkEffect, Link, Removal, RemovalRule, Upsert};
pub use arrived::Arrived;
pub use check::{ReplicaCheck, ReplicaProblem};
pub use held::{HeldRemoval, HeldTally, HeldWeight};
pub use items::{HeldLink, HeldMembers};
pub use staged::Staged;
pub use state::{Learned, ReplicaScope, ReplicaType, StandingHeard, Verdict};
