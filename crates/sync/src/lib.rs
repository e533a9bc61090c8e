//! The flow of a sync. Read [`down`] and [`up`] in `mod` order and you have read the product.
//!
//! * [`link`]: requests to a central: TLS, tokens, retries, counted bytes.
//! * [`down`]: select → offer (central) → pull → verify → apply (local); [`down::compare`] when positions cannot be
//!   trusted.
//! * [`packages`]: publish (central), fetch and compile (local).
//! * [`up`]: collect → push (local) → receive (central) → acknowledge (local).
//! * [`runner`]: what a test runner does on a local server.
//! * [`tao`]: central as TAO's clients see it.
//! * [`tao_remote`]: a local server at a TAO central.
//! * [`tao_database`]: a TAO installation's own database at this end.
//! * [`accounts`]: who may see and do what at a server's pages.
//! * [`session`]: one whole sync, its record and its report.

pub mod accounts;
pub mod down;
pub mod link;
pub mod packages;
pub mod runner;
pub mod session;
pub mod tao;
pub mod tao_database;
pub mod tao_remote;
pub mod up;
