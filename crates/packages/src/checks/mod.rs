//! What is checked beyond being readable: one file for each subject. A check takes what was read (the page for lines,
//! the document for meaning), pushes problems and decides nothing else.

mod attributes;
mod declarations;
pub(crate) mod files;
mod flow;
mod grammar;
mod identifiers;
mod interactions;
mod scoring;
mod structure;
mod values;
pub(crate) mod variables;

use crate::compile::document::{Item, Test};
use crate::problem::CheckReport;
use crate::xml::Page;

/// What every page of QTI must obey.
pub(crate) fn of_page(page: &Page<'_>, report: &mut CheckReport) {
    attributes::check(page, report);
    structure::check(page, report);
}

/// What a test must obey that was read from this page (and from section files).
pub(crate) fn of_test(page: &Page<'_>, test: &Test, report: &mut CheckReport) {
    identifiers::check(page, test, report);
    declarations::check(page, report);
    flow::check(page, test, report);
}

/// What an item must obey that was read from this page.
pub(crate) fn of_item(page: &Page<'_>, item: &Item, report: &mut CheckReport) {
    declarations::check(page, report);
    interactions::check(page, item, report);
    scoring::check(page, item, report);
    variables::check_item(page, item, report);
}
