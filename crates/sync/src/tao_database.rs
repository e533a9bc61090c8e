//! A TAO installation's own database at this end. Central: TAO's data become the feed ([`central_pull`]), results go into
//! TAO ([`central_push`]). Local: what came from central goes into TAO ([`projection`]), finished executions become items of
//! the outbox ([`local_push`]).
//!
//! * [`installation`]: the database, recognised, and whether this node may write.
//! * [`check`]: what is there, and what stands in the way of adopting it.
//! * [`outcome`]: what a pull or a push did, in words and counts.

pub mod central_pull;
pub mod central_push;
pub mod check;
mod error;
pub mod installation;
pub mod local_push;
pub mod outcome;
pub mod projection;

pub use error::TaoDatabaseError;
pub use installation::Installation;
pub use outcome::{Note, Outcome};
