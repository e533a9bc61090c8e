//! The replica projected into TAO's database: in PostgreSQL and in MariaDB, against golden states and our own small one.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod deliveries;
mod golden;
mod kills;
mod own;
mod place;
mod variants;
