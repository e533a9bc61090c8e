//! The database of a TAO installation, PostgreSQL or MySQL/MariaDB: read in one unchanging picture, changed in named
//! transactions, and only after its tables were recognised and somebody has adopted it.
//!
//! Nothing here knows our own store: both meet in `sync::tao_database`.
//!
//! * [`database`]: connections, pictures to read from, transactions to write in, and the lock a second taosync sees.
//! * [`statement`]: one SQL text for both databases, its values beside it.
//! * [`row`]: what a database answers.
//! * [`schema`]: which of TAO's variants this is (WIRE §15); what is unknown is refused.
//! * [`read`], [`write`](mod@write): what is asked of TAO's data, and what is written as TAO writes it.
//! * [`command`]: handing a package to TAO's own import.

pub mod command;
pub mod database;
mod error;
mod key_value;
pub mod read;
pub mod row;
pub mod schema;
pub mod statement;
pub mod vocabulary;
pub mod write;

mod connection;

pub use database::{Change, Database, Kind, Reading};
pub use error::TaoError;
pub use row::Row;
pub use schema::Schema;
pub use statement::{Statement, Value};
