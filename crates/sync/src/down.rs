//! Data down: central offers what is new for an org, local pulls it, verifies it, applies it.
//!
//! In order: [`offer`] (central: hello, pages, closing look), [`pull`] (local: asks, and decides whether to compare),
//! [`compare`] (both: when positions cannot be trusted), [`mod@apply`] (local: chunks and positions, then digests),
//! [`guard`] (local: large removals ask first).

pub mod apply;
pub mod compare;
pub mod guard;
pub mod offer;
pub mod pull;
pub(crate) mod read;
pub mod showing;
