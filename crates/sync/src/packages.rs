//! Packages of deliveries: [`publish`] and [`mod@rollback`] at central, [`mod@fetch`] at local ([`ahead`]: what it would
//! bring), [`contents`] and [`mod@export`] on both sides; [`line`](mod@line): how fast it could be; [`adopt()`] at local where a TAO central sends zips.

mod adopt;
pub mod ahead;
pub mod contents;
pub mod export;
pub mod fetch;
pub mod garbage;
pub mod line;
pub mod locked;
mod meter;
pub mod publish;
pub mod readiness;
pub mod rollback;
mod transfer;

pub use adopt::adopt;
pub use fetch::FetchOutcome;
pub use publish::{PublishError, PublishRequest, Published};
pub use readiness::Readiness;
