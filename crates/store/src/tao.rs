//! What a TAO client asks of central: pages of checksums, entities in TAO's view, classes, the consumers of
//! handshakes, and records of its syncs. And TAO's own database at this end.

mod handshake;
mod installation;
mod listing;
mod orphans;
mod runs;

pub use handshake::{Handshake, MACHINES_OF_MANAGER, NewHandshake};
pub use installation::{Installation, NewInstallation, Pulled, TaoPackage};
pub use listing::{Listed, TaoScope};
pub use orphans::HandshakeConsumer;
pub use runs::{TaoBox, TaoRun};
