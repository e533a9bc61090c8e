//! What a TAO client asks of central: pages of checksums, entities in TAO's view, classes, and records of its syncs.

mod listing;
mod runs;

pub use listing::{Listed, TaoScope};
pub use runs::TaoRun;
