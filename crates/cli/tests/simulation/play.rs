//! Playing a schedule: each step done, each answer judged, at the end everything mended and held against what was told.

mod judge;
mod settle;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use taosync_model::assessment::{Variable, VariableKind, VariableValue};
use taosync_model::execution::ExecutionState;
use taosync_model::{Entity, EntityType, Value, vocabulary as v};
use taosync_store::outbox::AfterReceipt;
use taosync_store::{Durability, Store, StoreError};
use taosync_sync::down::guard::Removals;
use taosync_sync::packages::publish::{self, PublishError, PublishRequest};
use taosync_sync::runner::{ItemRef, Runner, RunnerError, SavedVariables};
use taosync_sync::session::{self, Mode, Plan, Summary, SyncError};
use taosync_sync::up::UpLimits;
use taosync_vault::random;
use uuid::Uuid;

use crate::attempts::{self, Account, Attempts};
use crate::chance::uri;
use crate::nodes::{Gone, Nodes, Work};
use crate::package::package;
use crate::schedule::{Beside, Edit, Ending, Schedule, Step, Trouble, Who, Wish};
use crate::tally::Tally;
use crate::trouble::{bounded, under};
use crate::world::World;
use crate::{CANARY, checks, ensure};

/// A local server is refused data: it has another self, or an older one.
const DIVERGED: &str = "TS-311";
/// Central is in an older state than a local server has met.
const WENT_BACK: &str = "TS-307";
/// The database fails in a way that has no name of its own; a full disk and a locked database have.
const UNNAMED: &str = "TS-303";
/// Refusals that a settled machine may meet before it is let through: each is told once.
const WORDS: usize = 3;
/// Local servers at most, with copies.
const MACHINES: usize = 5;
const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// In one of so many schedules every file is searched at the end.
const SEARCHED: u64 = 10;

/// Plays a schedule to its end; an error is a violation, in words.
pub async fn play(schedule: &Schedule) -> Result<Tally, String> {
    let mut stage = Stage::open().await;
    let played = stage.all(schedule).await;
    stage.nodes.end().await;
    played.map(|()| stage.tally)
}

/// The machines, and what is known of them from outside.
pub struct Stage {
    pub nodes: Nodes,
    /// What central was told.
    pub world: World,
    pub attempts: Attempts,
    tally: Tally,
    /// Pictures that were put aside; with central's, what it had been told.
    aside: Vec<(Who, PathBuf, World)>,
    /// Local servers of the beginning that have another self, or an older one.
    disputed: BTreeSet<usize>,
    /// Local servers that have not synced to the end since central was put back.
    unaware: BTreeSet<usize>,
    /// Everything a person was told when something failed.
    said: String,
    answers: usize,
    trace: bool,
}

/// Answers that were confirmed, also by a machine that died afterwards.
type Confirmed = Arc<Mutex<Vec<(Uuid, String)>>>;

impl Stage {
    /// Fresh machines that know nothing yet.
    pub async fn open() -> Self {
        Self {
            nodes: Nodes::start().await,
            world: World::default(),
            attempts: Attempts::default(),
            tally: Tally { schedules: 1, ..Tally::default() },
            aside: Vec::new(),
            disputed: BTreeSet::new(),
            unaware: BTreeSet::new(),
            said: String::new(),
            answers: 0,
            trace: std::env::var_os("TAOSYNC_SIMULATE_TRACE").is_some(),
        }
    }

    async fn all(&mut self, schedule: &Schedule) -> Result<(), String> {
        self.steps(schedule).await?;
        for local in 0..self.nodes.locals.len() {
            self.settle(local).await.map_err(|violation| format!("at the end, local {local}: {violation}"))?;
        }
        self.at_the_end(schedule.seed).await.map_err(|violation| format!("at the end: {violation}"))
    }

    /// Plays the steps, without the end.
    pub async fn steps(&mut self, schedule: &Schedule) -> Result<(), String> {
        self.import(&schedule.beginning, &Trouble::Nothing).await?;
        for (number, step) in schedule.steps.iter().enumerate() {
            *self.tally.steps.entry(step.kind()).or_default() += 1;
            if self.trace {
                eprintln!("{number:>2} {step:?}");
            }
            self.step(step).await.map_err(|violation| format!("step {number} ({}): {violation}", step.kind()))?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Import(edits, trouble) => self.import(edits, trouble).await,
            Step::Publish(delivery, edition, trouble) => self.publish(*delivery, *edition, trouble).await,
            Step::Withdraw(delivery, trouble) => self.withdraw(*delivery, trouble).await,
            Step::Sit { local, nth, ending, trouble } => {
                // Where nobody may, somebody tries who may not.
                let local = self.nodes.any(*local);
                let nobody = || (uri("taker", *nth), uri("delivery", 0));
                let (taker, delivery) = pick(&self.world.sittings(self.nodes.orgs(local)), *nth).unwrap_or_else(nobody);
                self.attempt(local, Begin::New { taker, delivery }, *ending, trouble).await
            }
            Step::End { local, nth, ending, trouble } => {
                let local = self.nodes.any(*local);
                let Some(execution) = pick(self.attempts.open(local), *nth) else { return Ok(()) };
                self.attempt(local, Begin::Open(execution), *ending, trouble).await
            }
            Step::Again { local, nth, ending, trouble } => {
                let local = self.nodes.any(*local);
                let Some(execution) = pick(self.attempts.over(local), *nth) else { return Ok(()) };
                self.attempt(local, Begin::Again(execution), *ending, trouble).await
            }
            Step::Sync { local, wish, beside, trouble } => {
                self.sync(self.nodes.any(*local), wish, beside, trouble).await
            }
            Step::Chores(who) => self.chores(*who).await,
            Step::Save(who) => {
                let picture = self.nodes.save(*who);
                let who = match *who {
                    Who::Central => Who::Central,
                    Who::Local(local) => Who::Local(self.nodes.any(local)),
                };
                self.aside.push((who, picture, self.world.clone()));
                Ok(())
            }
            Step::PutBack(who) => self.put_back(*who).await,
            Step::Copy(local) => self.copy(self.nodes.any(*local)).await,
            Step::Restart(who, reopen) => {
                self.nodes.restart(*who, *reopen).await;
                Ok(())
            }
            Step::Clock(who, ahead) => {
                self.nodes.machine_mut(*who).set_ahead(*ahead);
                Ok(())
            }
            Step::Settle(local) => self.settle(self.nodes.any(*local)).await,
        }
    }

    async fn chores(&mut self, who: Who) -> Result<(), String> {
        let machine = self.nodes.machine(who);
        let store = machine.store();
        let forgotten = machine.run(async move {
            let now = store.clock().now();
            if who == Who::Central {
                store.tokens_sweep(now).await?;
                // At once: nobody may depend on removals being remembered.
                return store.removals_forget(now.saturating_add(SECOND).unwrap_or(now)).await;
            }
            store.executions_erase_resume(now).await?;
            for replica in store.replicas_list().await? {
                let Some(epoch) = replica.epoch else { continue };
                store.outbox_purge(&replica.org, epoch, replica.safe_receipt_no, now).await?;
            }
            Ok::<u64, StoreError>(0)
        });
        let forgotten = forgotten.await.map_err(|error| format!("chores failed: {error:?}"))?;
        self.tally.fired("removals forgotten", forgotten.min(1));
        match who {
            Who::Central => Ok(()),
            Who::Local(local) => self.note(self.nodes.any(local)).await,
        }
    }

    async fn put_back(&mut self, who: Who) -> Result<(), String> {
        let who = match who {
            Who::Central => Who::Central,
            Who::Local(local) => Who::Local(self.nodes.any(local)),
        };
        let found = self.aside.iter().rev().find(|(of, ..)| *of == who).or(self.aside.last());
        let Some((who, picture, told)) = found.cloned() else { return Ok(()) };
        self.nodes.put_back(who, &picture).await;
        let store = self.nodes.machine(who).store();
        match who {
            Who::Central => {
                self.world = told;
                self.unaware.extend(0..self.nodes.locals.len());
                self.attempts.central_put_back(&attempts::received(&store).await?);
                self.tally.fired("central put back", 1);
                Ok(())
            }
            Who::Local(local) => {
                self.disputed.insert(self.nodes.base(local));
                self.attempts.put_back(local, &Account::of(&store).await);
                self.tally.fired("local put back", 1);
                self.note(local).await
            }
        }
    }

    async fn copy(&mut self, local: usize) -> Result<(), String> {
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

    async fn import(&mut self, edits: &[Edit], trouble: &Trouble) -> Result<(), String> {
        let changes = self.world.changes(edits);
        let done = under(&mut self.nodes, &mut self.tally, 0, trouble, |nodes| {
            let store = nodes.central.store();
            nodes.central.spawn(import(store, changes))
        });
        let done = done.await?;
        self.told(edits, done).await
    }

    /// An import is in, or it is not; which of the two must be plain.
    async fn told(&mut self, edits: &[Edit], done: Result<Result<(), StoreError>, Gone>) -> Result<(), String> {
        let mut after = self.world.clone();
        after.apply(edits);
        let uris: BTreeSet<String> = edits.iter().map(|edit| edit.uri().to_owned()).collect();
        let store = self.nodes.central.store();
        match done {
            Ok(Ok(())) => self.world = after,
            Ok(Err(error)) => {
                self.hear(&error);
                ensure!(matches!(error, StoreError::DiskFull), "an import failed: {error:?}");
                checks::central_holds(&store, &self.world, &uris).await?;
            }
            Err(Gone) => match checks::central_holds(&store, &after, &uris).await {
                Ok(()) => self.world = after,
                Err(_) => checks::central_holds(&store, &self.world, &uris).await?,
            },
        }
        Ok(())
    }

    async fn publish(&mut self, delivery: usize, edition: u32, trouble: &Trouble) -> Result<(), String> {
        let file = self.nodes.place().join(format!("edition-{edition}.zip"));
        std::fs::write(&file, package(edition)).unwrap();
        let uri = uri("delivery", delivery);
        let label = format!("Test {delivery}, edition {edition}");
        let request =
            PublishRequest { file: file.clone(), label: label.clone(), uri: Some(uri.clone()), naming: String::new() };
        let done = under(&mut self.nodes, &mut self.tally, 0, trouble, |nodes| {
            let store = nodes.central.store();
            nodes.central.spawn(async move { publish::publish(&store, request).await })
        });
        let done = done.await?;
        std::fs::remove_file(file).unwrap();
        let mut after = self.world.clone();
        let new = Entity::new(&uri, v::CLASS_DELIVERY).with(v::RDF_TYPE, v::CLASS_DELIVERY);
        let mut entity = self.world.entities.get(&uri).map_or(new, |(_, entity)| entity.clone());
        entity.set(v::RDFS_LABEL, vec![Value::plain(&label)]);
        let store = self.nodes.central.store();
        let uris = BTreeSet::from([uri.clone()]);
        entity.package = store.entity_get(&uri).await.unwrap().and_then(|stored| stored.entity.package);
        after.put(EntityType::Delivery, entity);
        match done {
            Ok(Ok(published)) => {
                let package = after.entities[&uri].1.package.as_ref();
                ensure!(package == Some(&published.reference), "{uri} has another package than was published");
                self.world = after;
                checks::central_holds(&store, &self.world, &uris).await
            }
            Ok(Err(PublishError::Store(error @ StoreError::DiskFull))) => {
                self.hear(&error);
                checks::central_holds(&store, &self.world, &uris).await
            }
            Ok(Err(error)) => Err(format!("a test could not be published: {error:?}")),
            Err(Gone) => {
                if checks::central_holds(&store, &after, &uris).await.is_ok() {
                    self.world = after;
                }
                checks::central_holds(&store, &self.world, &uris).await
            }
        }
    }

    async fn withdraw(&mut self, delivery: usize, trouble: &Trouble) -> Result<(), String> {
        let uri = uri("delivery", delivery);
        if self.world.entities.get(&uri).is_none_or(|(_, entity)| entity.package.is_none()) {
            return Ok(());
        }
        let withdrawn = uri.clone();
        let done = under(&mut self.nodes, &mut self.tally, 0, trouble, |nodes| {
            let store = nodes.central.store();
            nodes.central.spawn(async move { publish::withdraw(&store, &withdrawn).await.map(drop) })
        });
        let done = done.await?;
        self.told(&[Edit::Remove(uri)], done).await
    }

    async fn attempt(&mut self, local: usize, begin: Begin, ending: Ending, trouble: &Trouble) -> Result<(), String> {
        self.answers += 1;
        let answer = (self.answers, format!("{CANARY} answer {}", self.answers));
        let confirmed = Confirmed::default();
        let done = under(&mut self.nodes, &mut self.tally, local, trouble, |nodes| {
            let runner = nodes.locals[local].runner();
            nodes.locals[local].spawn(attempt(runner, begin, answer, ending, confirmed.clone()))
        });
        let done = done.await?;
        if done.is_ok() {
            for (execution, answer) in confirmed.lock().unwrap().drain(..) {
                self.attempts.answers.entry(execution).or_default().push(answer);
            }
        }
        let came_to = match &done {
            Ok(Ok(())) => "attempt went on",
            Ok(Err(_)) => "attempt refused",
            Err(Gone) => "attempt interrupted",
        };
        *self.tally.steps.entry(came_to).or_default() += 1;
        match done {
            Ok(Err(RunnerError::Store(StoreError::DiskFull)) | Ok(())) | Err(Gone) => {}
            Ok(Err(error)) => {
                self.hear(&error);
                let is_an_answer =
                    !matches!(error, RunnerError::Store(ref inner) if !matches!(inner, StoreError::Refused(_)));
                ensure!(is_an_answer, "an attempt failed: {error:?}");
            }
        }
        self.note(local).await
    }

    async fn sync(&mut self, local: usize, wish: &Wish, beside: &Beside, trouble: &Trouble) -> Result<(), String> {
        let off = |who| self.nodes.machine(who).ahead() != 0;
        let clocks = [off(Who::Central), off(Who::Local(local))];
        self.tally.fired("clock of central jumped", u64::from(clocks[0]));
        self.tally.fired("clock of local jumped", u64::from(clocks[1]));
        let changes = if let Beside::Import(edits) = beside { self.world.changes(edits) } else { Vec::new() };
        let mut also: Option<Also> = None;
        let done = under(&mut self.nodes, &mut self.tally, local, trouble, |nodes| {
            let first = start_sync(nodes, local, wish);
            also = match beside {
                Beside::Nothing => None,
                Beside::Sync(wish) => Some(Also::Sync(start_sync(nodes, local, wish))),
                Beside::Import(_) => Some(Also::Import(nodes.central.spawn(import(nodes.central.store(), changes)))),
            };
            first
        });
        let done = done.await?;
        let calm = matches!(
            (beside, trouble),
            (Beside::Nothing, Trouble::Nothing | Trouble::Line(crate::line::LineFault::SlowReader(..)))
        );
        match (also, beside) {
            (Some(Also::Sync(second)), Beside::Sync(wish)) => {
                self.tally.fired("two syncs at once", 1);
                let second = bounded(second).await?;
                self.judge(local, wish, second, Calm::No).await?;
            }
            (Some(Also::Import(import)), Beside::Import(edits)) => {
                self.tally.fired("import during a sync", 1);
                let import = bounded(import).await?;
                self.told(edits, import).await?;
            }
            _ => {}
        }
        let calm = match (calm, beside) {
            (true, _) => Calm::Yes,
            (false, Beside::Import(_)) => Calm::Changing,
            (false, _) => Calm::No,
        };
        self.judge(local, wish, done, calm).await?;
        self.note(local).await?;
        checks::replica_is_whole(&self.nodes.locals[local].store()).await?;
        self.compare_results().await
    }

    pub async fn note(&mut self, local: usize) -> Result<(), String> {
        let store = self.nodes.locals[local].store();
        self.attempts.note(local, Account::of(&store).await)
    }

    pub async fn compare_results(&mut self) -> Result<(), String> {
        self.attempts.compare(&attempts::received(&self.nodes.central.store()).await?)
    }
}

/// What a sync had to bear.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calm {
    Yes,
    /// Central was told something meanwhile.
    Changing,
    No,
}

enum Also {
    Sync(Work<Result<Summary, SyncError>>),
    Import(Work<Result<(), StoreError>>),
}

/// How an attempt begins.
enum Begin {
    New { taker: String, delivery: String },
    Open(Uuid),
    Again(Uuid),
}

fn pick<T: Clone>(list: &[T], nth: usize) -> Option<T> {
    list.get(nth.checked_rem(list.len())?).cloned()
}

async fn import(store: Store, changes: Vec<taosync_store::entities::Change>) -> Result<(), StoreError> {
    let mut tx = store.write("import", Durability::Flushed).await?;
    store.entities_change(&mut tx, changes).await?;
    tx.commit().await
}

fn start_sync(nodes: &Nodes, local: usize, wish: &Wish) -> Work<Result<Summary, SyncError>> {
    let after_receipt = if wish.hide { AfterReceipt::Hide } else { AfterReceipt::Keep };
    let plan = Plan {
        what: wish.what,
        types: wish.types.clone(),
        org: None,
        mode: Mode::Apply,
        removals: if wish.accept { Removals::Accepted } else { Removals::Guarded },
        chunk_size: wish.chunk_size,
        up: UpLimits { items: wish.items, after_receipt, ..UpLimits::default() },
        actor: "test".into(),
        version: "0.1.0".into(),
        proxy: None,
    };
    let store = nodes.locals[local].store();
    nodes.locals[local].spawn(async move { session::run(&store, &plan, &|_| {}).await })
}

async fn attempt(
    runner: Runner,
    begin: Begin,
    (number, text): (usize, String),
    ending: Ending,
    confirmed: Confirmed,
) -> Result<(), RunnerError> {
    let execution = match begin {
        Begin::New { taker, delivery } => runner.start(&delivery, &taker).await?.id,
        Begin::Open(execution) => execution,
        Begin::Again(execution) => runner.reactivate(execution).await?.id,
    };
    runner.save_variables(execution, random::uuid(), &[answer(number, &text)]).await?;
    confirmed.lock().unwrap().push((execution, text));
    match ending {
        Ending::Open => {}
        Ending::Finished => drop(runner.finish(execution, ExecutionState::Finished, None).await?),
        Ending::Terminated => drop(runner.terminate(execution, "fire alarm").await?),
    }
    Ok(())
}

fn answer(number: usize, text: &str) -> SavedVariables {
    let value = VariableValue { text: text.into(), ..VariableValue::default() };
    SavedVariables {
        item: Some(ItemRef {
            identifier: format!("item-{number}"),
            sequence_index: None,
            session_status: Some("final".into()),
        }),
        variables: vec![Variable {
            kind: VariableKind::Response,
            identifier: "RESPONSE".into(),
            cardinality: "single".into(),
            base_type: Some("string".into()),
            values: Some(vec![value]),
            correct: None,
            attributes: Vec::new(),
            at: None,
        }],
    }
}
