//! Results between a TAO's own database and ours, with real servers: a local TAO's executions travel up, and land in a
//! central TAO.

mod cuts;
mod golden;
pub mod own;
mod pair;
mod pull;
mod sent;
