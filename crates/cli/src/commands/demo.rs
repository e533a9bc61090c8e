//! `taosync demo`: everything once, on this machine alone.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::Place;
use crate::context::Context;
use crate::demo::{self, Figures, Stage};
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};

use super::serve;

/// See two servers exchange an exam's data and results, on this machine alone
#[derive(Debug, Args)]
#[command(
    after_help = "Makes a central and a school's server in a temporary directory, or in --dir, which stays. Everything is real:
two servers with TLS, a test with pictures, an exam through the interface of a test runner. Fails when anything
is not equal at the end.

Examples:
  taosync demo
  taosync demo --takers 10000
  taosync --dir /tmp/demo demo --serve"
)]
pub struct Options {
    /// Test takers of both organisations
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    takers: u32,
    /// Leave both servers running afterwards, and say where
    #[arg(long)]
    serve: bool,
}

impl Options {
    /// Plays the demonstration.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let stage = Stage::open(context, chosen_dir(context)?.as_deref()).await?;
        let figures = match self.play(&stage).await {
            Ok(figures) => figures,
            Err(failure) => {
                end_quietly(stage).await;
                return Err(failure);
            }
        };
        let exit = if figures.problems.is_empty() && figures.digest_equal { Exit::Done } else { Exit::Failed };
        if self.serve {
            let shown = show_and_wait(context, &stage, &figures).await;
            end_quietly(stage).await;
            return shown.map(|()| exit);
        }
        stage.close().await?;
        context.output.answer(&figures, || demo::ending(&figures))?;
        Ok(exit)
    }

    async fn play(&self, stage: &Stage) -> Result<Figures, Failure> {
        tokio::select! {
            figures = demo::tell(stage, self.takers as usize) => figures,
            () = serve::told_to_stop() => Err(Failure::new("TS-409", "the demonstration was interrupted", "")),
        }
    }
}

async fn show_and_wait(context: &Context, stage: &Stage, figures: &Figures) -> Result<(), Failure> {
    context.output.answer(figures, || demo::ending(figures))?;
    if context.output == Output::Text {
        output::print_text(&demo::invitation(stage, &program()))?;
    }
    serve::told_to_stop().await;
    Ok(())
}

/// Ends both servers after the one answer of this command is given, or about to be given.
async fn end_quietly(stage: Stage) {
    if let Err(failure) = stage.close().await {
        tracing::warn!(failure = failure.to_text(), "the servers of the demonstration did not end well");
    }
}

/// The directory somebody asked for. One that holds a node is not for a demonstration.
fn chosen_dir(context: &Context) -> Result<Option<PathBuf>, Failure> {
    if context.place == Place::new(None) {
        return Ok(None);
    }
    let dir = context.place.dir();
    if context.place.config_file().exists() {
        let message = format!("{} holds a node: nothing was changed", dir.display());
        return Err(Failure::new("TS-004", message, "choose another --dir, or leave it out (and TAOSYNC_DIR too)"));
    }
    std::fs::create_dir_all(dir).map_err(|source| Failure::file("create", dir, source))?;
    let absolute = std::path::absolute(dir).map_err(|source| Failure::file("find", dir, source))?;
    Ok(Some(absolute))
}

/// How this program was called, for commands to be copied.
fn program() -> PathBuf {
    std::env::args_os().next().map_or_else(|| Path::new("taosync").to_owned(), PathBuf::from)
}
