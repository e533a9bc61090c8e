//! Syncs as the command does them, and what happens beside them.

use taosync::commands::sync;
use taosync::failure::Failure;
use taosync_store::outbox::AfterReceipt;
use taosync_sync::down::guard::Removals;
use taosync_sync::session::{Mode, Plan, Summary};
use taosync_sync::up::UpLimits;

use super::copies::start_backup;
use super::imports::{start_file, start_import};
use super::{RUNNING, Stage};
use crate::line::LineFault;
use crate::nodes::{Gone, Nodes, Work};
use crate::schedule::{Beside, Trouble, Who, Wish};
use crate::trouble::{bounded, under};
use crate::{checks, ensure};

/// What a sync had to bear.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Calm {
    Yes,
    /// Central was told something meanwhile.
    Changing,
    No,
}

/// How a sync came out; it may have been killed.
pub(super) type Synced = Result<Result<Summary, Failure>, Gone>;

impl Stage {
    pub(super) async fn sync(
        &mut self,
        local: usize,
        wish: &Wish,
        beside: &Beside,
        trouble: &Trouble,
    ) -> Result<(), String> {
        let off = |who| self.nodes.machine(who).ahead() != 0;
        let clocks = [off(Who::Central), off(Who::Local(local))];
        self.tally.fired("clock of central jumped", u64::from(clocks[0]));
        self.tally.fired("clock of local jumped", u64::from(clocks[1]));
        let done = match beside {
            Beside::Nothing => {
                under(&mut self.nodes, &mut self.tally, local, trouble, |nodes| start_sync(nodes, local, wish)).await?
            }
            Beside::Sync(second) => {
                let (done, also) = self.both(local, wish, trouble, |nodes| start_sync(nodes, local, second)).await?;
                self.tell_apart(&done, &also)?;
                self.judge(local, second, also, Calm::No).await?;
                done
            }
            Beside::Import(edits, word) => {
                let changes = self.world.changes(edits);
                let import = |nodes: &Nodes| start_import(nodes, changes, *word);
                let (done, also) = self.both(local, wish, trouble, import).await?;
                self.tally.fired("import during a sync", 1);
                self.told(edits, *word, also).await?;
                done
            }
            Beside::ImportFile(rows) => {
                let file = self.write_file(rows);
                let (done, also) = self.both(local, wish, trouble, |nodes| start_file(nodes, file.clone())).await?;
                self.tally.fired("file brought in during a sync", 1);
                self.brought_in(rows, file, also).await?;
                done
            }
            Beside::Backup(who) => {
                let backup = self.begin_backup(*who);
                let (done, also) = self.both(local, wish, trouble, |nodes| start_backup(nodes, &backup)).await?;
                self.tally.fired("backup during a sync", 1);
                self.keep_backup(backup, also, trouble).await?;
                done
            }
        };
        let calm = match (beside, trouble) {
            (Beside::Nothing, Trouble::Nothing | Trouble::Line(LineFault::SlowReader(..))) => Calm::Yes,
            (Beside::Import(..) | Beside::ImportFile(_), _) => Calm::Changing,
            _ => Calm::No,
        };
        self.judge(local, wish, done, calm).await?;
        self.note(local).await?;
        checks::replica_is_whole(&self.nodes.locals[local].store()).await?;
        self.compare_results().await
    }

    /// A sync, and something else at the same time.
    async fn both<T>(
        &mut self,
        local: usize,
        wish: &Wish,
        trouble: &Trouble,
        other: impl FnOnce(&Nodes) -> Work<T>,
    ) -> Result<(Synced, Result<T, Gone>), String> {
        let mut also = None;
        let done = under(&mut self.nodes, &mut self.tally, local, trouble, |nodes| {
            let first = start_sync(nodes, local, wish);
            also = Some(other(nodes));
            first
        });
        let done = done.await?;
        Ok((done, bounded(also.expect("it was started")).await?))
    }

    /// Two syncs that go the same way keep out of each other's way: one of them is done, the other told to wait.
    fn tell_apart(&mut self, one: &Synced, other: &Synced) -> Result<(), String> {
        let waits = |sync: &Synced| matches!(sync, Ok(Err(failure)) if failure.code == RUNNING);
        ensure!(!(waits(one) && waits(other)), "two syncs at once, and both were kept out");
        let kept_out = waits(one) || waits(other);
        self.tally.fired("a sync kept out by another", u64::from(kept_out));
        self.tally.fired("two syncs at once", u64::from(!kept_out));
        Ok(())
    }
}

/// Starts what `sync` does.
pub(super) fn start_sync(nodes: &Nodes, local: usize, wish: &Wish) -> Work<Result<Summary, Failure>> {
    let after_receipt = if wish.hide { AfterReceipt::Hide } else { AfterReceipt::Keep };
    let plan = Plan {
        what: wish.what,
        types: wish.types.clone(),
        org: None,
        mode: Mode::Apply,
        removals: if wish.accept { Removals::Accepted } else { Removals::Guarded },
        chunk_size: wish.chunk_size,
        patience: taosync_sync::link::patience::Patience::none(),
        up: UpLimits { items: wish.items, after_receipt, ..UpLimits::default() },
        actor: "test".into(),
        version: "0.1.0".into(),
        encrypted: None,
        proxy: None,
    };
    let machine = &nodes.locals[local];
    let (context, node) = (machine.context(), machine.node());
    machine.spawn(async move { sync::synchronise(&context, &node, &plan).await })
}
