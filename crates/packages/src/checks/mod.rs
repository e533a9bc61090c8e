//! What is checked beyond being readable: one file for each subject. A check takes what was read (the page for lines,
//! the document for meaning), pushes problems and decides nothing else.

pub(crate) mod attributes;
pub(crate) mod files;
pub(crate) mod identifiers;
pub(crate) mod responses;
