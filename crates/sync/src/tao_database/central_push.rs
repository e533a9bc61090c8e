//! Central: results that were handed in go where TAO's reports read them.

use taosync_store::Store;
use taosync_vault::results_keys::ResultsIdentities;

use super::results_up::{self, WrittenUp};
use super::{Installation, Outcome, TaoDatabaseError};
use crate::session::Mode;

/// Does it, or says what it would do. `identities` open what is sealed.
pub async fn run(
    store: &Store,
    installation: &Installation,
    identities: &ResultsIdentities,
    mode: Mode,
) -> Result<Outcome, TaoDatabaseError> {
    let written = results_up::write(store, &installation.database, identities, mode).await?;
    Ok(in_words(&written, mode))
}

fn in_words(written: &WrittenUp, mode: Mode) -> Outcome {
    let mut outcome = Outcome { dry_run: mode == Mode::DryRun, ..Outcome::default() };
    outcome.count(["result written into TAO", "results written into TAO"], written.results);
    outcome.count(["result that TAO had already", "results that TAO had already"], written.unchanged);
    outcome.count(
        ["batch of later log rows written into TAO", "batches of later log rows written into TAO"],
        written.logs,
    );
    outcome.count(["older or conflicting version left out", "older or conflicting versions left out"], written.passed);
    outcome.count(
        ["batch of log rows whose result is not in TAO yet", "batches of log rows whose result is not in TAO yet"],
        written.logs_without_result,
    );
    if written.sealed > 0 {
        let are = if written.sealed == 1 { "result or log is" } else { "results or logs are" };
        let what = format!("{} {are} sealed for the results key, which is not here", written.sealed);
        outcome.note("", what, "push with --identity FILE where the key is");
    }
    if written.active > 0 {
        let what = match written.active {
            1 => "1 result is of an execution that is open in TAO".to_owned(),
            several => format!("{several} results are of executions that are open in TAO"),
        };
        outcome.note("", what, "end what is open in TAO, then push again");
    }
    for problem in &written.problems {
        let advice = "look at the size of its texts and at the rights of the database's user, then push again";
        outcome.note(&problem.execution, &problem.why, advice);
    }
    outcome
}
