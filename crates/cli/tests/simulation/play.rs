//! Playing a schedule: each step done, each answer judged, at the end everything mended and held against what was told.

mod copies;
mod imports;
mod judge;
mod settle;
mod syncs;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use taosync::failure::Failure;
use taosync_model::assessment::{Variable, VariableKind, VariableValue};
use taosync_model::execution::ExecutionState;
use taosync_model::{Entity, EntityType, Value, vocabulary as v};
use taosync_store::StoreError;
use taosync_sync::packages::publish::{self, PublishError, PublishRequest};
use taosync_sync::runner::{ItemRef, Runner, RunnerError, SavedVariables};
use taosync_vault::random;
use uuid::Uuid;

use crate::attempts::{self, Account, Attempts};
use crate::chance::uri;
use crate::nodes::{Gone, Nodes};
use crate::package::package;
use crate::schedule::{Edit, Ending, Schedule, Step, Trouble, Who, Word};
use crate::tally::Tally;
use crate::trouble::under;
use crate::world::World;
use crate::{CANARY, checks, ensure};
use copies::Aside;

/// A local server is refused data: it has another self, or an older one.
const DIVERGED: &str = "TS-311";
/// Central is in an older state than a local server has met.
const WENT_BACK: &str = "TS-307";
/// Central's certificate is not valid by this machine's clock.
const DATES: &str = "TS-205";
/// Seconds by which a clock is off so that certificates may be outside of their dates.
const DAY: i64 = 86_400;
/// And by which one may be outside of them that was made before it jumped.
const YEAR: i64 = 365 * DAY;
/// The database fails in a way that has no name of its own, in a sync and after it; a full disk and a locked database have.
const UNNAMED: [&str; 2] = ["TS-303", "TS-105"];
/// The disk is full.
const FULL: &str = "TS-101";
/// Another sync goes the same way.
const RUNNING: &str = "TS-009";
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
    /// Pictures and backups of machines.
    pub aside: Vec<Aside>,
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
        self.import(&schedule.beginning, Word::Given, &Trouble::Nothing).await?;
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
            Step::Import(edits, word, trouble) => self.import(edits, *word, trouble).await,
            Step::ImportFile(rows, trouble) => self.import_file(rows, trouble).await,
            Step::Backup(who, trouble) => self.backup(*who, trouble).await,
            Step::Restore(who, death) => self.restore(*who, *death).await,
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
                self.save(*who);
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

    async fn publish(&mut self, delivery: usize, edition: u32, trouble: &Trouble) -> Result<(), String> {
        let file = self.nodes.place().join(format!("edition-{edition}.zip"));
        std::fs::write(&file, package(edition)).unwrap();
        let uri = uri("delivery", delivery);
        let label = format!("Test {delivery}, edition {edition}");
        let request = PublishRequest {
            file: file.clone(),
            label: label.clone(),
            uri: Some(uri.clone()),
            naming: String::new(),
            test: None,
        };
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
        let done = done.await?.map(|done| done.map_err(Failure::from));
        self.told(&[Edit::Remove(uri)], Word::Given, done).await
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

    pub async fn note(&mut self, local: usize) -> Result<(), String> {
        let store = self.nodes.locals[local].store();
        let erased = self.attempts.note(local, Account::of(&store).await)?;
        self.tally.fired("handed-in result erased", erased);
        Ok(())
    }

    pub async fn compare_results(&mut self) -> Result<(), String> {
        self.attempts.compare(&attempts::received(&self.nodes.central.store()).await?)
    }
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
