//! What a running server does now and then: erases what is over its time.

use std::time::Duration;

use jiff::SignedDuration;
use taosync_store::settings::Role;
use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::node::Node;

/// How often.
const PAUSE: Duration = Duration::from_secs(300);

/// Works until the server ends.
pub async fn run(node: Node, mut stopped: oneshot::Receiver<()>) {
    loop {
        match once(&node).await {
            Ok(0) => {}
            Ok(number) => tracing::info!(number, "erased what is over its time"),
            Err(failure) => tracing::warn!(code = failure.code, "{}; trying again later", failure.message),
        }
        if tokio::time::timeout(PAUSE, &mut stopped).await.is_ok() {
            return;
        }
    }
}

/// One round; says how much was erased.
pub async fn once(node: &Node) -> Result<u64, Failure> {
    let now = node.clock.now();
    match node.identity.role {
        Role::Central => Ok(node.store.tokens_sweep(now).await? + forget_removals(node).await?),
        Role::Local => {
            let resumable = node.store.executions_erase_resume(now).await?;
            Ok(resumable + purge_confirmed(node).await?)
        }
    }
}

/// Drops what was removed long ago from the feeds (DESIGN §4, `floor`).
async fn forget_removals(node: &Node) -> Result<u64, Failure> {
    let kept = SignedDuration::from_hours(24 * i64::from(node.config.sync_service.keep_removals_days));
    let Ok(before) = node.clock.now().checked_sub(kept) else { return Ok(0) };
    Ok(node.store.removals_forget(before).await?)
}

/// Erases sealed copies of hidden results that are in a backup of central's and were kept long enough (DESIGN §5).
async fn purge_confirmed(node: &Node) -> Result<u64, Failure> {
    let kept = SignedDuration::from_hours(24 * i64::from(node.config.result_service.keep_days));
    let Ok(sent_before) = node.clock.now().checked_sub(kept) else { return Ok(0) };
    let mut purged = 0;
    for replica in node.store.replicas_list().await? {
        purged += node.store.outbox_purge(&replica.org, replica.safe_receipt_no, sent_before).await?;
    }
    Ok(purged)
}
