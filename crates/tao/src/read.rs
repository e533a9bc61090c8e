//! What is read of TAO's data.

pub mod languages;
pub mod open_attempts;
