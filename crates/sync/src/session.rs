//! One whole sync: for each org results first, then data, packages, and results again; record and report.

mod error;
pub mod held;
mod org;
mod report;
mod run;
pub mod summary;
mod tao;

pub use error::SyncError;
pub use org::link_for;
pub use run::{Mode, Plan, What, run};
pub use summary::{Progress, Summary};
