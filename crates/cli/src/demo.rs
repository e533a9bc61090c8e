//! `taosync demo`: a central and a school's server in one process, from an empty directory to confirmed results.
//!
//! * `data`: the people. `stage`: the two servers. `story`: what happens to them, step by step.
//! * `play`: an exam through the interface of a test runner (`runner_client`, `answers`).
//! * `proof`: what is compared at the end. `report`: the story as text; `figures` is the same as data.

mod answers;
mod data;
mod figures;
mod play;
mod proof;
mod report;
mod runner_client;
mod stage;
mod story;

pub use figures::Figures;
pub use report::{ending, invitation};
pub use stage::Stage;
pub use story::tell;

use crate::failure::Failure;

/// The demonstration itself failed, not what it shows.
fn went_wrong(message: impl Into<String>) -> Failure {
    Failure::new("TS-409", message, "run it again; if that does not help, please report this with TAOSYNC_LOG=debug")
}

#[cfg(test)]
mod tests;
