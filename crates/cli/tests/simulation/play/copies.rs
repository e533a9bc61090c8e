//! Machines that go back or become two: pictures of disks, backups and what is restored from them, copies.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use taosync::backup::read::{self, Into};
use taosync::commands::backup::{self, Made, Sealing};
use taosync::failure::Failure;
use taosync_vault::backup_seal::Opening;

use super::{MACHINES, Stage};
use crate::attempts::{self, Account, Key};
use crate::ensure;
use crate::nodes::{Gone, Nodes, Work};
use crate::schedule::{Trouble, Who};
use crate::trouble::under;
use crate::world::World;

/// A state of a machine that was put aside.
#[derive(Clone)]
pub struct Aside {
    pub who: Who,
    kind: Kind,
    pub path: PathBuf,
    /// What central had been told.
    told: World,
    /// Results that must be in it.
    pub holds: BTreeSet<Key>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Picture,
    Backup,
}

impl Stage {
    pub(super) fn save(&mut self, who: Who) {
        let path = self.nodes.save(who);
        let (who, told) = (self.numbered(who), self.world.clone());
        self.aside.push(Aside { who, kind: Kind::Picture, path, told, holds: BTreeSet::new() });
    }

    /// Numbers may count further than there are local servers.
    fn numbered(&self, who: Who) -> Who {
        match who {
            Who::Central => Who::Central,
            Who::Local(local) => Who::Local(self.nodes.any(local)),
        }
    }

    /// The last state of this machine that was put aside, or else of another.
    fn last_aside(&self, who: Who, kind: Kind) -> Option<(usize, Aside)> {
        let mut all = self.aside.iter().enumerate().rev().filter(|(_, aside)| aside.kind == kind);
        let found = all.clone().find(|(_, aside)| aside.who == self.numbered(who)).or(all.next());
        found.map(|(number, aside)| (number, aside.clone()))
    }

    pub(super) async fn put_back(&mut self, who: Who) -> Result<(), String> {
        let Some((number, aside)) = self.last_aside(who, Kind::Picture) else { return Ok(()) };
        self.nodes.put_back(aside.who, &aside.path).await;
        let name = if aside.who == Who::Central { "central put back" } else { "local put back" };
        self.tally.fired(name, 1);
        self.went_back(number, aside).await
    }

    pub async fn backup(&mut self, who: Who, trouble: &Trouble) -> Result<(), String> {
        let backup = self.begin_backup(who);
        let done = under(&mut self.nodes, &mut self.tally, 0, trouble, |nodes| start_backup(nodes, &backup));
        let done = done.await?;
        self.keep_backup(backup, done, trouble).await
    }

    /// What the backup that is begun must hold at least.
    pub(super) fn begin_backup(&mut self, who: Who) -> Aside {
        let path = self.nodes.next_backup();
        let who = self.numbered(who);
        let holds = match who {
            Who::Central => BTreeSet::new(),
            Who::Local(local) => self.attempts.keys_on(local),
        };
        Aside { who, kind: Kind::Backup, path, told: self.world.clone(), holds }
    }

    /// A file with the name of the backup is whole, whatever happened meanwhile; without one, nothing was promised.
    pub(super) async fn keep_backup(
        &mut self,
        mut backup: Aside,
        done: Result<Result<Made, Failure>, Gone>,
        trouble: &Trouble,
    ) -> Result<(), String> {
        self.tally.fired("backup interrupted", u64::from(done.is_err()));
        if let Ok(Err(failure)) = &done {
            self.hear_of(failure);
            let no_room = matches!(trouble, Trouble::Disk(who, _) if self.numbered(*who) == backup.who);
            ensure!(no_room && failure.code == super::FULL, "a backup failed: {failure:?}");
        }
        if !backup.path.exists() {
            ensure!(!matches!(done, Ok(Ok(_))), "a backup was made, and there is no file");
            return Ok(());
        }
        let opening = Opening::Identity(self.nodes.keeper.to_text());
        let manifest = read::read(&backup.path, &opening, Into::Nothing);
        let manifest = manifest.map_err(|failure| format!("a backup cannot be read: {failure:?}"))?;
        if backup.who == Who::Central {
            let received = attempts::received(&self.nodes.central.store()).await?;
            let inside = received.iter().filter(|one| one.item.receipt_no <= manifest.receipts_through);
            backup.holds = inside.map(attempts::key_of).collect();
            self.attempts.backed_up(self.aside.len(), &backup.holds);
        }
        self.tally.fired(if backup.who == Who::Central { "central backed up" } else { "local backed up" }, 1);
        self.aside.push(backup);
        Ok(())
    }

    pub async fn restore(&mut self, who: Who, death: Option<Duration>) -> Result<(), String> {
        let Some((number, aside)) = self.last_aside(who, Kind::Backup) else { return Ok(()) };
        let restored = self.nodes.restore(aside.who, &aside.path, death).await;
        let interrupted = restored.map_err(|failure| format!("a backup cannot be restored: {failure:?}"))?;
        self.tally.fired("restore interrupted", u64::from(interrupted));
        self.tally.fired(if aside.who == Who::Central { "central restored" } else { "local restored" }, 1);
        let store = self.nodes.machine(aside.who).store();
        let there: BTreeSet<Key> = match aside.who {
            Who::Central => attempts::received(&store).await?.iter().map(attempts::key_of).collect(),
            Who::Local(_) => Account::of(&store).await.keys(),
        };
        let missing: Vec<_> = aside.holds.difference(&there).collect();
        ensure!(missing.is_empty(), "{missing:?} were in a backup and are not there when it is restored");
        self.went_back(number, aside).await
    }

    /// A machine goes on from an earlier state of it.
    async fn went_back(&mut self, number: usize, aside: Aside) -> Result<(), String> {
        let store = self.nodes.machine(aside.who).store();
        match aside.who {
            Who::Central => {
                self.world = aside.told;
                self.unaware.extend(0..self.nodes.locals.len());
                self.attempts.central_put_back(number, &attempts::received(&store).await?);
                Ok(())
            }
            Who::Local(local) => {
                self.disputed.insert(self.nodes.base(local));
                self.attempts.put_back(local, &Account::of(&store).await);
                self.note(local).await
            }
        }
    }

    pub(super) async fn copy(&mut self, local: usize) -> Result<(), String> {
        if self.nodes.locals.len() >= MACHINES {
            return Ok(());
        }
        let copy = self.nodes.locals.len();
        self.nodes.copy(local).await;
        self.attempts.copied(local, copy);
        self.disputed.insert(self.nodes.base(local));
        if self.unaware.contains(&local) {
            self.unaware.insert(copy);
        }
        self.tally.fired("local copied", 1);
        self.note(copy).await
    }
}

/// Starts what `backup --recipient` does.
pub(super) fn start_backup(nodes: &Nodes, backup: &Aside) -> Work<Result<Made, Failure>> {
    let machine = nodes.machine(backup.who);
    let (context, node, file) = (machine.context(), machine.node(), backup.path.clone());
    let recipient = nodes.keeper.recipient();
    machine.spawn(async move {
        let sealing = Sealing::for_recipient(&recipient)?;
        backup::make(context.output, &node, &file, sealing).await
    })
}
