//! Doing something while something goes wrong, and finding out whether it really did.

use std::time::Duration;

use taosync_store::faults::{self, Fault};

use crate::nodes::{Gone, Nodes, Work};
use crate::schedule::{Moment, Reopen, Trouble, Who};
use crate::tally::Tally;

/// Nothing takes longer; in small worlds on one machine nothing comes near.
const BOUND: Duration = Duration::from_secs(120);

/// Waits for work, at most as long as anything may take.
pub async fn bounded<T>(mut work: Work<T>) -> Result<Result<T, Gone>, String> {
    let done = tokio::time::timeout(BOUND, work.ended()).await;
    done.map_err(|_| format!("something ran for more than {} seconds", BOUND.as_secs()))
}

/// Starts work and waits for it while something goes wrong; afterwards it is mended. The line is that of a local server.
pub async fn under<T>(
    nodes: &mut Nodes,
    tally: &mut Tally,
    line: usize,
    trouble: &Trouble,
    start: impl FnOnce(&Nodes) -> Work<T>,
) -> Result<Result<T, Gone>, String> {
    match *trouble {
        Trouble::Nothing => bounded(start(nodes)).await,
        Trouble::Line(fault) => {
            nodes.line(line).arm(fault);
            let done = bounded(start(nodes)).await;
            tally.fired(fault.name(), nodes.line(line).mend());
            done
        }
        Trouble::Disk(who, fault) => {
            let dir = nodes.machine(who).dir.clone();
            faults::arm(&dir, fault);
            let done = bounded(start(nodes)).await;
            tally.fired(disk_name(who, fault), faults::disarm(&dir).min(1));
            done
        }
        Trouble::Death(who, moment, reopen) => {
            let dir = nodes.machine(who).dir.clone();
            let commit = match moment {
                Moment::BeforeCommit(after) => Some(faults::arm(&dir, Fault::StopBeforeCommit { after })),
                Moment::AfterCommit(after) => Some(faults::arm(&dir, Fault::StopAfterCommit { after })),
                Moment::After(_) => None,
            };
            let mut work = start(nodes);
            tokio::select! {
                biased;
                () = comes(moment, commit.as_deref()) => {}
                done = work.ended() => {
                    faults::disarm(&dir);
                    return Ok(done);
                }
                () = tokio::time::sleep(BOUND) => return Err("something hangs".into()),
            }
            faults::disarm(&dir);
            if !work.is_over() {
                nodes.restart(who, reopen).await;
                tally.fired(death_name(who, moment), 1);
                tally.fired("started from a copy of the files", u64::from(reopen == Reopen::CopyOfFiles));
            }
            bounded(work).await
        }
    }
}

async fn comes(moment: Moment, commit: Option<&tokio::sync::Notify>) {
    match (moment, commit) {
        (Moment::After(time), _) => tokio::time::sleep(time).await,
        (_, Some(bell)) => bell.notified().await,
        (_, None) => std::future::pending().await,
    }
}

const fn disk_name(who: Who, fault: Fault) -> &'static str {
    match (who, fault) {
        (Who::Central, Fault::NoMorePages { .. }) => "full database at central",
        (Who::Local(_), Fault::NoMorePages { .. }) => "full database at local",
        (Who::Central, _) => "full disk at central",
        (Who::Local(_), _) => "full disk at local",
    }
}

const fn death_name(who: Who, moment: Moment) -> &'static str {
    match (who, moment) {
        (Who::Central, Moment::After(_)) => "central killed at any moment",
        (Who::Local(_), Moment::After(_)) => "local killed at any moment",
        (Who::Central, _) => "central killed at a commit",
        (Who::Local(_), _) => "local killed at a commit",
    }
}
