//! What must hold for any bytes that come from outside. One module for each fuzz target; each has a function `check`
//! that panics when something does not hold.
//!
//! The fuzzer (`fuzz/fuzz_targets/`) calls them with inputs of its own making, and `tests/corpus.rs` with every input
//! that is kept in `fuzz/corpus/`, on the ordinary compiler. No part of the program.

mod central;
pub mod codes;
pub mod csv;
pub mod feed_cursor;
pub mod frames;
pub mod item;
pub mod jsonl_load;
pub mod manifest;
mod one_file;
pub mod pages;
pub mod proof;
pub mod qti;
pub mod recipe;
pub mod result_xml;
mod school;
pub mod sealed;
pub mod tao_answers;
pub mod tao_requests;
pub mod test;
pub mod token_header;
pub mod zip_walker;

use taosync_roster::{MAX_PROBLEMS, RosterProblem};

/// Every target by name.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("codes", codes::check),
    ("csv", csv::check),
    ("feed_cursor", feed_cursor::check),
    ("frames", frames::check),
    ("item", item::check),
    ("jsonl_load", jsonl_load::check),
    ("manifest", manifest::check),
    ("pages", pages::check),
    ("proof", proof::check),
    ("qti", qti::check),
    ("recipe", recipe::check),
    ("result_xml", result_xml::check),
    ("sealed", sealed::check),
    ("tao_answers", tao_answers::check),
    ("tao_requests", tao_requests::check),
    ("test", test::check),
    ("token_header", token_header::check),
    ("zip_walker", zip_walker::check),
];

/// Bytes a message to a person may have.
const MAX_MESSAGE: usize = 2_000;

/// The words of an error, which go to terminals and logs: short, and without characters that steer a terminal.
fn shown(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    assert!(!text.is_empty(), "an error says something");
    assert!(text.len() <= MAX_MESSAGE, "an error of {} bytes", text.len());
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "an error with control characters: {text:?}");
    text
}

fn roster_problems(problems: &[RosterProblem]) {
    assert!(!problems.is_empty() && problems.len() <= MAX_PROBLEMS, "{} problems", problems.len());
    for problem in problems {
        shown(problem);
        assert!(problem.line > 0 && !problem.advice.is_empty(), "{problem:?}");
    }
}
