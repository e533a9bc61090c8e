//! Gives every difference its number, and keeps the sums: the last step of a change.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::SqliteConnection;
use taosync_model::canonical::{entry_member, link_member};
use taosync_model::tao::TaoChecksum;
use taosync_model::{Digest, EntityType, SetDigest, Value};
use uuid::Uuid;

use super::links::LinkVerdict;
use super::register::Scopes;
use super::{LinkKey, OrgEffect, Verdict};
use crate::{Store, StoreError, predicates, rows};

/// Counters of one type of one scope.
struct Counter {
    seq: i64,
    digest: SetDigest,
    count: i64,
    links: i64,
    entered: u64,
    left: u64,
    before: i64,
}

type Counters = BTreeMap<(i64, EntityType), Counter>;

/// An entry row to be written.
struct EntryRow {
    scope: i64,
    entity_type: EntityType,
    entity: Uuid,
    seq: i64,
    present: bool,
    filtered: bool,
    digest: Digest,
    tao_md5: Option<TaoChecksum>,
}

/// A link row to be written.
struct LinkRow {
    scope: i64,
    entity_type: EntityType,
    key: LinkKey,
    seq: i64,
    present: bool,
}

impl Store {
    /// Writes the verdicts with the next numbers of their scope and type, in order of entity id, entries before links.
    pub(super) async fn sequence_write(
        &self,
        conn: &mut SqliteConnection,
        scopes: &Scopes,
        mut verdicts: Vec<Verdict>,
        mut links: Vec<LinkVerdict>,
        mut uris: HashMap<Uuid, String>,
    ) -> Result<Vec<OrgEffect>, StoreError> {
        if verdicts.is_empty() && links.is_empty() {
            return Ok(Vec::new());
        }
        let sql = StoreError::sql("sequence_write");
        verdicts.sort_unstable_by_key(|v| v.place);
        links.sort_unstable_by_key(|l| (l.scope, l.key));
        let ids = verdicts.iter().map(|v| v.place.2).chain(links.iter().flat_map(|l| [l.key.owner, l.key.value]));
        let missing: HashSet<Uuid> = ids.filter(|id| !uris.contains_key(id)).collect();
        read_uris(conn, missing, &mut uris).await.map_err(&sql)?;
        let mut counters = read_counters(conn).await.map_err(&sql)?;
        let entries = number_entries(&verdicts, &uris, &mut counters);
        let rows = self.number_links(conn, &links, &uris, &mut counters).await?;
        let now = self.now_ms();
        write_entries(conn, &entries, now).await.map_err(&sql)?;
        write_links(conn, &rows, now).await.map_err(&sql)?;
        write_counters(conn, &counters).await.map_err(&sql)?;
        Ok(counters
            .into_iter()
            .filter(|(_, c)| c.entered + c.left > 0)
            .filter_map(|((scope, entity_type), c)| {
                let org = scopes.orgs.get(&scope)?.clone();
                Some(OrgEffect { org, entity_type, entered: c.entered, left: c.left, before: c.before as u64 })
            })
            .collect())
    }

    async fn number_links(
        &self,
        conn: &mut SqliteConnection,
        links: &[LinkVerdict],
        uris: &HashMap<Uuid, String>,
        counters: &mut Counters,
    ) -> Result<Vec<LinkRow>, StoreError> {
        if links.is_empty() {
            return Ok(Vec::new());
        }
        let sql = StoreError::sql("number_links");
        let names = predicates::names(conn).await.map_err(&sql)?;
        let owner_types = self.owner_types(conn, links).await.map_err(&sql)?;
        let literals = self.literals(conn, links, uris).await?;
        let mut rows = Vec::with_capacity(links.len());
        for link in links {
            let key = link.key;
            let entity_type = owner_types.get(&(link.scope, key.owner)).copied().unwrap_or(EntityType::Eligibility);
            let Some(counter) = counters.get_mut(&(link.scope, entity_type)) else { continue };
            let (Some(owner), Some(predicate)) = (uris.get(&key.owner), names.get(&key.predicate)) else { continue };
            let value = match literals.get(&key) {
                Some(value) => value.clone(),
                None => Value::plain(uris.get(&key.value).cloned().unwrap_or_default()),
            };
            let member = link_member(owner, predicate, &value);
            if link.present {
                counter.digest.add(member);
                counter.links += 1;
            } else {
                counter.digest.remove(member);
                counter.links -= 1;
            }
            counter.seq += 1;
            rows.push(LinkRow { scope: link.scope, entity_type, key, seq: counter.seq, present: link.present });
        }
        Ok(rows)
    }

    /// The type under which an owner's links are numbered in a scope: once there are any, always the same, whatever
    /// other types the owner gets or loses, so that a link goes out of the sum it went into; else its first type.
    async fn owner_types(
        &self,
        conn: &mut SqliteConnection,
        links: &[LinkVerdict],
    ) -> Result<HashMap<(i64, Uuid), EntityType>, sqlx::Error> {
        let owners: Vec<Uuid> = links.iter().map(|l| l.key.owner).collect::<HashSet<_>>().into_iter().collect();
        let mut types = HashMap::new();
        for part in owners.chunks(20_000) {
            // One row of an owner is enough, and it may have very many.
            let found: Vec<(i64, Uuid, Option<i64>)> = sqlx::query_as(
                "SELECT s.id, unhex(j.value),
                   (SELECT l.type FROM scope_link l WHERE l.scope = s.id AND l.owner = unhex(j.value) LIMIT 1)
                 FROM json_each($1) j CROSS JOIN scope s",
            )
            .bind(rows::id_array(part))
            .fetch_all(&mut *conn)
            .await?;
            types.extend(found.into_iter().filter_map(|(s, id, code)| Some(((s, id), EntityType::from_code(code?)?))));
            let found: Vec<(Uuid, i64)> = sqlx::query_as(
                "SELECT e.id, e.types FROM json_each($1) j CROSS JOIN entity e ON e.id = unhex(j.value) WHERE e.types > 0",
            )
            .bind(rows::id_array(part))
            .fetch_all(&mut *conn)
            .await?;
            for (id, bits) in found {
                if let Some(first) = EntityType::from_bits(bits).next() {
                    for link in links.iter().filter(|l| l.key.owner == id).map(|l| l.scope).collect::<HashSet<_>>() {
                        types.entry((link, id)).or_insert(first);
                    }
                }
            }
        }
        Ok(types)
    }

    /// Values of literal links among these, gone ones too.
    async fn literals(
        &self,
        conn: &mut SqliteConnection,
        links: &[LinkVerdict],
        uris: &HashMap<Uuid, String>,
    ) -> Result<HashMap<LinkKey, Value>, StoreError> {
        let keys: Vec<LinkKey> = links.iter().map(|l| l.key).filter(|k| !uris.contains_key(&k.value)).collect();
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let found: Vec<(Uuid, i64, Uuid, Vec<u8>)> = sqlx::query_as(
            "SELECT l.owner, l.predicate, l.value_id, l.value FROM json_each($1) j CROSS JOIN literal_link l
               ON l.owner = unhex(j.value ->> 0) AND l.predicate = j.value ->> 1 AND l.value_id = unhex(j.value ->> 2)",
        )
        .bind(rows::key_array(keys.iter().map(|k| (k.owner, k.predicate, k.value))))
        .fetch_all(conn)
        .await
        .map_err(StoreError::sql("literals"))?;
        let mut literals = HashMap::new();
        for (owner, predicate, value_id, sealed) in found {
            let value = self.open_literal(value_id, &sealed)?;
            literals.insert(LinkKey { owner, predicate, value: value_id }, value);
        }
        Ok(literals)
    }

    /// Opens the value of a literal link.
    pub(crate) fn open_literal(&self, value_id: Uuid, sealed: &[u8]) -> Result<Value, StoreError> {
        let damaged = |_| StoreError::damaged(format!("the literal link {value_id}"));
        let plain =
            self.keyring().columns().open("literal_link", value_id.as_bytes(), "value", sealed).map_err(damaged)?;
        serde_json::from_slice(&plain).map_err(|_| StoreError::damaged(format!("the literal link {value_id}")))
    }
}

fn number_entries(verdicts: &[Verdict], uris: &HashMap<Uuid, String>, counters: &mut Counters) -> Vec<EntryRow> {
    let mut rows = Vec::with_capacity(verdicts.len());
    for verdict in verdicts {
        let (scope, entity_type, entity) = verdict.place;
        let Some(counter) = counters.get_mut(&(scope, entity_type)) else { continue };
        let uri = uris.get(&entity).map_or("", String::as_str);
        let before = verdict.before.filter(|b| b.present);
        if let Some(before) = before {
            counter.digest.remove(entry_member(uri, before.digest));
        }
        if let Some(now) = verdict.now {
            counter.digest.add(entry_member(uri, now.digest));
        }
        match (before.is_some(), verdict.now.is_some()) {
            (false, true) => (counter.count, counter.entered) = (counter.count + 1, counter.entered + 1),
            (true, false) => (counter.count, counter.left) = (counter.count - 1, counter.left + 1),
            _ => {}
        }
        counter.seq += 1;
        rows.push(EntryRow {
            scope,
            entity_type,
            entity,
            seq: counter.seq,
            present: verdict.now.is_some(),
            filtered: verdict.now.is_some_and(|n| n.filtered),
            digest: verdict.now.map(|n| n.digest).or(before.map(|b| b.digest)).unwrap_or_default(),
            tao_md5: verdict.now.and_then(|n| n.tao_md5),
        });
    }
    rows
}

async fn read_uris(
    conn: &mut SqliteConnection,
    ids: HashSet<Uuid>,
    uris: &mut HashMap<Uuid, String>,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = ids.into_iter().collect();
    for part in ids.chunks(20_000) {
        let found: Vec<(Uuid, String)> =
            sqlx::query_as("SELECT e.id, e.uri FROM json_each($1) j CROSS JOIN entity e ON e.id = unhex(j.value)")
                .bind(rows::id_array(part))
                .fetch_all(&mut *conn)
                .await?;
        uris.extend(found);
    }
    Ok(())
}

async fn read_counters(conn: &mut SqliteConnection) -> Result<Counters, sqlx::Error> {
    let found: Vec<(i64, i64, i64, Vec<u8>, i64, i64)> =
        sqlx::query_as("SELECT scope, type, last_seq, set_digest, count, links FROM scope_type")
            .fetch_all(conn)
            .await?;
    Ok(found
        .into_iter()
        .filter_map(|(scope, code, seq, digest, count, links)| {
            let digest = SetDigest::from_digest(Digest::from_slice(&digest).unwrap_or_default());
            let counter = Counter { seq, digest, count, links, entered: 0, left: 0, before: count };
            Some(((scope, EntityType::from_code(code)?), counter))
        })
        .collect())
}

async fn write_entries(conn: &mut SqliteConnection, entries: &[EntryRow], now: i64) -> Result<(), sqlx::Error> {
    rows::insert(
        conn,
        "INSERT INTO scope_entry (scope, type, entity, seq, present, filtered, digest, gone_at, tao_md5) ",
        entries,
        "ON CONFLICT (scope, type, entity) DO UPDATE SET seq = excluded.seq, present = excluded.present,
         filtered = excluded.filtered, digest = excluded.digest, tao_md5 = excluded.tao_md5, gone_at = excluded.gone_at",
        |mut row, e| {
            row.push_bind(e.scope).push_bind(e.entity_type.code()).push_bind(e.entity).push_bind(e.seq);
            row.push_bind(e.present).push_bind(e.filtered).push_bind(e.digest.0.to_vec());
            row.push_bind((!e.present).then_some(now));
            match e.tao_md5 {
                Some(checksum) => {
                    row.push_bind(checksum.0.to_vec());
                }
                None => {
                    row.push("(SELECT tao_md5 FROM entity WHERE id = ").push_bind_unseparated(e.entity);
                    row.push_unseparated(")");
                }
            }
        },
    )
    .await
}

async fn write_links(conn: &mut SqliteConnection, links: &[LinkRow], now: i64) -> Result<(), sqlx::Error> {
    rows::insert(
        conn,
        "INSERT INTO scope_link (scope, type, owner, predicate, value_id, seq, present, gone_at) ",
        links,
        "ON CONFLICT (scope, owner, predicate, value_id) DO UPDATE SET seq = excluded.seq, present = excluded.present,
         gone_at = excluded.gone_at",
        |mut row, l| {
            row.push_bind(l.scope).push_bind(l.entity_type.code()).push_bind(l.key.owner);
            row.push_bind(l.key.predicate).push_bind(l.key.value).push_bind(l.seq).push_bind(l.present);
            row.push_bind((!l.present).then_some(now));
        },
    )
    .await
}

async fn write_counters(conn: &mut SqliteConnection, counters: &Counters) -> Result<(), sqlx::Error> {
    let list: Vec<_> = counters.iter().collect();
    rows::insert(
        conn,
        "INSERT INTO scope_type (scope, type, last_seq, set_digest, count, links, floor, removals_approved_through) ",
        &list,
        "ON CONFLICT (scope, type) DO UPDATE SET last_seq = excluded.last_seq, set_digest = excluded.set_digest,
         count = excluded.count, links = excluded.links",
        |mut row, ((scope, entity_type), c)| {
            row.push_bind(*scope).push_bind(entity_type.code()).push_bind(c.seq);
            row.push_bind(c.digest.to_digest().0.to_vec()).push_bind(c.count).push_bind(c.links);
            row.push_bind(0_i64).push_bind(0_i64);
        },
    )
    .await
}
