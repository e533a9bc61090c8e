//! Who may come in: tokens by client credentials (RFC 6749 §4.4), and every request signed with the node key (RFC 9449).

pub(crate) mod authorization;
mod caller;
mod client;
pub(crate) mod enrol;
mod form;
mod manager;
mod node;
pub(crate) mod proof;
mod refusal;
mod slow_down;
pub(crate) mod token;

pub(crate) use caller::{Caller, CallerOnce};
pub(crate) use client::{Credentials, Shown, authenticate};
pub(crate) use manager::{NotLooked, signed_in};
pub(crate) use refusal::Refusal;
pub(crate) use slow_down::SlowDown;
