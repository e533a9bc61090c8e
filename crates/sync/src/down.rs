//! Data down: central offers what is new for an org, local pulls it, verifies it, applies it.
//!
//! In order: [`offer`] (central: hello, pages, closing look), [`pull`] (local: chunks and positions, then digests),
//! [`compare`] (both: when positions cannot be trusted), [`guard`] (local: large removals ask first).

pub mod compare;
pub mod guard;
pub mod offer;
pub mod pull;
mod read;
