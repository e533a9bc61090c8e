//! Deliveries: the original zip is made again from what is here and handed to TAO's own import. A delivery is offered in
//! TAO when it has its class, and that is given last, when TAO has compiled it. One that fails is put aside with its
//! reason and does not hold up the others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use taosync_model::tao::Properties;
use taosync_model::{Digest, Entity, EntityType, vocabulary as v};
use taosync_store::packages::Package;
use taosync_store::projection::{Import, ImportState, Projectable};
use taosync_tao::command::{self, HandOver};
use taosync_tao::read::open_attempts::{Hold, attempts_of, holds};
use taosync_tao::write::difference::{Difference, Stored, Triple};
use taosync_tao::write::entities::{self, Edit, Novelty};
use taosync_tao::write::history::{self, Action};
use taosync_tao::write::wanted::WantedPredicate;
use taosync_tao::{Change, Value};

use super::outcome::{DeliveryOutcome, DeliveryState};
use super::{ProjectionError, Reach, Run, place};
use crate::packages::export::export;
use crate::session::Mode;

/// What TAO's import leaves on a delivery when it has compiled it: one of these, in every version.
const COMPILED: [&str; 2] = [v::DELIVERY_RUNTIME, v::DELIVERY_CONTAINER];
/// Everything TAO's import leaves on a delivery.
const MADE: [&str; 5] =
    [v::DELIVERY_RUNTIME, v::DELIVERY_CONTAINER, v::DELIVERY_DIRECTORY, v::DELIVERY_TIME, v::DELIVERY_ORIGIN];

/// Why a delivery is not handed over now.
const OPEN_ATTEMPTS: &str = "attempts are open in TAO";

/// What is to be done with a delivery.
enum Next {
    /// Nothing: it stands so, for this reason.
    Stay(DeliveryState, Option<String>),
    /// TAO has it from somebody else, from the package central has.
    Recognise(Package),
    /// It is handed over.
    Import(Package),
}

impl Run<'_> {
    pub(super) async fn deliveries(&mut self) -> Result<(), ProjectionError> {
        let imports = self.plan.store.imports_list().await?;
        let imports: BTreeMap<String, Import> = imports.into_iter().map(|i| (i.delivery.clone(), i)).collect();
        for (uri, entity) in self.plan.store.replica_deliveries().await? {
            let before = imports.get(&uri);
            let (state, reason) = match self.next(&entity, before).await? {
                Next::Stay(state, reason) => (state, reason),
                Next::Recognise(_) if self.plan.mode == Mode::DryRun => (DeliveryState::Ready, None),
                Next::Import(_) if self.plan.mode == Mode::DryRun => (DeliveryState::Imported, None),
                Next::Recognise(package) => {
                    let tree = package.reference.tree_digest;
                    self.plan.store.import_note(&uri, tree, ImportState::Done, None).await?;
                    (DeliveryState::Ready, None)
                }
                Next::Import(package) => self.import(&entity, &package, before).await?,
            };
            let label = entity.label().to_owned();
            self.outcome.deliveries.push(DeliveryOutcome { uri, label, state, reason });
        }
        Ok(())
    }

    async fn next(&self, entity: &Entity, before: Option<&Import>) -> Result<Next, ProjectionError> {
        let wait = |reason: &str| Ok(Next::Stay(DeliveryState::Waiting, Some(reason.to_owned())));
        let Some(wanted) = &entity.package else {
            return wait("central has published no package for it");
        };
        let same = before.filter(|import| import.tree == wanted.tree_digest);
        match same.map(|import| import.state) {
            Some(ImportState::Done) if !self.is_doubted => {
                return Ok(Next::Stay(DeliveryState::Ready, None));
            }
            Some(ImportState::Failed) if self.plan.reach == Reach::Changes => {
                return Ok(Next::Stay(DeliveryState::Failed, same.and_then(|import| import.reason.clone())));
            }
            _ => {}
        }
        let package = self.plan.store.package_get(&entity.uri, wanted.version).await?;
        let package = match package {
            Some(package) if !package.is_ready_as(wanted) => return wait("its package is not completely here"),
            None => return wait("its package has not been fetched"),
            Some(package) if !package.unlocked => return wait("its package is locked until its release"),
            Some(package) => package,
        };
        let held = self.held(&entity.uri).await?;
        let is_finished = held.iter().any(|row| COMPILED.contains(&row.predicate.as_str()))
            && held.iter().any(|row| row.predicate == v::RDF_TYPE);
        if is_finished && same.is_some_and(|import| import.state == ImportState::Done) {
            return Ok(Next::Stay(DeliveryState::Ready, None));
        }
        if is_finished && before.is_none() && self.is_in_place(entity, &package).await? {
            return Ok(Next::Recognise(package));
        }
        if self.has_open_attempts(&entity.uri).await? {
            return wait(OPEN_ATTEMPTS);
        }
        if self.plan.command.is_none() {
            return wait("no import command is configured; run 'taosync tao connect' again with --command");
        }
        Ok(Next::Import(package))
    }

    /// Whether the package that stands where TAO keeps it is the one central has; taken to be so where that cannot be
    /// looked at, as in TAO a package never changes.
    async fn is_in_place(&self, entity: &Entity, package: &Package) -> Result<bool, ProjectionError> {
        let (Some(files), Some(relative)) = (self.plan.files, self.place(entity)?) else { return Ok(true) };
        let path = files.join(relative);
        let exported = export(self.plan.store, package, std::io::sink()).await?;
        let read = tokio::task::spawn_blocking(move || {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(std::fs::File::open(path)?).map(|hasher| Digest(*hasher.finalize().as_bytes()))
        });
        // A file that is not there says nothing.
        Ok(read.await.ok().and_then(Result::ok).is_none_or(|digest| digest == exported.digest))
    }

    /// Where TAO keeps the package of a delivery, below its files.
    fn place(&self, entity: &Entity) -> Result<Option<PathBuf>, ProjectionError> {
        let choice = self.plan.store.fields().of(EntityType::Delivery);
        let shown = Properties::of(entity, &[], EntityType::Delivery, &choice);
        let Some(name) = shown.texts(v::ORIGIN_TEST_PACKAGE).first() else { return Ok(None) };
        place::relative(name).map(Some).ok_or_else(|| ProjectionError::Place(entity.uri.clone()))
    }

    async fn held(&self, uri: &str) -> Result<Vec<Stored>, ProjectionError> {
        let rows = self.reading().await?.rows(&entities::statements_of([uri])).await?;
        Ok(entities::stored(self.plan.schema, rows)?.remove(uri).unwrap_or_default())
    }

    async fn has_open_attempts(&self, uri: &str) -> Result<bool, ProjectionError> {
        let (mut reading, mut rows) = (self.reading().await?, Vec::new());
        for statement in attempts_of(self.plan.schema, &[uri]) {
            rows.extend(reading.rows(&statement).await?);
        }
        Ok(holds(&[uri].into(), &rows)?.values().any(|hold| *hold == Hold::Open))
    }

    /// Hands a delivery over. While that runs it is not offered; afterwards it is, from the new package or, when TAO
    /// could not import that, as it was before.
    async fn import(
        &mut self,
        entity: &Entity,
        package: &Package,
        before: Option<&Import>,
    ) -> Result<(DeliveryState, Option<String>), ProjectionError> {
        let (store, uri) = (self.plan.store, entity.uri.as_str());
        let tree = package.reference.tree_digest;
        let zip = tempfile::NamedTempFile::new_in(store.dir()).map_err(file_error(store.dir()))?;
        let out = zip.reopen().map_err(file_error(zip.path()))?;
        export(store, package, out).await?;
        let path = self.put(entity, zip.path())?;
        let was_offered = before.is_some_and(|import| import.state == ImportState::Done);
        let rows = self.withdraw(uri).await?;
        if self.has_open_attempts(uri).await? {
            // Begun in the moment between.
            self.restore(entity, &rows, was_offered).await?;
            return Ok((DeliveryState::Waiting, Some(OPEN_ATTEMPTS.to_owned())));
        }
        store.import_note(uri, tree, ImportState::Running, None).await?;
        let asked = self.ask(entity, path.as_deref().unwrap_or(zip.path())).await;
        let reason = match asked {
            Ok(()) => self.offer(entity).await?,
            Err(reason) => Some(reason),
        };
        let Some(reason) = reason else {
            store.import_note(uri, tree, ImportState::Done, None).await?;
            return Ok((DeliveryState::Imported, None));
        };
        self.restore(entity, &rows, was_offered).await?;
        store.import_note(uri, tree, ImportState::Failed, Some(&reason)).await?;
        tracing::warn!(delivery = uri, "TAO could not import the package of a delivery");
        Ok((DeliveryState::Failed, Some(reason)))
    }

    fn put(&self, entity: &Entity, zip: &Path) -> Result<Option<PathBuf>, ProjectionError> {
        let (Some(files), Some(relative)) = (self.plan.files, self.place(entity)?) else { return Ok(None) };
        place::put(zip, files, &relative).map(Some).map_err(file_error(&files.join(&relative)))
    }

    /// Takes a delivery's class away, so that nothing starts on it while TAO imports, and says what it had.
    async fn withdraw(&mut self, uri: &str) -> Result<Vec<Stored>, ProjectionError> {
        let mut change = self.change().await?;
        let rows = change.rows(&entities::statements_of([uri])).await?;
        let rows = entities::stored(self.plan.schema, rows)?.remove(uri).unwrap_or_default();
        let gone: Vec<Value> =
            rows.iter().filter(|row| row.predicate == v::RDF_TYPE).map(|row| row.id.clone()).collect();
        let difference = Difference { gone, come: Vec::new() };
        self.apply(&mut change, uri, difference).await?;
        change.commit().await?;
        Ok(rows)
    }

    async fn apply(&self, change: &mut Change, uri: &str, difference: Difference) -> Result<(), ProjectionError> {
        let edit = Edit { subject: uri.to_owned(), difference, novelty: Novelty::Known };
        let ids = || self.new_id();
        Ok(entities::apply(change, self.plan.schema, &[edit], &self.moment, &ids).await?)
    }

    /// Runs the command; the reason when it failed.
    async fn ask(&self, entity: &Entity, package: &Path) -> Result<(), String> {
        let command = self.plan.command.unwrap_or_default().to_owned();
        let (delivery, label, package) = (entity.uri.clone(), entity.label().to_owned(), package.to_owned());
        let run = tokio::task::spawn_blocking(move || {
            let (command, delivery, label) = (command.as_str(), delivery.as_str(), label.as_str());
            command::hand_over(&HandOver { command, delivery, label, package: &package, time: command::TIME })
        });
        match run.await {
            Ok(done) => done.map_err(|error| with_source(&error)),
            Err(_) => Err("the import command was interrupted".to_owned()),
        }
    }

    /// Gives a compiled delivery everything central says of it, its class too, each statement once; a reason when TAO
    /// has not compiled it after all.
    async fn offer(&mut self, entity: &Entity) -> Result<Option<String>, ProjectionError> {
        let uri = entity.uri.as_str();
        let found = self.plan.store.projection_bodies(EntityType::Delivery, &[uri]).await?;
        let Some(projectable) = found.into_iter().next() else { return Ok(None) };
        let mut change = self.change().await?;
        let rows = change.rows(&entities::statements_of([uri])).await?;
        let rows = entities::stored(self.plan.schema, rows)?.remove(uri).unwrap_or_default();
        if !rows.iter().any(|row| COMPILED.contains(&row.predicate.as_str())) {
            change.rollback().await?;
            return Ok(Some("the import command ended well, but TAO has no compiled delivery".to_owned()));
        }
        let mut wanted = self.wanted(EntityType::Delivery, &projectable, None);
        wanted.predicates.push(WantedPredicate::plain(v::RDF_TYPE, &entity.class));
        wanted.ours.insert(v::RDF_TYPE.to_owned());
        let sync = self.sync(&mut change).await?;
        self.apply(&mut change, uri, Difference::of(&wanted, &rows)).await?;
        self.record(&mut change, sync, &projectable).await?;
        change.commit().await?;
        self.outcome.sync = Some(sync);
        self.imported.insert(uri.to_owned());
        Ok(None)
    }

    async fn record(&self, change: &mut Change, sync: i64, projectable: &Projectable) -> Result<(), ProjectionError> {
        let uri = projectable.entity.uri.clone();
        let is_known = self.imported.contains(&uri);
        let action = if is_known { Action::Updated } else { Action::Created };
        let checksums = [(uri, self.checksum(EntityType::Delivery, projectable))].into();
        history::checksums_note(change, self.plan.schema, &checksums).await?;
        let entries: BTreeSet<_> = self.entries(projectable).into_iter().collect();
        let what = (EntityType::Delivery, action);
        Ok(history::note(change, self.plan.schema, sync, what, &entries, &self.moment).await?)
    }

    /// Undoes what a failed import left: a delivery that was offered is again as it was, another one has nothing of
    /// TAO's import.
    async fn restore(&mut self, entity: &Entity, before: &[Stored], was_offered: bool) -> Result<(), ProjectionError> {
        let uri = entity.uri.as_str();
        let mut change = self.change().await?;
        let rows = change.rows(&entities::statements_of([uri])).await?;
        let now = entities::stored(self.plan.schema, rows)?.remove(uri).unwrap_or_default();
        let is_made = |row: &&Stored| row.predicate == v::RDF_TYPE || MADE.contains(&row.predicate.as_str());
        // What TAO itself noted meanwhile stays.
        let is_ours = |row: &&Stored| is_made(row) || !entity.values(&row.predicate).is_empty();
        let before: Vec<&Stored> = before.iter().filter(|row| was_offered || !is_made(row)).collect();
        let is_lost = |row: &&&Stored| !now.iter().any(|other| other.id == row.id && other.literal == row.literal);
        let triple = |row: &&Stored| Triple { predicate: row.predicate.clone(), literal: row.literal.clone() };
        let difference = Difference {
            gone: now.iter().filter(|row| is_ours(row) && !before.contains(row)).map(|row| row.id.clone()).collect(),
            come: before.iter().filter(is_lost).map(triple).collect(),
        };
        self.apply(&mut change, uri, difference).await?;
        Ok(change.commit().await?)
    }
}

fn file_error(path: &Path) -> impl Fn(std::io::Error) -> ProjectionError + use<> {
    let path = path.display().to_string();
    move |source| ProjectionError::File { path: path.clone(), source }
}

fn with_source(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
