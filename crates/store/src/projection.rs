//! What TAO's own database was given of this local server's replica: the cursor of the projection. An entity that was
//! given as it is now is not read again; what was ever sent of it says which of TAO's properties are ours to replace.

mod bodies;
mod imports;
mod marks;
mod open;
#[cfg(test)]
mod tests;

pub use bodies::Projectable;
pub use imports::{Import, ImportState};
pub use marks::{Given, Mark, PAGE};
