//! Packages of deliveries: [`publish`] at central, [`mod@fetch`] at local ([`ahead`]: what it would bring), [`contents`]
//! on both sides.

pub mod ahead;
pub mod contents;
pub mod fetch;
mod meter;
pub mod publish;
pub mod readiness;
mod transfer;

pub use fetch::FetchOutcome;
pub use publish::{PublishError, PublishRequest, Published};
pub use readiness::Readiness;
