//! What is checked beyond being readable: one file for each subject. A check takes what was read (the page for lines,
//! the document for meaning), pushes problems and decides nothing else.

pub(crate) mod attributes;
pub(crate) mod files;
pub(crate) mod identifiers;
pub(crate) mod responses;

use crate::problem::CheckReport;
use crate::xml::Page;

/// What every page of QTI must obey.
pub(crate) fn of_text(page: &Page<'_>, report: &mut CheckReport) {
    attributes::check(page, report);
}
