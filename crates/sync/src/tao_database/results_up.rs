//! Received results are written where a TAO's reports read them (central). What is written is compared with what is there,
//! so that a push that was cut is simply done again; our marks only save the looking.

use jiff::Timestamp;
use serde_json::{Value, json};
use taosync_model::assessment::LogEntry;
use taosync_model::item::{Envelope, ItemKind};
use taosync_results::decode_attempt;
use taosync_store::Store;
use taosync_store::received::ReceivedItem;
use taosync_store::tao_results::{Due, Written, WrittenState};
use taosync_tao::write::executions::Attempt;
use taosync_tao::write::logs::NewLog;
use taosync_tao::write::now::{Now, moment};
use taosync_tao::write::results::{Arrived, LateLog, NewVariable, Outcome};
use taosync_tao::write::{php_json, results};
use taosync_tao::{Change, Database, Schema, TaoError};
use taosync_vault::results_keys::ResultsIdentities;
use taosync_wire::tao::results::TaoVariable;
use taosync_wire::tao::{seconds_text, time_of};

use super::TaoDatabaseError;
use crate::session::Mode;
use crate::tao::names;
use crate::tao_remote::variables::result_of;
use crate::up::payload::{self, LogBatch};
use crate::up::sealing::readable;

/// Items of a transaction.
const BATCH: u32 = 100;
/// Bytes of their payloads, unless one alone has more.
const BATCH_BYTES: u64 = 8 * 1024 * 1024;

/// Event of the row that says from where an execution came (WIRE §10.1).
const SYNC_EVENT: &str = "SYNC_EVENT";
/// Who wrote it.
const WRITER: &str = "taosync";

/// What was written, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct WrittenUp {
    /// Results that are in TAO now.
    pub results: u64,
    /// Results that were there already.
    pub unchanged: u64,
    /// Items of log rows that are in TAO now.
    pub logs: u64,
    /// Results that only the holder of the results key can read; they wait.
    pub sealed: u64,
    /// Results of executions that somebody works with in TAO; they wait.
    pub active: u64,
    /// Items of log rows whose result is not in TAO yet; they wait.
    pub logs_without_result: u64,
    /// Versions that are older, or in conflict with the newest; they are not written.
    pub passed: u64,
    /// Results that TAO's database does not take; they wait.
    pub problems: Vec<Unwritten>,
}

/// A result that TAO's database does not take.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Unwritten {
    /// What the execution is called where it was run.
    pub execution: String,
    /// Why.
    pub why: String,
}

/// An item as it is written.
enum Form {
    Result(Arrived),
    Log(LateLog),
    Waiting,
    Passed,
}

/// Writes everything that came in and is not written yet.
pub async fn write(
    store: &Store,
    database: &Database,
    identities: &ResultsIdentities,
    mode: Mode,
) -> Result<WrittenUp, TaoDatabaseError> {
    let mut done = WrittenUp::default();
    let through = store.tao_written_through().await?;
    if store.tao_due_count(through).await? == 0 {
        return Ok(done);
    }
    let schema = Schema::recognise(&mut database.read().await?).await?;
    let mut after = 0;
    loop {
        let page = store.tao_due((after, through), BATCH, BATCH_BYTES).await?;
        let Some(last) = page.last() else { return Ok(done) };
        after = last.received.item.receipt_no;
        let formed: Vec<(&ReceivedItem, Form)> =
            page.iter().map(|due| (&due.received.item, form(due, identities, &mut done))).collect();
        if mode == Mode::DryRun {
            count(&formed, &mut done);
            continue;
        }
        let work = Work { store, database, schema: &schema };
        let written = work.group(&formed, &mut done).await?;
        store.tao_written_note(&written).await?;
    }
}

fn count(formed: &[(&ReceivedItem, Form)], done: &mut WrittenUp) {
    for (_, form) in formed {
        match form {
            Form::Result(_) => done.results += 1,
            Form::Log(_) => done.logs += 1,
            Form::Waiting | Form::Passed => {}
        }
    }
}

fn form(due: &Due, identities: &ResultsIdentities, done: &mut WrittenUp) -> Form {
    let item = &due.received.item;
    let is_old = item.envelope.kind == ItemKind::Attempt && !item.head;
    if is_old || item.erased {
        done.passed += 1;
        return Form::Passed;
    }
    if !matches!(item.envelope.kind, ItemKind::Attempt | ItemKind::Log) {
        return Form::Passed;
    }
    let Ok(plain) = readable(item.form(), &due.received.payload, identities) else {
        done.sealed += 1;
        return Form::Waiting;
    };
    let formed = match item.envelope.kind {
        ItemKind::Attempt => result(item, &plain, due),
        _ => log(item, &plain),
    };
    formed.unwrap_or_else(|| {
        let execution = item.envelope.item.to_string();
        done.problems.push(Unwritten { execution, why: "its payload cannot be read; run 'taosync verify'".into() });
        Form::Waiting
    })
}

fn result(item: &ReceivedItem, plain: &[u8], due: &Due) -> Option<Form> {
    let envelope = &item.envelope;
    let attempt = decode_attempt(plain, taosync_results::MAX_PLAIN).ok()?;
    let delivery = envelope.delivery.clone().unwrap_or_default();
    let came = result_of(envelope, &attempt, &delivery);
    let moments =
        [&came.details.starttime, &came.details.finishtime].map(|text| text.as_deref().and_then(time_of).map(moment));
    let written = Attempt {
        delivery,
        test_taker: came.details.test_taker.unwrap_or_default(),
        label: came.details.label.unwrap_or_default(),
        start: came.details.starttime,
        end: came.details.finishtime,
        moments,
        state: came.details.state.unwrap_or_default(),
    };
    Some(Form::Result(Arrived {
        offline: came.delivery_execution_id,
        attempt: written,
        variables: came.variables.into_iter().map(new_variable).collect(),
        log: attempt.log.iter().map(new_log).collect(),
        event: sync_event(envelope, item.received_at),
        replaced: due.before.clone(),
    }))
}

fn new_variable(variable: TaoVariable) -> NewVariable {
    NewVariable {
        identifier: variable.data.get("identifier").and_then(Value::as_str).unwrap_or_default().to_owned(),
        value: php_json::variable(&variable.data),
        call_id_test: variable.call_id_test,
        call_id_item: variable.call_id_item,
        test: variable.test,
        item: variable.item,
    }
}

fn log(item: &ReceivedItem, plain: &[u8]) -> Option<Form> {
    let batch: LogBatch = serde_json::from_value(payload::decode(plain, payload::MAX_PLAIN)?).ok()?;
    let offline = batch.tao.map_or_else(|| names::made(batch.execution), |tao| tao.execution);
    let log = batch.log.iter().map(new_log).collect();
    Some(Form::Log(LateLog { offline, log, event: sync_event(&item.envelope, item.received_at) }))
}

fn new_log(entry: &LogEntry) -> NewLog {
    NewLog {
        event: entry.event.clone(),
        data: entry.data.clone(),
        created_at: seconds_text(entry.at),
        created_by: entry.by.clone().unwrap_or_default(),
    }
}

/// The machine it came from, and when.
fn sync_event(envelope: &Envelope, received_at: Timestamp) -> NewLog {
    NewLog {
        event: SYNC_EVENT.to_owned(),
        data: json!({"box_id": envelope.origin}),
        created_at: seconds_text(received_at),
        created_by: WRITER.to_owned(),
    }
}

struct Work<'a> {
    store: &'a Store,
    database: &'a Database,
    schema: &'a Schema,
}

impl Work<'_> {
    /// Writes a group in one transaction; when TAO's database refuses it, one item after the other, so that one that
    /// does not fit holds up nothing else.
    async fn group(
        &self,
        formed: &[(&ReceivedItem, Form)],
        done: &mut WrittenUp,
    ) -> Result<Vec<Written>, TaoDatabaseError> {
        match self.at_once(formed).await {
            Ok((written, counts)) => {
                done.add(&counts);
                Ok(written)
            }
            Err(TaoDatabaseError::Tao(TaoError::Refused { .. } | TaoError::TooLarge { .. })) => {
                self.one_by_one(formed, done).await
            }
            Err(error) => Err(error),
        }
    }

    async fn one_by_one(
        &self,
        formed: &[(&ReceivedItem, Form)],
        done: &mut WrittenUp,
    ) -> Result<Vec<Written>, TaoDatabaseError> {
        let mut all = Vec::new();
        for one in formed.chunks(1) {
            match self.at_once(one).await {
                Ok((written, counts)) => {
                    done.add(&counts);
                    all.extend(written);
                }
                Err(TaoDatabaseError::Tao(error @ (TaoError::Refused { .. } | TaoError::TooLarge { .. }))) => {
                    for (item, form) in one {
                        done.problems.push(Unwritten { execution: form.name(item), why: error.to_string() });
                        all.push(mark(item, WrittenState::Waiting));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    async fn at_once(&self, formed: &[(&ReceivedItem, Form)]) -> Result<(Vec<Written>, WrittenUp), TaoDatabaseError> {
        let mut counts = WrittenUp::default();
        if !formed.iter().any(|(_, form)| matches!(form, Form::Result(_) | Form::Log(_))) {
            return Ok((formed.iter().map(|(item, form)| mark(item, form.rest())).collect(), counts));
        }
        let mut change = self.database.change("results received").await?;
        let written = self.write(&mut change, formed, &mut counts).await?;
        change.commit().await?;
        Ok((written, counts))
    }

    async fn write(
        &self,
        change: &mut Change,
        formed: &[(&ReceivedItem, Form)],
        counts: &mut WrittenUp,
    ) -> Result<Vec<Written>, TaoDatabaseError> {
        let now = Now::of(self.store.clock().now());
        let arrived = formed.iter().filter_map(|(_, form)| match form {
            Form::Result(arrived) => Some(arrived.clone()),
            _ => None,
        });
        let mut outcomes = results::write(change, self.schema, &arrived.collect::<Vec<_>>(), &now).await?.into_iter();
        let logs = formed.iter().filter_map(|(_, form)| match form {
            Form::Log(late) => Some(late.clone()),
            _ => None,
        });
        let known = results::write_late_logs(change, self.schema, &logs.collect::<Vec<_>>()).await?;
        let written = formed.iter().map(|(item, form)| match form {
            Form::Result(_) => match outcomes.next() {
                Some(outcome) => settled(item, outcome, counts),
                None => mark(item, WrittenState::Waiting),
            },
            Form::Log(late) if known.contains_key(&late.offline) => {
                counts.logs += 1;
                Written { online: known.get(&late.offline).cloned(), ..mark(item, WrittenState::Written) }
            }
            Form::Log(_) => {
                counts.logs_without_result += 1;
                mark(item, WrittenState::Waiting)
            }
            Form::Waiting | Form::Passed => mark(item, form.rest()),
        });
        Ok(written.collect())
    }
}

fn settled(item: &ReceivedItem, outcome: Outcome, counts: &mut WrittenUp) -> Written {
    match outcome {
        Outcome::Written { online, marks, changed } => {
            if changed {
                counts.results += 1;
            } else {
                counts.unchanged += 1;
            }
            Written { online: Some(online), marks, ..mark(item, WrittenState::Written) }
        }
        Outcome::Active { online } => {
            counts.active += 1;
            Written { online: Some(online), ..mark(item, WrittenState::Waiting) }
        }
    }
}

fn mark(item: &ReceivedItem, state: WrittenState) -> Written {
    let (received, receipt_no, item) = (item.id, item.receipt_no, item.envelope.item);
    Written { received, receipt_no, item, state, online: None, marks: Vec::new() }
}

impl Form {
    const fn rest(&self) -> WrittenState {
        match self {
            Self::Passed => WrittenState::Passed,
            Self::Waiting | Self::Result(_) | Self::Log(_) => WrittenState::Waiting,
        }
    }

    fn name(&self, item: &ReceivedItem) -> String {
        match self {
            Self::Result(arrived) => arrived.offline.clone(),
            Self::Log(late) => late.offline.clone(),
            Self::Waiting | Self::Passed => item.envelope.item.to_string(),
        }
    }
}

impl WrittenUp {
    fn add(&mut self, counts: &Self) {
        self.results += counts.results;
        self.unchanged += counts.unchanged;
        self.logs += counts.logs;
        self.active += counts.active;
        self.logs_without_result += counts.logs_without_result;
    }
}
