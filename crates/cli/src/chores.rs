//! What a running server does now and then: erases what is over its time.

pub mod tao;

use std::time::Duration;

use jiff::SignedDuration;
use taosync_store::settings::Role;
use taosync_sync::packages::garbage;
use tokio::sync::oneshot;

use crate::changes;
use crate::failure::Failure;
use crate::node::Node;
use crate::verification::{self, Pace};

/// How often.
const PAUSE: Duration = Duration::from_secs(300);

/// How often everything stored is looked at.
const EVERY_DAY: SignedDuration = SignedDuration::from_hours(24);
/// How often requests that only asked are noted in the audit log.
const POLLS_NOTED: SignedDuration = SignedDuration::from_hours(1);
/// How long the identity of a proof is kept: longer than the nonce in it is good.
const PROOFS_KEPT: SignedDuration = SignedDuration::from_hours(2);
/// Rest after every slice of a daily pass: an exam comes first.
const REST: Duration = Duration::from_millis(20);

/// Works until the server ends.
pub async fn run(node: Node, mut stopped: oneshot::Receiver<()>) {
    loop {
        note_polls(&node, POLLS_NOTED).await;
        match once(&node).await {
            Ok(0) => {}
            Ok(number) => tracing::info!(number, "erased what is over its time"),
            Err(failure) => tracing::warn!(code = failure.code, "{}; trying again later", failure.message),
        }
        let pass = async {
            match daily_pass(&node).await {
                Ok(Some(0) | None) => {}
                Ok(Some(problems)) => tracing::warn!(problems, "stored data are damaged: run 'taosync verify'"),
                Err(failure) => tracing::warn!(code = failure.code, "{}; checking again later", failure.message),
            }
            tokio::time::sleep(PAUSE).await;
        };
        tokio::select! {
            _ = &mut stopped => break,
            () = pass => {}
        }
    }
    note_polls(&node, SignedDuration::ZERO).await;
}

/// Notes how often others only asked.
async fn note_polls(node: &Node, age: SignedDuration) {
    if let Err(error) = node.store.polls_note(age).await {
        tracing::warn!(%error, "the requests that were counted could not be noted");
    }
}

/// One round; says how much was erased.
pub async fn once(node: &Node) -> Result<u64, Failure> {
    let now = node.clock.now();
    let forgotten = forget_syncs(node).await?;
    let erased = match node.identity.role {
        Role::Central => {
            changes::orphans(node).await;
            node.store.tokens_sweep(now).await? + forget_proofs(node).await? + forget_removals(node).await?
        }
        Role::Local => {
            node.store.executions_erase_resume(now).await? + purge_confirmed(node).await? + purge_departed(node).await?
        }
    };
    let collected = garbage::collect(&node.store, node.identity.role, garbage::WAIT).await?;
    Ok(forgotten + erased + collected.packages + collected.chunks + collected.leftovers)
}

/// Drops proofs that are too old to be shown again.
async fn forget_proofs(node: &Node) -> Result<u64, Failure> {
    let Ok(before) = node.clock.now().checked_sub(PROOFS_KEPT) else { return Ok(0) };
    Ok(node.store.proofs_sweep(before).await?)
}

/// Drops old records of syncs.
async fn forget_syncs(node: &Node) -> Result<u64, Failure> {
    let kept = SignedDuration::from_hours(24 * i64::from(node.config.sync_service.keep_history_days));
    let Ok(before) = node.clock.now().checked_sub(kept) else { return Ok(0) };
    Ok(node.store.syncs_forget(before).await?)
}

/// Looks at everything stored once a day, gently; says how many problems there are, or nothing when it is not time yet.
/// A pass that a restart has cut begins anew: what counts is kept at its end.
pub async fn daily_pass(node: &Node) -> Result<Option<usize>, Failure> {
    let now = node.clock.now();
    if let Some(last) = verification::last(&node.store).await? {
        // A pass in the future was made by a clock that was wrong.
        let age = now.duration_since(last.at);
        if age < EVERY_DAY && age > -EVERY_DAY {
            return Ok(None);
        }
    }
    let strays = garbage::remove_strays(&node.store, garbage::WAIT).await?;
    if strays > 0 {
        tracing::info!(strays, "deleted parts of tests that a process which died had left");
    }
    verification::pass(node, Pace::Gentle(REST), &|_, _, _| {}).await?;
    // A person may have mended and looked again meanwhile.
    Ok(verification::last(&node.store).await?.map(|last| last.problems))
}

/// Drops what was removed long ago from the feeds (DESIGN §4, `floor`).
async fn forget_removals(node: &Node) -> Result<u64, Failure> {
    let kept = SignedDuration::from_hours(24 * i64::from(node.config.sync_service.keep_removals_days));
    let Ok(before) = node.clock.now().checked_sub(kept) else { return Ok(0) };
    Ok(node.store.removals_forget(before).await?)
}

/// Erases sealed copies of hidden results that are in a backup of central's and were kept long enough (DESIGN §5).
pub async fn purge_confirmed(node: &Node) -> Result<u64, Failure> {
    let kept = SignedDuration::from_hours(24 * i64::from(node.config.result_service.keep_days));
    let Ok(sent_before) = node.clock.now().checked_sub(kept) else { return Ok(0) };
    let mut purged = 0;
    for replica in node.store.replicas_list().await? {
        let Some(epoch) = replica.epoch else { continue };
        purged += node.store.outbox_purge(&replica.org, epoch, replica.safe_receipt_no, sent_before).await?;
    }
    Ok(purged)
}

/// Erases what is kept here of people whom central has removed, once central holds what they did.
pub async fn purge_departed(node: &Node) -> Result<u64, Failure> {
    let mut purged = 0;
    for replica in node.store.replicas_list().await? {
        let Some(epoch) = replica.epoch else { continue };
        purged += node.store.departed_purge(&replica.org, epoch, replica.safe_receipt_no).await?;
    }
    Ok(purged)
}

#[cfg(test)]
mod tests;
