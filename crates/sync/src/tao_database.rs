//! TAO's own database.

pub mod projection;
