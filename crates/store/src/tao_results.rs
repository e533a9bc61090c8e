//! Results and a TAO's own database: what of its executions became items (local), what of the received items was written
//! into it (central). These are our marks; what TAO itself notes is in its database (`taosync-tao`).

mod taken;
mod written;

pub use taken::{ConfirmedResult, LogItem, NewTaken, Taken, TakenAnswer, ToTell};
pub use written::{Due, Written, WrittenState};
