//! What is written into TAO's tables, as TAO writes it.

pub mod difference;
pub mod entities;
pub mod history;
pub mod wanted;
