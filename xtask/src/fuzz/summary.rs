//! One line for each target.

use std::process::ExitCode;

use comfy_table::{Table, presets};

use super::run::Outcome;

/// Prints the table; a find, or a target that ended by itself, is a failure.
pub fn print(outcomes: &[Outcome]) -> ExitCode {
    let mut table = Table::new();
    let head = ["target", "outcome", "seconds", "runs", "coverage", "new inputs", "finds"];
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(head);
    for outcome in outcomes {
        let word = if is_good(outcome) { "passed" } else { "FAILED" };
        let finds: Vec<_> = outcome.found.iter().map(|file| file.display().to_string()).collect();
        table.add_row([
            outcome.target.clone(),
            word.to_owned(),
            format!("{:.0}", outcome.time.as_secs_f64()),
            outcome.runs.to_string(),
            outcome.coverage.to_string(),
            outcome.fresh.to_string(),
            finds.join("\n"),
        ]);
    }
    println!("\n{table}\n");
    if outcomes.iter().all(is_good) {
        return ExitCode::SUCCESS;
    }
    println!("what each target said stands in fuzz/artifacts/TARGET.log; mend the program, then keep the input in");
    println!("fuzz/regressions/TARGET/ under a name that says what it was");
    ExitCode::FAILURE
}

fn is_good(outcome: &Outcome) -> bool {
    outcome.ended_well && outcome.found.is_empty() && outcome.runs > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        Outcome { target: "csv".to_owned(), runs: 10, ended_well: true, ..Outcome::default() }
    }

    #[test]
    fn a_find_a_crash_and_a_target_that_never_ran_are_failures() {
        assert_eq!(print(&[outcome()]), ExitCode::SUCCESS);
        assert_eq!(print(&[outcome(), Outcome { found: vec!["crash-1".into()], ..outcome() }]), ExitCode::FAILURE);
        assert_eq!(print(&[Outcome { ended_well: false, ..outcome() }]), ExitCode::FAILURE);
        assert_eq!(print(&[Outcome { runs: 0, ..outcome() }]), ExitCode::FAILURE);
    }
}
