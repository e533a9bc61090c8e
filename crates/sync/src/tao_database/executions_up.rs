//! A TAO's finished executions become items of the outbox (local). They take the same road as attempts that were run
//! here: content fixed and sealed once, one transaction with the mark that they were taken.
//!
//! What is looked at, in this order: is it over, has taoSync handed it in, has it changed since it was taken. Only what
//! is left is read. TAO's own notes are not believed where nothing shows that they are true (`taosync_tao::read::sent`).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::SignedDuration;
use taosync_model::execution::ExecutionState;
use taosync_store::Store;
use taosync_store::tao_results::{LogItem, NewTaken, Taken, TakenAnswer};
use taosync_tao::read::executions::{self, Execution};
use taosync_tao::read::logs::{self, LogRow};
use taosync_tao::read::qti_names::QtiNames;
use taosync_tao::read::sent::{self, Sent};
use taosync_tao::read::variables::{self, Look};
use taosync_tao::{Database, Reading, Schema};

use super::TaoDatabaseError;
use super::attempts::{self, Homes, Material};
use crate::runner::Runner;
use crate::session::Mode;

/// Executions read at once at most.
const BATCH: usize = 100;
/// Bytes of their variables after which a batch ends.
const BATCH_BYTES: i64 = 8 * 1024 * 1024;

/// How executions are taken.
#[derive(Clone, Debug)]
pub struct Taking {
    /// States that are handed in (`status_executions_to_sync`).
    pub states: Vec<ExecutionState>,
    /// How long a result that is sealed stays readable here.
    pub window: SignedDuration,
    /// Whether anything is written.
    pub mode: Mode,
}

/// What was taken, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TakenUp {
    /// Attempts that became items.
    pub attempts: u64,
    /// Attempts that became the next version of their item: they were reactivated, or something was added.
    pub next_versions: u64,
    /// Attempts that are items already.
    pub unchanged: u64,
    /// Attempts that are not in a state that is handed in.
    pub not_over: u64,
    /// Attempts that taoSync has handed in.
    pub sent_by_taosync: u64,
    /// Of those taken: taoSync marked them as handed in, and nothing shows that they are.
    pub only_claimed: u64,
    /// Attempts without any variable, which TAO does not hand in either.
    pub without_variables: u64,
    /// Log rows that came after their attempt and became items.
    pub log_rows: u64,
    /// Attempts that cannot be taken, and why.
    pub problems: Vec<Untaken>,
}

/// An attempt that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Untaken {
    /// TAO's id.
    pub execution: String,
    /// Why, and what to do.
    pub why: String,
}

/// What is to be done with an execution.
enum Verdict {
    Unchanged,
    NotOver,
    Sent,
    Empty,
    Read { claimed: bool },
}

/// An execution that is to be read.
struct Candidate {
    execution: Execution,
    look: Look,
    known: Option<Taken>,
    claimed: bool,
}

/// Takes everything that is to be handed in.
pub async fn take(store: &Store, database: &Database, taking: &Taking) -> Result<TakenUp, TaoDatabaseError> {
    let mut reading = database.read().await?;
    let schema = Schema::recognise(&mut reading).await?;
    let runner = Runner::open(store.clone(), taking.window).await?;
    let mut work = Work { store, runner, taking, homes: Homes::new(store).await?, names: QtiNames::default() };
    let mut done = TakenUp::default();
    if schema.has_table("variables_storage") {
        work.attempts(&mut reading, &schema, &mut done).await?;
        work.late_logs(&mut reading, &schema, &mut done).await?;
    }
    Ok(done)
}

struct Work<'a> {
    store: &'a Store,
    runner: Runner,
    taking: &'a Taking,
    homes: Homes<'a>,
    names: QtiNames,
}

impl Work<'_> {
    async fn attempts(
        &mut self,
        reading: &mut Reading,
        schema: &Schema,
        done: &mut TakenUp,
    ) -> Result<(), TaoDatabaseError> {
        let mut after = String::new();
        loop {
            let page = executions::page(reading, schema, &after).await?;
            let candidates = self.judge(reading, schema, page.executions, done).await?;
            let mut rest = candidates.as_slice();
            while !rest.is_empty() {
                let (batch, others) = rest.split_at(batch_len(rest));
                self.batch(reading, schema, batch, done).await?;
                rest = others;
            }
            match page.last {
                Some(last) => after = last,
                None => return Ok(()),
            }
        }
    }

    /// Which of these are to be read; the others are counted.
    async fn judge(
        &self,
        reading: &mut Reading,
        schema: &Schema,
        found: Vec<Execution>,
        done: &mut TakenUp,
    ) -> Result<Vec<Candidate>, TaoDatabaseError> {
        let ids: Vec<String> = found.iter().map(|execution| execution.id.clone()).collect();
        let sent = sent::read(reading, schema, &ids).await?;
        let looks = variables::looks(reading, &ids).await?;
        let mut known = self.store.tao_taken(&ids).await?;
        let mut candidates = Vec::new();
        for execution in found {
            let look = looks.get(&execution.id).copied().unwrap_or_default();
            let known = known.remove(&execution.id);
            match self.verdict(&execution, look, known.as_ref(), sent.get(&execution.id)) {
                Verdict::Unchanged => done.unchanged += 1,
                Verdict::NotOver => done.not_over += 1,
                Verdict::Sent => done.sent_by_taosync += 1,
                Verdict::Empty => done.without_variables += 1,
                Verdict::Read { claimed } => candidates.push(Candidate { execution, look, known, claimed }),
            }
        }
        Ok(candidates)
    }

    fn verdict(&self, execution: &Execution, look: Look, known: Option<&Taken>, sent: Option<&Sent>) -> Verdict {
        let is_due = execution.state.parse().is_ok_and(|state| self.taking.states.contains(&state));
        if !is_due {
            return Verdict::NotOver;
        }
        let claimed = sent.is_some_and(Sent::is_only_claimed);
        match known {
            Some(known) if known.seen == seen(look) && known.ended == execution.end => Verdict::Unchanged,
            None if sent.is_some_and(|sent| !sent.is_open()) => Verdict::Sent,
            // What was taken and is gone since (taoSync's `deleteAfterSend`) stays as it was taken.
            Some(_) if look.variables == 0 => Verdict::Unchanged,
            None if look.variables == 0 => Verdict::Empty,
            _ => Verdict::Read { claimed },
        }
    }

    async fn batch(
        &mut self,
        reading: &mut Reading,
        schema: &Schema,
        batch: &[Candidate],
        done: &mut TakenUp,
    ) -> Result<(), TaoDatabaseError> {
        if self.taking.mode == Mode::DryRun {
            let new = batch.iter().filter(|candidate| candidate.known.is_none()).count() as u64;
            done.attempts += new;
            done.next_versions += batch.len() as u64 - new;
            done.only_claimed += batch.iter().filter(|candidate| candidate.claimed).count() as u64;
            return Ok(());
        }
        let materials = self.materials(reading, schema, batch).await?;
        let named = batch.iter().flat_map(|c| [c.execution.delivery.as_str(), c.execution.test_taker.as_str()]);
        self.homes.learn(&named.collect()).await?;
        let (mut new, mut same) = (Vec::new(), Vec::new());
        for (candidate, material) in batch.iter().zip(materials) {
            match attempts::make(&self.runner, &mut self.homes, &material, candidate.known.as_ref()).await? {
                attempts::Made::Same(item) => {
                    done.unchanged += 1;
                    same.push((item, seen(candidate.look), candidate.execution.end.clone()));
                }
                attempts::Made::New(taken) => new.push((candidate, taken)),
                attempts::Made::Not(why) => {
                    done.problems.push(Untaken { execution: candidate.execution.id.clone(), why });
                }
            }
        }
        self.store.tao_seen(&same).await?;
        let taken: Vec<NewTaken> =
            new.iter().map(|(candidate, made)| NewTaken { seen: seen(candidate.look), ..made.clone() }).collect();
        let answers = self.store.tao_take(&taken).await?;
        for ((candidate, _), answer) in new.iter().zip(answers) {
            if answer == TakenAnswer::Queued {
                let counter = if candidate.known.is_none() { &mut done.attempts } else { &mut done.next_versions };
                *counter += 1;
                done.only_claimed += u64::from(candidate.claimed);
            }
        }
        Ok(())
    }

    /// Everything that an item is made of.
    async fn materials(
        &mut self,
        reading: &mut Reading,
        schema: &Schema,
        batch: &[Candidate],
    ) -> Result<Vec<Material>, TaoDatabaseError> {
        let ids: Vec<String> = batch.iter().map(|candidate| candidate.execution.id.clone()).collect();
        let mut variables = variables::read(reading, &ids).await?;
        let mut log: HashMap<String, Vec<LogRow>> = HashMap::new();
        for row in logs::of_executions(reading, schema, &ids).await? {
            log.entry(row.execution.clone()).or_default().push(row);
        }
        let deliveries = batch.iter().map(|candidate| candidate.execution.delivery.as_str()).collect();
        let items: BTreeSet<String> = variables.values().flatten().filter_map(|stored| stored.item.clone()).collect();
        self.names.learn(reading, &deliveries, &items.iter().map(String::as_str).collect()).await?;
        let material = |candidate: &Candidate| {
            let execution = candidate.execution.clone();
            let variables = variables.remove(&execution.id).unwrap_or_default();
            let log = log.remove(&execution.id).unwrap_or_default();
            Material::new(execution, &variables, log, &self.names)
        };
        Ok(batch.iter().map(material).collect())
    }

    /// Log rows of attempts that are items already, or that taoSync has handed in.
    async fn late_logs(
        &mut self,
        reading: &mut Reading,
        schema: &Schema,
        done: &mut TakenUp,
    ) -> Result<(), TaoDatabaseError> {
        let mut after = 0;
        loop {
            let rows = logs::unsynced(reading, schema, after).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.id;
            let numbers: Vec<i64> = rows.iter().map(|row| row.id).collect();
            let taken = self.store.tao_taken_rows(&numbers).await?;
            let mut new: BTreeMap<String, Vec<LogRow>> = BTreeMap::new();
            for row in rows.into_iter().filter(|row| !taken.contains(&row.id)) {
                new.entry(row.execution.clone()).or_default().push(row);
            }
            self.follow(reading, schema, new, done).await?;
        }
    }

    async fn follow(
        &mut self,
        reading: &mut Reading,
        schema: &Schema,
        new: BTreeMap<String, Vec<LogRow>>,
        done: &mut TakenUp,
    ) -> Result<(), TaoDatabaseError> {
        let ids: Vec<String> = new.keys().cloned().collect();
        let known = self.store.tao_taken(&ids).await?;
        let sent = sent::read(reading, schema, &ids).await?;
        let found = executions::named(reading, schema, &ids).await?;
        self.homes.learn(&found.iter().flat_map(|e| [e.delivery.as_str(), e.test_taker.as_str()]).collect()).await?;
        let mut items = Vec::new();
        for execution in found {
            let is_handed_in =
                known.contains_key(&execution.id) || sent.get(&execution.id).is_some_and(|s| !s.is_open());
            let Some(rows) = new.get(&execution.id).filter(|_| is_handed_in) else { continue };
            match attempts::make_log(&self.runner, &mut self.homes, &execution, rows).await? {
                Some(item) => {
                    done.log_rows += rows.len() as u64;
                    items.push(LogItem { item, log_rows: rows.iter().map(|row| row.id).collect() });
                }
                None => {
                    tracing::info!(execution = execution.id, "late log rows belong to no organisation of this server");
                }
            }
        }
        if self.taking.mode == Mode::Apply && !items.is_empty() {
            self.store.tao_take_logs(&items).await?;
        }
        Ok(())
    }
}

/// What a first look shows, as it is kept.
fn seen(look: Look) -> String {
    format!("{} variables to {}", look.variables, look.last)
}

fn batch_len(candidates: &[Candidate]) -> usize {
    let mut bytes = 0;
    let fitting = candidates.iter().take(BATCH).enumerate().take_while(|(place, candidate)| {
        bytes += candidate.look.bytes;
        *place == 0 || bytes <= BATCH_BYTES
    });
    fitting.count()
}
