//! A TAO installation's own database at this end. Central: TAO's data become the feed ([`central_pull`]), results go into
//! TAO ([`central_push`]). Local: what came from central goes into TAO ([`projection`]), finished executions become items of
//! the outbox ([`local_push`]).
//!
//! * [`installation`]: the database, recognised, and whether this node may write.
//! * [`check`]: what is there, and what stands in the way of adopting it.
//! * [`executions_up`]: which executions are taken, and `attempts`: what is made of them; [`told`]: what central confirmed is
//!   noted in TAO's own tables; [`claimed`]: what taoSync marks as handed in and nothing shows.
//! * [`results_up`]: what came in, as TAO's reports read it.
//! * [`outcome`]: what a pull or a push did, in words and counts.

mod attempts;
pub mod central_pull;
pub mod central_push;
pub mod check;
pub mod claimed;
mod error;
pub mod executions_up;
pub mod installation;
pub mod local_push;
pub mod outcome;
pub mod projection;
pub mod results_up;
pub mod told;

pub use error::TaoDatabaseError;
pub use installation::Installation;
pub use outcome::{Note, Outcome};
