//! What a running server does with an adopted TAO: at central TAO's data come in and results go out, again and again.

use std::time::Duration;

use taosync_store::settings::Role;
use taosync_sync::session::Mode;
use taosync_sync::tao_database::Installation;
use tokio::sync::oneshot;

use crate::changes::ChangeOptions;
use crate::commands::tao::{pull, push};
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;
use crate::output::Output;

/// Works until the server ends. What was said is not said again at every round.
pub async fn run(node: Node, mut stopped: oneshot::Receiver<()>) {
    let pause = Duration::from_secs(node.config.tao.every_seconds.into());
    let mut told = String::new();
    loop {
        let round = async {
            let words = match once(&node).await {
                Ok(words) => words,
                Err(failure) => format!("{}: {}; trying again later", failure.code, failure.message),
            };
            if words != told && !words.is_empty() {
                tracing::warn!("{words}");
            }
            told = words;
            tokio::time::sleep(pause).await;
        };
        // A round that is cut has changed nothing, or what it changed is whole.
        tokio::select! {
            _ = &mut stopped => break,
            () = round => {}
        }
    }
}

/// One round; says what a person should look at.
pub async fn once(node: &Node) -> Result<String, Failure> {
    if node.identity.role != Role::Central || !Installation::is_adopted(&node.store).await? {
        return Ok(String::new());
    }
    // Nobody is there to be asked.
    let context = Context { place: node.place.clone(), output: Output::Json, clock: node.clock.clone() };
    let pulled = pull::central(&context, node, ChangeOptions::default()).await?;
    if pulled.report.is_change() {
        tracing::info!(
            created = pulled.report.created,
            updated = pulled.report.updated,
            removed = pulled.report.removed,
            "TAO's data came in"
        );
    }
    let pushed = push::push(node, Mode::Apply, &node.keyring.results().clone()).await?;
    let notes = pulled.packages.notes.iter().chain(&pushed.notes);
    Ok(notes.map(|note| format!("{} {}", note.about, note.what)).collect::<Vec<_>>().join("; "))
}
