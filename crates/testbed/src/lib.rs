//! Throw-away PostgreSQL and MariaDB servers with a TAO in them, for tests and the bench; no part of the program.
//!
//! A run of all tests starts one of each and names them in `TAOSYNC_TEST_POSTGRES` and `TAOSYNC_TEST_MARIADB`
//! (`cargo xtask test`, `cargo xtask tao-servers`); without these a process starts its own when it needs one. Each test
//! has a database of its own, which goes with it.
//!
//! * [`server`]: the servers.
//! * [`database`]: one database, and what stands in its tables.
//! * [`dump`]: PostgreSQL's dumps as they are, and the same as MariaDB takes them.
//! * [`tao`]: the TAOs there are to load: golden ones beside the checkout, small ones of our own.

pub mod database;
pub mod dump;
pub mod server;
pub mod tao;

mod convert;

pub use database::TestDatabase;
pub use server::Kind;
