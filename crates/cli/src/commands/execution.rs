//! `taosync execution`: attempts of test takers on a local server.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use taosync_model::OrgId;
use taosync_model::execution::ExecutionState;
use taosync_results::MAX_XML;
use taosync_store::executions::{Execution, ExecutionFilter};
use taosync_store::settings::Role;
use taosync_sync::runner::{MAX_FILES, Runner, RunnerError, Submission, SubmitOutcome};
use uuid::Uuid;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;
use crate::output;
use crate::progress::Bar;

/// Attempts of a page of a list.
const PAGE: u32 = 1_000;
/// Bytes of all files of one submission: they are checked together before any is stored.
const MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// Attempts of test takers (local)
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  taosync --dir /srv/local execution submit results/*.xml
  taosync --dir /srv/local execution submit anna.xml --delivery URI --test-taker anna
  taosync --dir /srv/local execution list --state active
  taosync --dir /srv/local execution terminate ID --reason 'fire alarm'")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Take in results as QTI Results Reporting files: all, or with one wrong file none
    Submit {
        /// The files
        #[arg(required = true, value_name = "FILE.xml")]
        files: Vec<PathBuf>,
        /// Which test; without it, what the file or the eligibilities of the test taker say
        #[arg(long, value_name = "URI")]
        delivery: Option<String>,
        /// Whose results; without it, the sourcedId of the file
        #[arg(long, value_name = "LOGIN|URI")]
        test_taker: Option<String>,
    },
    /// List attempts
    List {
        /// Of one organisation only
        #[arg(long, visible_alias = "organisation-id", value_name = "ORG")]
        org: Option<OrgId>,
        /// Of one test only
        #[arg(long, value_name = "URI")]
        delivery: Option<String>,
        /// Of one test taker only
        #[arg(long, value_name = "URI")]
        test_taker: Option<String>,
        /// In one state only: active, paused, awaiting, authorized, finished, terminated, canceled
        #[arg(long, value_name = "STATE")]
        state: Option<ExecutionState>,
    },
    /// End an attempt, keeping what was answered
    Terminate {
        /// Its id
        id: Uuid,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "ended by the administrator")]
        reason: String,
    },
    /// Let an attempt that was ended go on, within the configured time
    Reactivate {
        /// Its id
        id: Uuid,
    },
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let node = Node::open_as(context, Role::Local).await?;
        match self.act {
            Act::Submit { files, delivery, test_taker } => {
                submit(context, &node, files, delivery.as_deref(), test_taker.as_deref()).await?;
            }
            Act::List { org, delivery, test_taker, state } => {
                list(context, &node, ExecutionFilter { org, delivery, test_taker, state, after: None }).await?;
            }
            Act::Terminate { id, reason } => {
                let ended = runner(&node).await?.terminate(id, &reason).await.map_err(refused)?;
                node.audit("execution.terminate", &id.to_string(), json!({"reason": reason})).await?;
                answer_one(context, &ended)?;
            }
            Act::Reactivate { id } => {
                let active = runner(&node).await?.reactivate(id).await.map_err(refused)?;
                node.audit("execution.reactivate", &id.to_string(), json!({})).await?;
                answer_one(context, &active)?;
            }
        }
        Ok(Exit::Done)
    }
}

async fn runner(node: &Node) -> Result<Runner, Failure> {
    Ok(Runner::open(node.store.clone(), node.config.result_service.reactivation_window()).await?)
}

async fn submit(
    context: &Context,
    node: &Node,
    files: Vec<PathBuf>,
    delivery: Option<&str>,
    test_taker: Option<&str>,
) -> Result<(), Failure> {
    if files.len() > MAX_FILES {
        return Err(Failure::wrong_text(
            format!("{} files are too many", files.len()),
            format!("submit {MAX_FILES} at once"),
        ));
    }
    let bar = Bar::phase(context.output, &format!("reading {} files", files.len()));
    let files = tokio::task::spawn_blocking(move || read_files(&files)).await??;
    bar.begin("checking and storing");
    let outcomes = runner(node).await?.submit(files, delivery, test_taker).await.map_err(refused)?;
    bar.end();
    if let Some(failure) = problems(&outcomes) {
        return Err(failure);
    }
    let document: Vec<_> = outcomes.iter().map(outcome_json).collect();
    let stored = outcomes.iter().filter(|o| matches!(o.outcome, Submission::Stored(_))).count();
    let unchanged = outcomes.len() - stored;
    node.audit("execution.submit", &format!("{stored} results"), json!({"stored": stored, "unchanged": unchanged}))
        .await?;
    let document = json!({"stored": stored, "unchanged": unchanged, "executions": document});
    context.output.answer(&document, || {
        format!("{stored} results are waiting to be handed in; {unchanged} were here already.\nNext: taosync --dir {} sync all", node.place.dir().display())
    })
}

fn read_files(paths: &[PathBuf]) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    use std::io::Read as _;
    let mut total = 0;
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path);
        // One byte more than may be: the parser then says that the file is too large.
        let read = file.and_then(|file| file.take(MAX_XML as u64 + 1).read_to_end(&mut bytes));
        read.map_err(|source| Failure::file("read", path, source))?;
        total += bytes.len() as u64;
        if total > MAX_BYTES {
            let message = format!("the files have more than {} together", output::bytes(MAX_BYTES));
            return Err(Failure::wrong_text(message, "submit fewer at once; the same file twice does no harm"));
        }
        files.push((path.display().to_string(), bytes));
    }
    Ok(files)
}

/// Everything that is wrong with the files; nothing of any was stored then.
fn problems(outcomes: &[SubmitOutcome]) -> Option<Failure> {
    let wrong: Vec<_> = outcomes
        .iter()
        .filter_map(|o| match &o.outcome {
            Submission::Problem(problem) => Some((&o.file, problem)),
            _ => None,
        })
        .collect();
    if wrong.is_empty() {
        return None;
    }
    let message = format!("{} of {} files cannot be taken: nothing was stored", wrong.len(), outcomes.len());
    let mut failure =
        Failure::new("TS-405", message, "correct or leave out the files named above, then submit all again");
    failure.lines = wrong.iter().map(|(file, problem)| format!("{file}: {problem}")).collect();
    failure.errors = wrong.iter().map(|(file, problem)| json!({"file": file, "message": problem})).collect();
    Some(failure)
}

fn outcome_json(outcome: &SubmitOutcome) -> Value {
    let (word, id) = match &outcome.outcome {
        Submission::Stored(id) => ("stored", Some(id)),
        Submission::Unchanged(id) => ("unchanged", Some(id)),
        Submission::Problem(_) => ("problem", None),
        Submission::Held => ("held", None),
    };
    json!({"file": outcome.file, "outcome": word, "execution": id})
}

async fn list(context: &Context, node: &Node, mut filter: ExecutionFilter) -> Result<(), Failure> {
    let mut all = Vec::new();
    loop {
        let page = node.store.executions_list(&filter, PAGE).await?;
        let Some(last) = page.last() else { break };
        filter.after = Some(last.id);
        all.extend(page);
    }
    let document: Vec<_> = all.iter().map(to_json).collect();
    context.output.answer(&json!({"executions": document, "count": all.len()}), || {
        let rows = all.iter().map(|e| {
            let ended = e.finished_at.map_or_else(String::new, output::time);
            vec![
                e.id.to_string(),
                e.state.to_string(),
                e.test_taker.clone(),
                e.delivery.clone(),
                output::time(e.started_at),
                ended,
            ]
        });
        output::table(&["execution", "state", "test taker", "delivery", "began", "ended"], rows)
    })
}

fn to_json(execution: &Execution) -> Value {
    json!({
        "execution": execution.id, "org": execution.org, "delivery": execution.delivery,
        "test_taker": execution.test_taker, "package_version": execution.package_version, "state": execution.state,
        "reason": execution.reason, "version": execution.version, "digest": execution.digest,
        "started_at": execution.started_at, "finished_at": execution.finished_at, "resume_until": execution.resume_until,
    })
}

fn answer_one(context: &Context, execution: &Execution) -> Result<(), Failure> {
    context.output.answer(&to_json(execution), || format!("{} is {} now.", execution.id, execution.state))
}

fn refused(error: RunnerError) -> Failure {
    match error {
        RunnerError::Store(error) => error.into(),
        other => {
            let text = other.to_string();
            let (message, advice) = text.split_once("; ").unwrap_or((&text, ""));
            Failure::new("TS-407", message, advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_file_is_named_and_nothing_is_stored() {
        let outcome = |file: &str, outcome| SubmitOutcome { file: file.to_owned(), outcome };
        let outcomes = [
            outcome("a.xml", Submission::Held),
            outcome("b.xml", Submission::Problem("line 1: this is not XML".into())),
        ];
        let failure = problems(&outcomes).unwrap();
        insta::assert_snapshot!(failure.to_text(), @r"
        b.xml: line 1: this is not XML
        error[TS-405]: 1 of 2 files cannot be taken: nothing was stored
          → correct or leave out the files named above, then submit all again
        ");
        assert!(problems(&[outcome("a.xml", Submission::Stored(Uuid::nil()))]).is_none());
    }
}
