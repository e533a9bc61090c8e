//! Results from local to central: what is finished is pushed, received, answered with signed receipts, and marked as
//! sent on their word alone (DESIGN §5).
//!
//! * [`push`] (local) sends the outbox; [`acknowledge`] (local) believes only receipts that verify.
//! * [`receive`] (central) checks (`check`), stores and answers.
//! * [`payload`]: what items other than attempts carry.
//! * [`sealing`]: payloads for the holders of the results keys.
//! * [`export`] (both): results as files for people, also under [`pseudonyms`].

pub mod acknowledge;
mod check;
mod error;
pub mod export;
pub mod payload;
pub mod pseudonyms;
pub mod push;
pub mod receive;
pub mod sealing;

pub use error::{PushFailed, UpError};
pub use push::{Parcel, Push, UpLimits, UpOutcome, push};
pub use receive::{Authority, Receiver, standing};
