//! The item of an otherwise sound package.

/// Compiles the package twice, and reads what was compiled.
pub fn check(input: &[u8]) {
    crate::one_file::check("item.xml", input);
}
