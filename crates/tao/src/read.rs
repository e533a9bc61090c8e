//! Reading TAO's data, with few statements over whole sets.

pub mod classes;
pub mod entities;
pub mod executions;
pub mod languages;
pub mod logs;
pub mod look;
pub mod members;
pub mod open_attempts;
pub mod qti_names;
pub mod rows;
pub mod sent;
pub mod variables;
