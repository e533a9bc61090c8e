//! An entity as TAO shows it: properties merged as PHP merges them, and the MD5 checksum over their PHP serialisation
//! (WIRE §3, §4). Both sides of TAO's protocol use it, and the store, which keeps checksums beside its digests.
//!
//! * `number`: which texts PHP takes for numbers, and its comparison of two texts.
//! * `sort`: PHP's order of a list. It matters only where numbers and other texts stand side by side: that comparison is
//!   not transitive, so the order depends on the steps of the sort.
//! * [`properties`]: merged properties, and their serialisation.
//! * [`checksum`]: the checksum.

pub mod checksum;
mod number;
pub mod properties;
mod sort;

pub use checksum::TaoChecksum;
pub use number::loosely_equal;
pub use properties::{Merged, Properties};

#[cfg(test)]
mod vectors;
