//! The nouns of taosync. No I/O, no async, no database: every other crate speaks in these words.
//!
//! * [`entity`]: one thing that travels down: URI, class, properties.
//! * [`entity_type`]: the six synced types, classes, and sync managers.
//! * [`canonical`] and [`digest`]: the bytes that are hashed, and the sums that prove two sides equal.
//! * [`scope`]: organisations and positions in a feed.
//! * [`set_item`]: members of a set as two sides compare them.
//! * [`item`]: what travels up: envelope, receipt.
//! * [`continuation`], [`receipt_mark`]: what tells a machine from its copy, and a central from an older state of it.
//! * [`audit`]: where an audit log ends.
//! * [`execution`], [`assessment`]: one attempt and its results in the QTI Results Reporting model.
//! * [`delivery`]: what a package looks like from outside.
//! * [`readiness`]: whether a node is ready, line by line.
//! * [`vocabulary`]: the URIs of TAO's ontology that taosync knows.
//! * [`tao`]: an entity as TAO shows it, and TAO's checksum.
//! * [`clock`]: time and random identifiers, passed in.

pub mod assessment;
pub mod audit;
pub mod canonical;
pub mod clock;
pub mod continuation;
pub mod delivery;
pub mod digest;
pub mod entity;
pub mod entity_type;
pub mod execution;
pub mod item;
pub mod readiness;
pub mod receipt_mark;
pub mod scope;
pub mod set_item;
pub mod tao;
pub mod vocabulary;

pub use clock::Clock;
pub use digest::{Digest, SetDigest};
pub use entity::{Entity, Property, Value};
pub use entity_type::EntityType;
pub use scope::OrgId;
pub use set_item::SetItem;
