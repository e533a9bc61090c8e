//! Who may come in: tokens by client credentials (RFC 6749 §4.4) with a proof of the node key (RFC 9449), and the bearer
//! of every later request (RFC 6750).

pub(crate) mod bearer;
mod client;
mod form;
mod node;
mod refusal;
mod slow_down;
pub(crate) mod token;

pub(crate) use bearer::Caller;
pub(crate) use client::{Credentials, authenticate};
pub(crate) use refusal::Refusal;
pub(crate) use slow_down::SlowDown;
