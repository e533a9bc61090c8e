//! Reading TAO's data, with few statements over whole sets.

pub mod classes;
pub mod entities;
pub mod languages;
pub mod look;
pub mod open_attempts;
