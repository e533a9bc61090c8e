//! The nouns of the store, each on a real database in a directory of its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod answers;
mod audit;
mod blobs;
mod enrolment;
mod executions;
mod history;
mod outbox;
mod packages;
mod packs;
mod received;
mod remotes;
mod reseal;
mod schema;
mod support;
mod tokens;
