//! `taosync keys rotate`: a new key for everything sealed in the database, while the server runs.

use clap::Args;
use serde_json::json;
use taosync_store::reseal::Resealing;

use crate::commands::serve;
use crate::context::Context;
use crate::failure::Failure;
use crate::locks::{self, Lock, Way};
use crate::node::Node;
use crate::output;

/// Passes over everything at most: another process may have sealed something with the older key during the one before.
const PASSES: u32 = 5;

/// Seal the whole database anew with a fresh key, while the server runs
#[derive(Debug, Args)]
#[command(after_help = "Makes a fresh key, then seals everything anew in short steps. Interrupted anywhere, the same
command goes on. The older key is forgotten when nothing is sealed with it any more and no
server runs; until then it stays in keys/columns.json. Backups made before need their own keys,
which are inside them.")]
pub struct Options {}

impl Options {
    /// Begins a rotation, or goes on with one that was interrupted.
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let node = Node::open(context).await?;
        // A backup takes database and keys one after the other: they must fit.
        let _no_backup = locks::backup_lock(node.place.dir()).await?;
        let columns = node.keyring.columns();
        let goes_on = node.store.columns_sealed_with_older().await? > 0;
        if !goes_on {
            columns.rotate()?;
        }
        node.store.column_key_note().await?;
        let resealed = reseal(context, &node).await?;
        let forgotten = forget_older(context, &node).await?;
        let key = columns.key_ids()[0];
        let detail = json!({"key": key, "resealed": resealed, "older_forgotten": forgotten});
        node.audit("keys.rotate", &key.to_string(), detail).await?;
        let document = json!({
            "key": key, "resealed": resealed, "resumed": goes_on, "older_forgotten": forgotten, "keys": columns.key_ids(),
        });
        context.output.answer(&document, || {
            let older = if forgotten {
                "The older keys are forgotten."
            } else {
                "The older keys stay until this runs while the server and syncs rest: 'taosync keys rotate' then."
            };
            format!("Sealed {resealed} values anew with key {key}. {older}\n")
        })
    }
}

async fn reseal(context: &Context, node: &Node) -> Result<u64, Failure> {
    let mut resealed = 0;
    for _ in 0..PASSES {
        let mut at = Resealing::default();
        while !at.is_over() {
            at = node.store.reseal_batch(at).await?;
            output::note(context.output, &format!("{} values sealed anew", resealed + at.resealed));
        }
        resealed += at.resealed;
        if node.store.columns_sealed_with_older().await? == 0 {
            return Ok(resealed);
        }
    }
    let message = "values are still being sealed with the older key";
    Err(Failure::new("TS-108", message, "restart the server, then run 'taosync keys rotate' again"))
}

/// Forgets the older keys, unless somebody works who may have sealed something a moment ago.
async fn forget_older(context: &Context, node: &Node) -> Result<bool, Failure> {
    let Some(_alone) = alone(context, node) else { return Ok(false) };
    let _no_import = locks::change_lock(node.place.dir()).await?;
    node.store.column_keys_forget_older().await?;
    node.keyring.columns().forget_older()?;
    Ok(true)
}

fn alone(context: &Context, node: &Node) -> Option<Vec<Lock>> {
    serve::refuse_running(&node.place).ok()?;
    [Way::Down, Way::Up].into_iter().map(|way| locks::sync_lock(node.place.dir(), way, &*context.clock).ok()).collect()
}
