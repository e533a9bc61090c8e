//! Taking in QTI result files that were made elsewhere (`taosync execution submit`). All files are checked before any
//! is stored; the same file twice is one attempt.

use std::collections::HashMap;

use jiff::Timestamp;
use taosync_model::assessment::{AssessmentResult, Attempt};
use taosync_model::execution::ExecutionState;
use taosync_model::item::{Envelope, ItemKind};
use taosync_model::{Digest, EntityType, OrgId};
use taosync_results::{encode_attempt, parse_xml};
use taosync_store::executions::FinishedExecution;
use taosync_store::outbox::{NewItem, Queued};
use taosync_wire::frame::MAX_BODY;
use uuid::Uuid;

use super::eligible::{Eligibilities, Sitting};
use super::save::check_size;
use super::seal::{Sealed, Sealing};
use super::start::read_time;
use super::{Runner, RunnerError, fold};

/// Files taken at once.
pub const MAX_FILES: usize = 20_000;

/// Attempts in a transaction at most.
const BATCH_ITEMS: usize = 500;
/// Payload bytes after which a batch is stored.
const BATCH_BYTES: u64 = 16 * 1024 * 1024;

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitOutcome {
    /// Its name.
    pub file: String,
    /// What became of it.
    pub outcome: Submission,
}

/// What became of a submitted result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submission {
    /// It waits to be handed in, as this execution.
    Stored(Uuid),
    /// The same result of this taker and delivery is here already, as this execution.
    Unchanged(Uuid),
    /// It cannot be taken; in words, with what to do. Nothing of any file was stored.
    Problem(String),
    /// It is fine, but was not stored because of another file.
    Held,
}

/// Whose result it is, and of what.
struct Place {
    test_taker: String,
    delivery: String,
    org: OrgId,
    package_version: u32,
}

/// Finds places; remembers what it has looked up while one submission is worked on.
struct Places<'a> {
    runner: &'a Runner,
    eligibilities: Eligibilities<'a>,
    takers: HashMap<String, Result<String, String>>,
    sittings: HashMap<String, Vec<Sitting>>,
    versions: HashMap<(OrgId, String), Option<u32>>,
    sealings: HashMap<OrgId, Sealing>,
    delivery: Option<&'a str>,
    test_taker: Option<&'a str>,
}

impl Runner {
    /// Takes in result files (name and bytes). `delivery` (URI) and `test_taker` (login or URI) go before what the
    /// files say.
    pub async fn submit(
        &self,
        files: Vec<(String, Vec<u8>)>,
        delivery: Option<&str>,
        test_taker: Option<&str>,
    ) -> Result<Vec<SubmitOutcome>, RunnerError> {
        check_size("the submission", files.len(), MAX_FILES, "submit fewer files at once")?;
        let parsed =
            tokio::task::spawn_blocking(move || files.into_iter().map(parse).collect::<Vec<_>>()).await.map_err(
                |_| RunnerError::Request("the files could not be read to the end; submit them one by one".into()),
            )?;
        let mut places = Places::new(self, delivery, test_taker);
        let mut checked = Vec::with_capacity(parsed.len());
        for (file, result) in parsed {
            let made = match result {
                Ok(result) => match places.of(&result).await? {
                    Ok(place) => {
                        let sealing = places.sealing(&place.org).await?;
                        self.attempt_of(result, place, &sealing)
                    }
                    Err(problem) => Err(problem),
                },
                Err(problem) => Err(problem),
            };
            checked.push((file, made));
        }
        if checked.iter().any(|(_, made)| made.is_err()) {
            return Ok(checked.into_iter().map(not_stored).collect());
        }
        self.store_submissions(checked.into_iter().filter_map(|(file, made)| Some((file, made.ok()?))).collect()).await
    }

    fn attempt_of(
        &self,
        result: AssessmentResult,
        place: Place,
        sealing: &Sealing,
    ) -> Result<FinishedExecution, String> {
        let json = serde_json::to_vec(&result).map_err(|_| "the result is not representable as JSON".to_owned())?;
        let content = Digest::of(&json).to_hex();
        let item = self.id_of("submission", &[place.org.as_str(), &place.delivery, &place.test_taker, &content]);
        let (started_at, finished_at) = times_of(&result, self.store.clock().now());
        let attempt = Attempt { result, ..Attempt::default() };
        let sealed = self.seal(sealing, encode_attempt(&attempt)).map_err(|error| error.to_string())?;
        let Sealed { payload, form, source } = sealed;
        if payload.len() as u64 > MAX_BODY {
            return Err(format!("packed it has {} bytes, more than {MAX_BODY}; leave out large files", payload.len()));
        }
        let envelope = Envelope {
            kind: ItemKind::Attempt,
            item,
            org: place.org,
            origin: self.node,
            version: 1,
            previous: None,
            digest: Digest::of(&payload),
            size: payload.len() as u64,
            form,
            execution: None,
            delivery: Some(place.delivery),
            test_taker: Some(place.test_taker),
            state: Some(ExecutionState::Finished),
            started_at: Some(started_at),
            finished_at: Some(finished_at),
            counts: fold::counts(&attempt),
        };
        let item = NewItem { envelope, payload, source };
        Ok(FinishedExecution { package_version: place.package_version, reason: None, item })
    }

    async fn store_submissions(
        &self,
        submissions: Vec<(String, FinishedExecution)>,
    ) -> Result<Vec<SubmitOutcome>, RunnerError> {
        let (files, attempts): (Vec<String>, Vec<FinishedExecution>) = submissions.into_iter().unzip();
        let mut answers = Vec::with_capacity(files.len());
        let mut rest = attempts.as_slice();
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(batch_len(rest));
            answers.extend(self.store.execution_insert_finished(batch).await?);
            rest = later;
        }
        let ids = attempts.iter().map(|attempt| attempt.item.envelope.item);
        let outcomes = files.into_iter().zip(ids).zip(answers).map(|((file, id), queued)| {
            let outcome = match queued {
                Queued::Added => Submission::Stored(id),
                // The id speaks for the content: other bytes only mean that it was packed by another version.
                Queued::Already | Queued::Different => Submission::Unchanged(id),
            };
            SubmitOutcome { file, outcome }
        });
        Ok(outcomes.collect())
    }
}

impl<'a> Places<'a> {
    fn new(runner: &'a Runner, delivery: Option<&'a str>, test_taker: Option<&'a str>) -> Self {
        let eligibilities = Eligibilities::new(&runner.store);
        let (takers, sittings, versions) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { runner, eligibilities, takers, sittings, versions, sealings: HashMap::new(), delivery, test_taker }
    }

    /// The inner result is for the person who submits.
    async fn of(&mut self, result: &AssessmentResult) -> Result<Result<Place, String>, RunnerError> {
        let named = self.test_taker.or(result.context.sourced_id.as_deref());
        let Some(named) = named else {
            return Ok(Err("it names no test taker (context sourcedId); say whose result it is".into()));
        };
        let test_taker = match self.taker(named).await? {
            Ok(uri) => uri,
            Err(problem) => return Ok(Err(problem)),
        };
        if !self.sittings.contains_key(&test_taker) {
            let found = self.eligibilities.of(&test_taker).await?;
            self.sittings.insert(test_taker.clone(), found);
        }
        let sittings = self.sittings.get(&test_taker).map_or(&[][..], Vec::as_slice);
        let sitting = match choose(sittings, self.delivery, result) {
            Ok(sitting) => sitting.clone(),
            Err(problem) => return Ok(Err(problem)),
        };
        let Some(package_version) = self.version(&sitting).await? else {
            let problem = format!("delivery {} is not on this server; synchronize data first", sitting.delivery);
            return Ok(Err(problem));
        };
        Ok(Ok(Place { test_taker, delivery: sitting.delivery, org: sitting.org, package_version }))
    }

    async fn taker(&mut self, named: &str) -> Result<Result<String, String>, RunnerError> {
        if let Some(known) = self.takers.get(named) {
            return Ok(known.clone());
        }
        let store = &self.runner.store;
        let is_taker = |entity_type: EntityType| entity_type == EntityType::TestTaker;
        let mut found: Vec<String> = Vec::new();
        // A login is no URI: only what looks like one is looked up as one first.
        if named.contains(':') {
            let seen = store.replica_get(named).await?;
            found.extend(seen.into_iter().filter(|(_, t, _)| is_taker(*t)).map(|(_, _, entity)| entity.uri));
        }
        if found.is_empty() {
            for (org, entity_type, entity) in store.replica_users(named).await? {
                if is_taker(entity_type) {
                    found.push(entity.uri.clone());
                    self.eligibilities.note(org, entity);
                }
            }
        }
        found.sort();
        found.dedup();
        let known = match (found.pop(), found.is_empty()) {
            (Some(uri), true) => Ok(uri),
            (Some(_), false) => Err("several test takers have this login; name the taker by URI".to_owned()),
            (None, _) => {
                Err("its test taker is not on this server; check login or URI, or synchronize data".to_owned())
            }
        };
        self.takers.insert(named.to_owned(), known.clone());
        Ok(known)
    }

    async fn sealing(&mut self, org: &OrgId) -> Result<Sealing, RunnerError> {
        if let Some(known) = self.sealings.get(org) {
            return Ok(known.clone());
        }
        let sealing = self.runner.sealing(org).await?;
        self.sealings.insert(org.clone(), sealing.clone());
        Ok(sealing)
    }

    /// The version of the package that counts here; `None` when the delivery is unknown.
    async fn version(&mut self, sitting: &Sitting) -> Result<Option<u32>, RunnerError> {
        let key = (sitting.org.clone(), sitting.delivery.clone());
        if let Some(version) = self.versions.get(&key) {
            return Ok(*version);
        }
        // The one a start would take; a result may also come before the test does.
        let version = match self.runner.delivery(&sitting.org, &sitting.delivery).await? {
            None => None,
            Some(delivery) => {
                let here = self.runner.store.package_to_start(&delivery).await?;
                let named = delivery.package.map_or(0, |named| named.version);
                Some(here.map_or(named, |package| package.version))
            }
        };
        self.versions.insert(key, version);
        Ok(version)
    }
}

fn choose<'s>(sittings: &'s [Sitting], named: Option<&str>, result: &AssessmentResult) -> Result<&'s Sitting, String> {
    if let Some(named) = named {
        let found = sittings.iter().find(|sitting| sitting.delivery == named);
        return found
            .ok_or_else(|| format!("no eligibility lets its test taker sit {named}; assign it at central first"));
    }
    let sessions = || result.context.sessions.iter().map(|session| session.identifier.as_str());
    if let Some(sitting) = sittings.iter().find(|sitting| sessions().any(|id| id == sitting.delivery)) {
        return Ok(sitting);
    }
    let first =
        sittings.first().ok_or("no eligibility lets its test taker sit anything; assign it at central first")?;
    if sittings.iter().all(|sitting| sitting.delivery == first.delivery) {
        Ok(first)
    } else {
        Err("its test taker may sit several deliveries and it names none of them; say which one it is of".to_owned())
    }
}

fn parse((file, bytes): (String, Vec<u8>)) -> (String, Result<AssessmentResult, String>) {
    let result = parse_xml(&bytes).map_err(|error| error.to_string());
    (file, result)
}

fn not_stored((file, made): (String, Result<FinishedExecution, String>)) -> SubmitOutcome {
    let outcome = made.map_or_else(Submission::Problem, |_| Submission::Held);
    SubmitOutcome { file, outcome }
}

/// When it began and ended, as far as its datestamps say.
fn times_of(result: &AssessmentResult, now: Timestamp) -> (Timestamp, Timestamp) {
    let stamps = result.test.iter().map(|t| &t.datestamp).chain(result.items.iter().map(|i| &i.datestamp));
    let times: Vec<Timestamp> = stamps.filter_map(|stamp| read_time(stamp)).collect();
    (times.iter().min().copied().unwrap_or(now), times.iter().max().copied().unwrap_or(now))
}

fn batch_len(attempts: &[FinishedExecution]) -> usize {
    let mut bytes = 0;
    let fitting = attempts.iter().take(BATCH_ITEMS).enumerate().take_while(|(index, attempt)| {
        bytes += attempt.item.envelope.size;
        *index == 0 || bytes <= BATCH_BYTES
    });
    fitting.count()
}
