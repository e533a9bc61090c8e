//! Results from the test runner to central, with a central and a local server in one process and no network.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod hand_in;
mod runner;
mod school;
mod tao_database;
