//! Applying a chunk of the feed: upserts, links and removals, with the positions after them, in one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sqlx::SqliteConnection;
use taosync_model::canonical::{entry_member, link_member};
use taosync_model::{Digest, EntityType, SetDigest, Value, vocabulary};
use uuid::Uuid;

use super::{held, held_values, parted};
use crate::entities::Tally;
use crate::{Durability, Store, StoreError, Tx, predicates, rows};

/// A part of a feed, ready to be applied.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Entities that are now so. The digest is of what is in `body`.
    pub upserts: Vec<Upsert>,
    /// Links that came (true) or went (false).
    pub links: Vec<Link>,
    /// Entities that are gone.
    pub removes: Vec<Removal>,
    /// Positions after this chunk, where they move.
    pub positions: BTreeMap<EntityType, i64>,
}

/// An entity of a chunk. `Debug` shows neither body nor login.
pub struct Upsert {
    /// Type.
    pub entity_type: EntityType,
    /// Number.
    pub seq: i64,
    /// URI.
    pub uri: String,
    /// Digest of the entity.
    pub digest: Digest,
    /// JSON of the entity.
    pub body: Vec<u8>,
    /// Login, for users.
    pub login: Option<String>,
}

impl std::fmt::Debug for Upsert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Upsert");
        shown.field("entity_type", &self.entity_type).field("seq", &self.seq).field("uri", &self.uri);
        shown.finish_non_exhaustive()
    }
}

/// A link of a chunk.
#[derive(Debug)]
pub struct Link {
    /// Type of the owner.
    pub entity_type: EntityType,
    /// URI of the owner.
    pub owner: String,
    /// Predicate.
    pub predicate: String,
    /// Value.
    pub value: Value,
    /// Came or went.
    pub present: bool,
}

/// A removal of a chunk.
#[derive(Debug)]
pub struct Removal {
    /// Type.
    pub entity_type: EntityType,
    /// Number.
    pub seq: i64,
    /// URI.
    pub uri: String,
}

/// What to do with removals of a type (DESIGN §4, removal guard).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalRule {
    /// Apply them.
    Apply,
    /// Keep the entities and remember the removals until a person approves.
    Hold {
        /// Removals up to this number are approved.
        approved: i64,
        /// Entities of the type that were here before the removals came.
        before: u64,
    },
}

/// What chunks did, per type.
pub type ChunkEffect = BTreeMap<EntityType, Tally>;

/// What one chunk did.
#[derive(Clone, Debug, Default)]
pub struct AppliedChunk {
    /// Entities, per type.
    pub effect: ChunkEffect,
    /// Entities whose links came or went. They are not in `effect`: their bodies may have come in another chunk.
    pub link_owners: BTreeSet<(EntityType, String)>,
}

/// When links that went are taken away.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Parting {
    /// With the chunk.
    AtOnce,
    /// When it is known that neither side of them is held ([`Store::removals_apply`] and its like).
    Waits,
}

struct Held {
    id: Uuid,
    digest: Digest,
}

pub(super) struct Sum {
    digest: SetDigest,
    count: i64,
    links: i64,
}

impl Store {
    /// Applies a chunk. Words heard twice change nothing; what differs replaces what was there.
    pub async fn replica_apply(
        &self,
        scope: i64,
        chunk: Chunk,
        rules: &BTreeMap<EntityType, RemovalRule>,
    ) -> Result<AppliedChunk, StoreError> {
        let mut tx = self.write("replica_apply", Durability::Relaxed).await?;
        let applied = self.apply(&mut tx, scope, chunk, rules).await?;
        tx.commit().await?;
        Ok(applied)
    }

    pub(super) async fn apply(
        &self,
        tx: &mut Tx,
        scope: i64,
        chunk: Chunk,
        rules: &BTreeMap<EntityType, RemovalRule>,
    ) -> Result<AppliedChunk, StoreError> {
        let sql = tx.sql();
        let conn = tx.conn();
        let mut sums = read_sums(conn, scope).await.map_err(&sql)?;
        let mut effect = ChunkEffect::new();
        let upserts = latest(chunk.upserts);
        let (held, removes): (Vec<Removal>, Vec<Removal>) =
            last_words(chunk.removes, &upserts).into_iter().partition(|r| holds(rules.get(&r.entity_type), r.seq));
        let removed = held.iter().chain(&removes).map(|r| r.uri.as_str());
        let uris = upserts.iter().map(|u| u.uri.as_str()).chain(removed);
        let mut known = read_known(conn, scope, uris.collect()).await.map_err(&sql)?;
        // What central says is there again needs nobody's word to go, and what goes waits for none any more.
        let answered = upserts.iter().map(|u| (u.entity_type, u.uri.as_str()));
        let answered = answered.chain(removes.iter().map(|r| (r.entity_type, r.uri.as_str())));
        held::forget(conn, scope, answered).await.map_err(&sql)?;
        let mut fresh = Vec::with_capacity(upserts.len());
        for upsert in upserts {
            let sum = sum_of(&mut sums, upsert.entity_type);
            let tally = effect.entry(upsert.entity_type).or_default();
            let key = (upsert.entity_type, upsert.uri.clone());
            let id = match known.get(&key) {
                Some(old) if old.digest == upsert.digest => {
                    tally.unchanged += 1;
                    continue;
                }
                Some(old) => {
                    tally.updated += 1;
                    sum.digest.remove(entry_member(&upsert.uri, old.digest));
                    old.id
                }
                None => {
                    tally.created += 1;
                    sum.count += 1;
                    self.clock().new_id()
                }
            };
            sum.digest.add(entry_member(&upsert.uri, upsert.digest));
            known.insert(key, Held { id, digest: upsert.digest });
            fresh.push((id, upsert));
        }
        // What a link or a value belongs to may be held by a later chunk only.
        let may_hold = rules.values().any(|rule| matches!(rule, RemovalRule::Hold { .. }))
            || held::is_any(conn, scope).await.map_err(&sql)?;
        if may_hold {
            let lost = self.values_lost(conn, &fresh).await?;
            held_values::keep(conn, scope, &lost).await.map_err(&sql)?;
        }
        self.write_upserts(conn, scope, fresh).await.map_err(&sql)?;
        let mut gone = Vec::new();
        for removal in removes {
            if let Some(old) = known.remove(&(removal.entity_type, removal.uri.clone())) {
                let sum = sum_of(&mut sums, removal.entity_type);
                sum.digest.remove(entry_member(&removal.uri, old.digest));
                sum.count -= 1;
                effect.entry(removal.entity_type).or_default().removed += 1;
                gone.push(old.id);
            }
        }
        parted::keep(conn, &gone).await.map_err(&sql)?;
        delete_entries(conn, &gone).await.map_err(&sql)?;
        // Nothing is held of what was never here.
        let held = held.into_iter().filter(|r| known.contains_key(&(r.entity_type, r.uri.clone()))).collect();
        held::hold(conn, scope, held, rules, self.now_ms()).await.map_err(&sql)?;
        let parting = if may_hold { Parting::Waits } else { Parting::AtOnce };
        let link_owners = self.apply_links(conn, scope, chunk.links, parting, &mut sums).await.map_err(&sql)?;
        write_sums(conn, scope, &sums, &chunk.positions).await.map_err(&sql)?;
        Ok(AppliedChunk { effect, link_owners })
    }

    async fn write_upserts(
        &self,
        conn: &mut SqliteConnection,
        scope: i64,
        mut fresh: Vec<(Uuid, Upsert)>,
    ) -> Result<(), sqlx::Error> {
        fresh.sort_unstable_by_key(|(id, _)| *id);
        rows::insert(
            conn,
            "INSERT INTO replica_entry (id, scope, type, uri, seq, digest, body, login_index) ",
            &fresh,
            "ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, digest = excluded.digest, body = excluded.body,
             login_index = excluded.login_index",
            |mut row, (id, upsert)| {
                let sealed = self.keyring().columns().seal("replica_entry", id.as_bytes(), "body", &upsert.body);
                let login = upsert.login.as_ref().map(|l| self.keyring().index().of("login", l).to_vec());
                row.push_bind(*id).push_bind(scope).push_bind(upsert.entity_type.code());
                row.push_bind(upsert.uri.clone()).push_bind(upsert.seq).push_bind(upsert.digest.0.to_vec());
                row.push_bind(sealed).push_bind(login);
            },
        )
        .await
    }

    pub(super) async fn apply_links(
        &self,
        conn: &mut SqliteConnection,
        scope: i64,
        links: Vec<Link>,
        parting: Parting,
        sums: &mut BTreeMap<EntityType, Sum>,
    ) -> Result<BTreeSet<(EntityType, String)>, sqlx::Error> {
        if links.is_empty() {
            return Ok(BTreeSet::new());
        }
        let names: HashSet<&str> = links.iter().map(|l| l.predicate.as_str()).collect();
        let codes = predicates::codes(conn, &names.into_iter().collect::<Vec<_>>()).await?;
        let mut latest: HashMap<(Uuid, i64, Uuid), Link> = HashMap::new();
        for link in links {
            let Some(&code) = codes.get(&link.predicate) else { continue };
            latest.insert((owner_key(&link.owner), code, value_key(&link.value)), link);
        }
        let keys: Vec<_> = latest.keys().copied().collect();
        let mut held: HashMap<(Uuid, i64, Uuid), i64> = HashMap::new();
        for part in keys.chunks(20_000) {
            // CROSS JOIN keeps the order: SQLite thinks an array is short, and would walk all links for each.
            let found: Vec<(Uuid, i64, Uuid, i64)> = sqlx::query_as(
                "SELECT l.owner_key, l.predicate, l.value_key, l.type FROM json_each($1) j CROSS JOIN replica_link l
                   ON l.scope = $2 AND l.owner_key = unhex(j.value ->> 0) AND l.predicate = j.value ->> 1
                   AND l.value_key = unhex(j.value ->> 2)",
            )
            .bind(rows::key_array(part.iter().copied()))
            .bind(scope)
            .fetch_all(&mut *conn)
            .await?;
            held.extend(found.into_iter().map(|(owner, code, value, entity_type)| ((owner, code, value), entity_type)));
        }
        let back: Vec<_> = latest.iter().filter(|(_, link)| link.present).map(|(key, _)| *key).collect();
        held::forget_links(conn, scope, &back).await?;
        let (mut came, mut went, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for (key, link) in latest {
            if parting == Parting::Waits && !link.present && held.contains_key(&key) {
                waiting.push((key, link.entity_type));
                continue;
            }
            let member = link_member(&link.owner, &link.predicate, &link.value);
            // An owner of two types may have its links counted with one, and later with the other.
            let before = held.get(&key).and_then(|code| EntityType::from_code(*code));
            if before == Some(link.entity_type) && link.present || before != Some(link.entity_type) && !link.present {
                continue;
            }
            if let Some(before) = before {
                let sum = sum_of(sums, before);
                sum.digest.remove(member);
                sum.links -= 1;
            }
            if link.present {
                let sum = sum_of(sums, link.entity_type);
                sum.digest.add(member);
                sum.links += 1;
                came.push((key, link));
            } else {
                went.push((key, link));
            }
        }
        held::hold_links(conn, scope, &waiting).await?;
        let owners = came.iter().chain(&went).map(|(_, link)| (link.entity_type, link.owner.clone())).collect();
        came.sort_unstable_by_key(|(key, _)| *key);
        rows::insert(
            conn,
            "INSERT INTO replica_link (scope, type, owner_key, predicate, value_key, owner, value) ",
            &came,
            "ON CONFLICT (scope, owner_key, predicate, value_key) DO UPDATE SET type = excluded.type",
            |mut row, (key, link)| {
                let value = self.stored_value(key.2, link);
                row.push_bind(scope).push_bind(link.entity_type.code()).push_bind(key.0).push_bind(key.1);
                row.push_bind(key.2).push_bind(link.owner.clone()).push_bind(value);
            },
        )
        .await?;
        let went: Vec<_> = went.into_iter().map(|(key, _)| key).collect();
        for part in went.chunks(20_000) {
            sqlx::query(
                "DELETE FROM replica_link WHERE scope = $2 AND (owner_key, predicate, value_key) IN
                 (SELECT unhex(value ->> 0), value ->> 1, unhex(value ->> 2) FROM json_each($1))",
            )
            .bind(rows::key_array(part.iter().copied()))
            .bind(scope)
            .execute(&mut *conn)
            .await?;
        }
        Ok(owners)
    }

    /// URIs of other entities stand as they are; other values may be personal and are sealed.
    fn stored_value(&self, key: Uuid, link: &Link) -> Vec<u8> {
        if vocabulary::is_relation(&link.predicate) {
            return link.value.text.clone().into_bytes();
        }
        let plain = serde_json::to_vec(&link.value).unwrap_or_default();
        self.keyring().columns().seal("replica_link", key.as_bytes(), "value", &plain)
    }
}

/// The first 16 bytes of a URI's hash.
pub(crate) fn owner_key(uri: &str) -> Uuid {
    value_key(&Value::plain(uri))
}

/// The first 16 bytes of the hash of a value and its language.
pub(super) fn value_key(value: &Value) -> Uuid {
    let mut hasher = blake3::Hasher::new();
    hasher.update(value.text.as_bytes());
    if let Some(lang) = &value.lang {
        hasher.update(&[0]).update(lang.as_bytes());
    }
    let mut key = [0; 16];
    key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    Uuid::from_bytes(key)
}

/// Whether a removal waits for a person.
fn holds(rule: Option<&RemovalRule>, seq: i64) -> bool {
    matches!(rule, Some(RemovalRule::Hold { approved, .. }) if seq > *approved)
}

/// The last word about each entity of a chunk.
fn latest(upserts: Vec<Upsert>) -> Vec<Upsert> {
    let mut places: HashMap<(EntityType, String), usize> = HashMap::with_capacity(upserts.len());
    let mut list: Vec<Upsert> = Vec::with_capacity(upserts.len());
    for upsert in upserts {
        let key = (upsert.entity_type, upsert.uri.clone());
        match places.get(&key) {
            Some(&place) => list[place] = upsert,
            None => {
                places.insert(key, list.len());
                list.push(upsert);
            }
        }
    }
    list
}

/// The removals that no upsert of the chunk comes after: an entity may go and come back while central is read.
fn last_words(removes: Vec<Removal>, upserts: &[Upsert]) -> Vec<Removal> {
    if removes.is_empty() {
        return removes;
    }
    let back: HashMap<(EntityType, &str), i64> =
        upserts.iter().map(|u| ((u.entity_type, u.uri.as_str()), u.seq)).collect();
    let is_last = |r: &Removal| back.get(&(r.entity_type, r.uri.as_str())).is_none_or(|seq| *seq < r.seq);
    removes.into_iter().filter(is_last).collect()
}

fn sum_of(sums: &mut BTreeMap<EntityType, Sum>, entity_type: EntityType) -> &mut Sum {
    sums.entry(entity_type).or_insert(Sum { digest: SetDigest::EMPTY, count: 0, links: 0 })
}

pub(super) async fn read_sums(
    conn: &mut SqliteConnection,
    scope: i64,
) -> Result<BTreeMap<EntityType, Sum>, sqlx::Error> {
    let found: Vec<(i64, Vec<u8>, i64, i64)> =
        sqlx::query_as("SELECT type, set_digest, count, links FROM replica_type WHERE scope = $1")
            .bind(scope)
            .fetch_all(conn)
            .await?;
    Ok(found
        .into_iter()
        .filter_map(|(code, digest, count, links)| {
            let digest = SetDigest::from_digest(Digest::from_slice(&digest).unwrap_or_default());
            Some((EntityType::from_code(code)?, Sum { digest, count, links }))
        })
        .collect())
}

pub(super) async fn write_sums(
    conn: &mut SqliteConnection,
    scope: i64,
    sums: &BTreeMap<EntityType, Sum>,
    positions: &BTreeMap<EntityType, i64>,
) -> Result<(), sqlx::Error> {
    let list: Vec<_> = sums.iter().collect();
    rows::insert(
        conn,
        "INSERT INTO replica_type (scope, type, seq, set_digest, count, links) ",
        &list,
        "ON CONFLICT (scope, type) DO UPDATE SET seq = max(seq, excluded.seq), set_digest = excluded.set_digest,
         count = excluded.count, links = excluded.links",
        |mut row, (entity_type, sum)| {
            row.push_bind(scope).push_bind(entity_type.code());
            row.push_bind(positions.get(entity_type).copied().unwrap_or(0));
            row.push_bind(sum.digest.to_digest().0.to_vec()).push_bind(sum.count).push_bind(sum.links);
        },
    )
    .await
}

async fn read_known(
    conn: &mut SqliteConnection,
    scope: i64,
    uris: HashSet<&str>,
) -> Result<HashMap<(EntityType, String), Held>, sqlx::Error> {
    let uris: Vec<&str> = uris.into_iter().collect();
    let mut known = HashMap::new();
    for part in uris.chunks(20_000) {
        // CROSS JOIN keeps the order: SQLite thinks an array is short, and would walk all entries for each.
        let found: Vec<(Uuid, i64, String, Vec<u8>)> = sqlx::query_as(
            "SELECT e.id, e.type, e.uri, e.digest FROM json_each($1) j
             CROSS JOIN replica_entry e ON e.uri = j.value AND e.scope = $2",
        )
        .bind(rows::text_array(part.iter().copied()))
        .bind(scope)
        .fetch_all(&mut *conn)
        .await?;
        known.extend(found.into_iter().filter_map(|(id, code, uri, digest)| {
            let held = Held { id, digest: Digest::from_slice(&digest).unwrap_or_default() };
            Some(((EntityType::from_code(code)?, uri), held))
        }));
    }
    Ok(known)
}

async fn delete_entries(conn: &mut SqliteConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    for part in ids.chunks(20_000) {
        sqlx::query("DELETE FROM replica_entry WHERE id IN (SELECT unhex(value) FROM json_each($1))")
            .bind(rows::id_array(part))
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}
