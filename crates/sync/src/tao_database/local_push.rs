//! Local: finished executions of TAO become items of the outbox, and what central has confirmed is noted in TAO.

use taosync_store::Store;

use super::executions_up::{self, TakenUp, Taking};
use super::told::{self, Told};
use super::{Installation, Outcome, TaoDatabaseError};
use crate::session::Mode;

/// Does it, or says what it would do.
pub async fn run(store: &Store, installation: &Installation, taking: &Taking) -> Result<Outcome, TaoDatabaseError> {
    let taken = executions_up::take(store, &installation.database, taking).await?;
    let told = match taking.mode {
        Mode::Apply => told::tell(store, &installation.database).await?,
        Mode::DryRun => Told::default(),
    };
    Ok(in_words(&taken, told, taking.mode))
}

fn in_words(taken: &TakenUp, told: Told, mode: Mode) -> Outcome {
    let mut outcome = Outcome { dry_run: mode == Mode::DryRun, ..Outcome::default() };
    outcome.count(["execution taken into the outbox", "executions taken into the outbox"], taken.attempts);
    outcome.count(
        [
            "of them marked as handed in by taoSync, which nothing shows",
            "of them marked as handed in by taoSync, which nothing shows",
        ],
        taken.only_claimed,
    );
    outcome.count(
        [
            "execution that ended again, taken as the next version",
            "executions that ended again, taken as the next version",
        ],
        taken.next_versions,
    );
    outcome.count(["later log row taken into the outbox", "later log rows taken into the outbox"], taken.log_rows);
    outcome.count(["execution taken before", "executions taken before"], taken.unchanged);
    outcome.count(
        ["execution handed in by taoSync before", "executions handed in by taoSync before"],
        taken.sent_by_taosync,
    );
    outcome.count(
        [
            "execution that is not over, or in a state that is not handed in",
            "executions that are not over, or in a state that is not handed in",
        ],
        taken.not_over,
    );
    outcome.count(
        ["execution without any variable, which stays", "executions without any variable, which stay"],
        taken.without_variables,
    );
    outcome.count(
        [
            "result marked in TAO as handed in, as central confirmed",
            "results marked in TAO as handed in, as central confirmed",
        ],
        told.results,
    );
    outcome.count(["log row marked in TAO as handed in", "log rows marked in TAO as handed in"], told.log_rows);
    for problem in &taken.problems {
        outcome.note(&problem.execution, &problem.why, "it stays in TAO and is tried again with the next push");
    }
    outcome
}
