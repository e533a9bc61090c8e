//! Packages of deliveries: [`publish`] at central, [`fetch`] at local, [`contents`] on both sides.

pub mod contents;
pub mod fetch;
pub mod publish;

pub use fetch::{FetchOutcome, Readiness};
pub use publish::{PublishError, PublishRequest, Published};
