//! `taoSync`'s own memory on a local TAO: the sync counter, the table `synchronisation` (WIRE §7.2, §7.4), and the
//! checksums it has heard (§4.1). They are continued, so that `taoSync` can go on where taosync stops.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use taosync_model::tao::TaoChecksum;
use taosync_model::{EntityType, vocabulary as v};

use super::entities::{Moment, NewIds};
use crate::schema::History;
use crate::statement::batches;
use crate::{Change, Reading, Row, Schema, Statement, TaoError, Value};

/// The resource that counts syncs.
const SYNCHRO: &str = "http://www.taotesting.com/ontologies/synchro.rdf#synchro";
/// Its counter: one more statement a sync, the highest counts.
const COUNTER: &str = "http://www.taotesting.com/ontologies/synchro.rdf#identifier";
/// Characters of a URI that `synchronisation` holds. Longer ones are not recorded, as in TAO.
const URI_CHARACTERS: usize = 128;

/// What a sync did with an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is new.
    Created,
    /// It was changed.
    Updated,
    /// It was removed.
    Deleted,
    /// It is as it was.
    Touched,
}

impl Action {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Touched => "touched",
        }
    }
}

/// An entity in the history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// URI.
    pub uri: String,
    /// The org it came for, where TAO's history tells them apart; empty elsewhere.
    pub org: String,
}

fn org_column(schema: &Schema) -> Option<&'static str> {
    (schema.history == History::ByOrganisation).then_some("organisation_id")
}

/// Where the sync counter stands: 0 before the first sync.
pub async fn counter(reading: &mut Reading) -> Result<i64, TaoError> {
    highest(&reading.rows(&counters()).await?)
}

/// Counts one sync more, and says which it is. With orgs told apart, the org is noted too: TAO's screens and its sign-in
/// ask for the last one.
pub async fn begin(
    change: &mut Change,
    schema: &Schema,
    orgs: &BTreeSet<String>,
    moment: &Moment,
    ids: NewIds<'_>,
) -> Result<i64, TaoError> {
    let number = highest(&change.rows(&counters()).await?)? + 1;
    let mut statements = vec![(COUNTER, number.to_string())];
    if org_column(schema).is_some() {
        statements.extend(orgs.iter().map(|org| (v::ORGANISATION_ID, org.clone())));
    }
    for (predicate, object) in statements {
        super::entities::add(change, schema, SYNCHRO, (predicate, &object), moment, ids).await?;
    }
    Ok(number)
}

fn counters() -> Statement {
    Statement::new("SELECT object FROM statements WHERE ")
        .equals("subject", SYNCHRO)
        .push(" AND predicate = ")
        .bind(COUNTER)
}

fn highest(rows: &[Row]) -> Result<i64, TaoError> {
    let mut highest = 0;
    for row in rows {
        highest = highest.max(row.optional_text(0)?.and_then(|text| text.trim().parse().ok()).unwrap_or(0));
    }
    Ok(highest)
}

/// Records what a sync did with entities of a type: rows that are there follow, others are made; of what is deleted none
/// is made.
pub async fn note(
    change: &mut Change,
    schema: &Schema,
    sync: i64,
    (entity_type, action): (EntityType, Action),
    entries: &BTreeSet<Entry>,
    moment: &Moment,
) -> Result<(), TaoError> {
    let entries: BTreeSet<&Entry> = entries.iter().filter(|e| e.uri.chars().count() <= URI_CHARACTERS).collect();
    if entries.is_empty() || schema.history == History::Absent {
        return Ok(());
    }
    let known = known(change, schema, entity_type, &entries).await?;
    let mut by_org: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| known.contains(**entry)) {
        by_org.entry(&entry.org).or_default().push(&entry.uri);
    }
    for (org, uris) in by_org {
        let mut update = Statement::new("UPDATE synchronisation SET sync_id = ")
            .bind(sync)
            .push(", action = ")
            .bind(action.as_str())
            .push(", ")
            .name("time")
            .push(" = ")
            .bind(Value::Moment(moment.epoch.clone()))
            .push(" WHERE ")
            .name("type")
            .push(" = ")
            .bind(entity_type.as_str())
            .push(" AND ")
            .among("entity_id", uris);
        if let Some(column) = org_column(schema) {
            update = update.push(" AND ").equals(column, org);
        }
        change.execute(&update).await?;
    }
    let is_new = |entry: &&&Entry| action != Action::Deleted && !known.contains(**entry);
    let rows = entries.iter().filter(is_new).map(|entry| {
        let mut row = vec![
            Value::Integer(sync),
            action.as_str().into(),
            (&entry.uri).into(),
            entity_type.as_str().into(),
            Value::Moment(moment.epoch.clone()),
        ];
        row.extend(org_column(schema).map(|_| (&entry.org).into()));
        row
    });
    insert(change, schema, &rows.collect::<Vec<_>>()).await
}

async fn insert(change: &mut Change, schema: &Schema, rows: &[Vec<Value>]) -> Result<(), TaoError> {
    for batch in batches(rows) {
        let mut statement = Statement::new("INSERT INTO synchronisation (sync_id, action, entity_id, ")
            .name("type")
            .push(", ")
            .name("time");
        if let Some(column) = org_column(schema) {
            statement = statement.push(", ").push(column);
        }
        change.execute(&statement.push(") VALUES ").tuples(batch)).await?;
    }
    Ok(())
}

/// Which of these entities have a row of the type.
async fn known(
    change: &mut Change,
    schema: &Schema,
    entity_type: EntityType,
    entries: &BTreeSet<&Entry>,
) -> Result<BTreeSet<Entry>, TaoError> {
    let mut statement = Statement::new("SELECT entity_id, ").push(org_column(schema).unwrap_or("NULL"));
    let uris: BTreeSet<&str> = entries.iter().map(|entry| entry.uri.as_str()).collect();
    statement = statement
        .push(" FROM synchronisation WHERE ")
        .name("type")
        .push(" = ")
        .bind(entity_type.as_str())
        .push(" AND ")
        .among("entity_id", uris);
    let entry = |row: &Row| -> Result<Entry, TaoError> {
        Ok(Entry { uri: row.text(0)?.to_owned(), org: row.optional_text(1)?.unwrap_or_default().to_owned() })
    };
    change.rows(&statement).await?.iter().map(entry).collect()
}

/// What came with earlier syncs and was not deleted, by type, and what of it is not recorded for this sync is recorded as
/// as it was.
pub async fn touch(
    change: &mut Change,
    schema: &Schema,
    sync: i64,
    entity_type: EntityType,
    moment: &Moment,
) -> Result<u64, TaoError> {
    if schema.history == History::Absent {
        return Ok(0);
    }
    let statement = Statement::new("UPDATE synchronisation SET sync_id = ")
        .bind(sync)
        .push(", action = ")
        .bind(Action::Touched.as_str())
        .push(", ")
        .name("time")
        .push(" = ")
        .bind(Value::Moment(moment.epoch.clone()))
        .push(" WHERE ")
        .name("type")
        .push(" = ")
        .bind(entity_type.as_str())
        .push(" AND sync_id <> ")
        .bind(sync)
        .push(" AND action <> ")
        .bind(Action::Deleted.as_str());
    change.execute(&statement).await
}

/// Entities of a type that a sync has brought and none has removed, after a row of the history, at most so many: the row
/// and the URI.
pub async fn brought(
    reading: &mut Reading,
    schema: &Schema,
    entity_type: EntityType,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, String)>, TaoError> {
    if schema.history == History::Absent {
        return Ok(Vec::new());
    }
    let statement = Statement::new("SELECT id, entity_id FROM synchronisation WHERE ")
        .name("type")
        .push(" = ")
        .bind(entity_type.as_str())
        .push(" AND action <> ")
        .bind(Action::Deleted.as_str())
        .push(" AND id > ")
        .bind(after)
        .push(" ORDER BY id LIMIT ")
        .bind(limit);
    let entity = |row: &Row| Ok((row.integer(0)?, row.text(1)?.to_owned()));
    reading.rows(&statement).await?.iter().map(entity).collect()
}

/// Of these entities of a type, those that a sync has brought and none has removed.
pub async fn brought_among(
    reading: &mut Reading,
    schema: &Schema,
    entity_type: EntityType,
    uris: &[&str],
) -> Result<BTreeSet<String>, TaoError> {
    if schema.history == History::Absent || uris.is_empty() {
        return Ok(BTreeSet::new());
    }
    let statement = Statement::new("SELECT entity_id FROM synchronisation WHERE ")
        .name("type")
        .push(" = ")
        .bind(entity_type.as_str())
        .push(" AND action <> ")
        .bind(Action::Deleted.as_str())
        .push(" AND ")
        .among("entity_id", uris.iter().copied());
    reading.rows(&statement).await?.iter().map(|row| row.text(0).map(str::to_owned)).collect()
}

/// Notes the checksums heard with entities: `taoSync` takes what has the same one for unchanged.
pub async fn checksums_note(
    change: &mut Change,
    schema: &Schema,
    checksums: &BTreeMap<String, TaoChecksum>,
) -> Result<(), TaoError> {
    if checksums.is_empty() || !schema.has_table("kv_store") {
        return Ok(());
    }
    checksums_forget(change, schema, checksums.keys().map(String::as_str)).await?;
    let row = |(uri, checksum): (&String, &TaoChecksum)| {
        let coded = base64::engine::general_purpose::STANDARD.encode(checksum.to_string());
        vec![checksum_key(uri).into(), coded.into(), Value::Integer(0)]
    };
    let rows: Vec<Vec<Value>> = checksums.iter().filter(|(uri, _)| is_key(uri)).map(row).collect();
    for batch in batches(&rows) {
        change
            .execute(&Statement::new("INSERT INTO kv_store (kv_id, kv_value, kv_time) VALUES ").tuples(batch))
            .await?;
    }
    Ok(())
}

/// Forgets the checksums of entities.
pub async fn checksums_forget<'a>(
    change: &mut Change,
    schema: &Schema,
    uris: impl Iterator<Item = &'a str>,
) -> Result<(), TaoError> {
    if !schema.has_table("kv_store") {
        return Ok(());
    }
    let keys: Vec<String> = uris.filter(|uri| is_key(uri)).map(checksum_key).collect();
    change.execute(&Statement::new("DELETE FROM kv_store WHERE ").among("kv_id", &keys)).await.map(drop)
}

fn checksum_key(uri: &str) -> String {
    format!("entity-checksum-{uri}")
}

/// Whether `kv_store` can hold a checksum under this URI.
fn is_key(uri: &str) -> bool {
    checksum_key(uri).chars().count() <= 255
}
