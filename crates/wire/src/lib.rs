//! What crosses the network. [`frame`] is the container of every stream; [`v1`] are the messages of our own protocol
//! (docs/PROTOCOL.md), [`tao`] those of TAO's (docs/TAO.md). No I/O here: bytes in, messages out.

pub mod frame;
pub mod problem;
pub mod secret_text;
pub mod tao;
pub mod v1;

pub use problem::Problem;
