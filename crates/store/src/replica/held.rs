//! Removals that wait for a person or for central's approval: the entities stay as they are, with their links, and
//! everything that is not about them goes on (DESIGN §4).

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use sqlx::SqliteConnection;
use taosync_model::canonical::{entry_member, link_member};
use taosync_model::{Digest, EntityType, OrgId, SetDigest};
use uuid::Uuid;

use super::apply::{Chunk, ChunkEffect, Link, Parting, Removal, RemovalRule, read_sums, write_sums};
use super::held_values;
use crate::{Durability, Store, StoreError, Tx, predicates, rows};

/// A removal that waits for a person.
#[derive(Clone, Debug, serde::Serialize)]
pub struct HeldRemoval {
    /// The org.
    pub org: OrgId,
    /// The type.
    #[serde(rename = "type")]
    pub entity_type: EntityType,
    /// What central removed.
    pub uri: String,
    /// Since when it is held.
    pub since: Timestamp,
}

/// The held removals of a type, counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldTally {
    /// How many they are.
    pub held: u64,
    /// Entities of the type when the first of them came.
    pub before: u64,
}

/// What is only kept until somebody agrees makes up of a type.
#[derive(Clone, Copy, Debug)]
pub struct HeldWeight {
    /// Sum of the hashes of entities and links.
    pub digest: SetDigest,
    /// How many entities they are.
    pub count: i64,
}

type LinkKey = (Uuid, i64, Uuid);

impl Store {
    /// Removals that wait for a person, by org, type and URI.
    pub async fn removals_held(&self) -> Result<Vec<HeldRemoval>, StoreError> {
        let mut snapshot = self.read("removals_held").await?;
        let sql = snapshot.sql();
        let found: Vec<(String, i64, String, i64)> = sqlx::query_as(
            "SELECT s.org, h.type, h.uri, h.at FROM held_removal h JOIN replica_scope s ON s.id = h.scope
             ORDER BY s.org, h.type, h.uri",
        )
        .fetch_all(snapshot.conn())
        .await
        .map_err(sql)?;
        Ok(found
            .into_iter()
            .filter_map(|(org, code, uri, at)| {
                let (org, entity_type) = (OrgId::new(org).ok()?, EntityType::from_code(code)?);
                Some(HeldRemoval { org, entity_type, uri, since: Timestamp::from_millisecond(at).ok()? })
            })
            .collect())
    }

    /// Held removals of a replica, counted by type.
    pub async fn removals_tally(&self, scope: i64) -> Result<BTreeMap<EntityType, HeldTally>, StoreError> {
        let mut snapshot = self.read("removals_tally").await?;
        let sql = snapshot.sql();
        let found: Vec<(i64, i64, i64)> =
            sqlx::query_as("SELECT type, count(*), min(before) FROM held_removal WHERE scope = $1 GROUP BY type")
                .bind(scope)
                .fetch_all(snapshot.conn())
                .await
                .map_err(sql)?;
        let tally = |held: i64, before: i64| HeldTally { held: held.unsigned_abs(), before: before.unsigned_abs() };
        let named = |(code, held, before)| Some((EntityType::from_code(code)?, tally(held, before)));
        Ok(found.into_iter().filter_map(named).collect())
    }

    /// Whether anything of a replica waits: removals, or links that went while some were held.
    pub async fn removals_waiting(&self, scope: i64) -> Result<bool, StoreError> {
        let mut snapshot = self.read("removals_waiting").await?;
        let sql = snapshot.sql();
        is_any(snapshot.conn(), scope).await.map_err(sql)
    }

    /// Number of removals of a replica that wait for a person.
    pub async fn removals_held_count(&self, scope: i64) -> Result<u64, StoreError> {
        Ok(self.removals_tally(scope).await?.values().map(|tally| tally.held).sum())
    }

    /// What is held makes up of each type: without it, a replica is what central has.
    pub async fn removals_weight(&self, scope: i64) -> Result<BTreeMap<EntityType, HeldWeight>, StoreError> {
        let mut snapshot = self.read("removals_weight").await?;
        let sql = snapshot.sql();
        let found: Vec<(i64, String, Vec<u8>)> = sqlx::query_as(
            "SELECT h.type, h.uri, e.digest FROM held_removal h
             CROSS JOIN replica_entry e ON e.uri = h.uri AND e.scope = h.scope AND e.type = h.type
             WHERE h.scope = $1",
        )
        .bind(scope)
        .fetch_all(snapshot.conn())
        .await
        .map_err(sql)?;
        let empty = HeldWeight { digest: SetDigest::EMPTY, count: 0 };
        let mut weights: BTreeMap<EntityType, HeldWeight> = BTreeMap::new();
        for (code, uri, digest) in found {
            let Some(entity_type) = EntityType::from_code(code) else { continue };
            let digest = Digest::from_slice(&digest).map_err(|_| StoreError::damaged("the digest of a held entity"))?;
            let weight = weights.entry(entity_type).or_insert(empty);
            weight.digest.add(entry_member(&uri, digest));
            weight.count += 1;
        }
        for (_, link) in self.held_links(snapshot.conn(), scope).await? {
            let weight = weights.entry(link.entity_type).or_insert(empty);
            weight.digest.add(link_member(&link.owner, &link.predicate, &link.value));
        }
        Ok(weights)
    }

    /// Forgets what is held of types that are equal to central as they are: nothing is left to be agreed to.
    pub async fn removals_settle(&self, scope: i64, types: &[EntityType]) -> Result<(), StoreError> {
        let codes = codes(types.iter());
        let mut tx = self.write("removals_settle", Durability::Flushed).await?;
        for statement in [
            "DELETE FROM held_removal WHERE scope = $1 AND type IN (SELECT value FROM json_each($2))",
            "DELETE FROM held_link WHERE scope = $1 AND type IN (SELECT value FROM json_each($2))",
        ] {
            let sql = tx.sql();
            sqlx::query(statement).bind(scope).bind(&codes).execute(tx.conn()).await.map_err(sql)?;
        }
        tx.commit().await
    }

    /// Applies the held removals of these types (of all when empty), after a person's word. Returns how many.
    pub async fn removals_accept(&self, scope: i64, types: &[EntityType]) -> Result<u64, StoreError> {
        let types = if types.is_empty() { &EntityType::FEED[..] } else { types };
        let through = types.iter().map(|t| (*t, i64::MAX)).collect();
        Ok(self.removals_apply(scope, &through).await?.values().map(|tally| tally.removed).sum())
    }

    /// Applies the held removals whose number is at most that of their type, and takes away the links that waited with
    /// them. Links of what is still held stay.
    pub async fn removals_apply(
        &self,
        scope: i64,
        through: &BTreeMap<EntityType, i64>,
    ) -> Result<ChunkEffect, StoreError> {
        let mut tx = self.write("removals_apply", Durability::Flushed).await?;
        let sql = tx.sql();
        let found: Vec<(i64, String, i64)> =
            sqlx::query_as("SELECT type, uri, seq FROM held_removal WHERE scope = $1 ORDER BY type, uri")
                .bind(scope)
                .fetch_all(tx.conn())
                .await
                .map_err(&sql)?;
        let removes: Vec<Removal> = found
            .into_iter()
            .filter_map(|(code, uri, seq)| Some(Removal { entity_type: EntityType::from_code(code)?, seq, uri }))
            .filter(|removal| through.get(&removal.entity_type).is_some_and(|limit| removal.seq <= *limit))
            .collect();
        let chunk = Chunk { removes, ..Chunk::default() };
        let effect = self.apply(&mut tx, scope, chunk, &BTreeMap::new()).await?.effect;
        self.links_let_go(&mut tx, scope).await?;
        tx.commit().await?;
        Ok(effect)
    }

    /// Takes away the waiting links that no held entity keeps.
    async fn links_let_go(&self, tx: &mut Tx, scope: i64) -> Result<(), StoreError> {
        held_values::forget(tx.conn(), scope).await.map_err(StoreError::sql("held_values"))?;
        let waiting = self.held_links(tx.conn(), scope).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let sql = tx.sql();
        let kept: Vec<String> = sqlx::query_scalar("SELECT uri FROM held_removal WHERE scope = $1")
            .bind(scope)
            .fetch_all(tx.conn())
            .await
            .map_err(&sql)?;
        let kept: HashSet<String> = kept.into_iter().collect();
        let is_free = |link: &Link| !kept.contains(&link.owner) && !kept.contains(&link.value.text);
        let (keys, links): (Vec<LinkKey>, Vec<Link>) = waiting.into_iter().filter(|(_, link)| is_free(link)).unzip();
        forget_links(tx.conn(), scope, &keys).await.map_err(&sql)?;
        let mut sums = read_sums(tx.conn(), scope).await.map_err(&sql)?;
        self.apply_links(tx.conn(), scope, links, Parting::AtOnce, &mut sums).await.map_err(&sql)?;
        write_sums(tx.conn(), scope, &sums, &BTreeMap::new()).await.map_err(&sql)
    }

    async fn held_links(&self, conn: &mut SqliteConnection, scope: i64) -> Result<Vec<(LinkKey, Link)>, StoreError> {
        let sql = StoreError::sql("held_links");
        let found: Vec<(i64, Uuid, i64, Uuid, String, Vec<u8>)> = sqlx::query_as(
            "SELECT h.type, h.owner_key, h.predicate, h.value_key, l.owner, l.value FROM held_link h
             CROSS JOIN replica_link l ON l.scope = h.scope AND l.owner_key = h.owner_key
               AND l.predicate = h.predicate AND l.value_key = h.value_key
             WHERE h.scope = $1",
        )
        .bind(scope)
        .fetch_all(&mut *conn)
        .await
        .map_err(&sql)?;
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let names: HashMap<i64, String> = predicates::names(conn).await.map_err(&sql)?;
        let mut links = Vec::with_capacity(found.len());
        for (code, owner_key, predicate_code, value_key, owner, value) in found {
            let Some(entity_type) = EntityType::from_code(code) else { continue };
            let predicate = names.get(&predicate_code).cloned().unwrap_or_default();
            let value = self.open_link_value(&predicate, value_key, value)?;
            let link = Link { entity_type, owner, predicate, value, present: false };
            links.push(((owner_key, predicate_code, value_key), link));
        }
        Ok(links)
    }
}

fn codes<'a>(types: impl Iterator<Item = &'a EntityType>) -> String {
    let codes: Vec<i64> = types.map(|t| t.code()).collect();
    serde_json::to_string(&codes).unwrap_or_default()
}

/// Whether anything of a replica is held.
pub(super) async fn is_any(conn: &mut SqliteConnection, scope: i64) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM held_removal WHERE scope = $1)
             OR EXISTS (SELECT 1 FROM held_link WHERE scope = $1)",
    )
    .bind(scope)
    .fetch_one(conn)
    .await
}

/// Remembers removals. A type of which some are held already keeps the number it had before those.
pub(super) async fn hold(
    conn: &mut SqliteConnection,
    scope: i64,
    held: Vec<Removal>,
    rules: &BTreeMap<EntityType, RemovalRule>,
    now: i64,
) -> Result<(), sqlx::Error> {
    if held.is_empty() {
        return Ok(());
    }
    let known: Vec<(i64, i64)> =
        sqlx::query_as("SELECT type, min(before) FROM held_removal WHERE scope = $1 GROUP BY type")
            .bind(scope)
            .fetch_all(&mut *conn)
            .await?;
    let known: HashMap<i64, i64> = known.into_iter().collect();
    let before = |entity_type: EntityType| match (known.get(&entity_type.code()), rules.get(&entity_type)) {
        (Some(&before), _) => before,
        (None, Some(RemovalRule::Hold { before, .. })) => i64::try_from(*before).unwrap_or(i64::MAX),
        (None, _) => 0,
    };
    rows::insert(
        conn,
        "INSERT INTO held_removal (scope, type, uri, seq, before, at) ",
        &held,
        "ON CONFLICT (scope, type, uri) DO UPDATE SET seq = excluded.seq",
        |mut row, removal| {
            row.push_bind(scope).push_bind(removal.entity_type.code()).push_bind(removal.uri.clone());
            row.push_bind(removal.seq).push_bind(before(removal.entity_type)).push_bind(now);
        },
    )
    .await
}

/// Forgets held removals that central's next word has answered.
pub(super) async fn forget(
    conn: &mut SqliteConnection,
    scope: i64,
    answered: impl Iterator<Item = (EntityType, &str)>,
) -> Result<(), sqlx::Error> {
    let keys: Vec<(i64, &str)> = answered.map(|(entity_type, uri)| (entity_type.code(), uri)).collect();
    sqlx::query(
        "DELETE FROM held_removal WHERE scope = $2 AND (type, uri) IN
         (SELECT value ->> 0, value ->> 1 FROM json_each($1))",
    )
    .bind(serde_json::to_string(&keys).unwrap_or_default())
    .bind(scope)
    .execute(conn)
    .await?;
    Ok(())
}

/// Remembers links that went while something is held.
pub(super) async fn hold_links(
    conn: &mut SqliteConnection,
    scope: i64,
    links: &[(LinkKey, EntityType)],
) -> Result<(), sqlx::Error> {
    rows::insert(
        conn,
        "INSERT INTO held_link (scope, type, owner_key, predicate, value_key) ",
        links,
        "ON CONFLICT DO NOTHING",
        |mut row, (key, entity_type)| {
            row.push_bind(scope).push_bind(entity_type.code()).push_bind(key.0).push_bind(key.1).push_bind(key.2);
        },
    )
    .await
}

/// Forgets waiting links: they are there again, or are taken away now.
pub(super) async fn forget_links(conn: &mut SqliteConnection, scope: i64, keys: &[LinkKey]) -> Result<(), sqlx::Error> {
    for part in keys.chunks(20_000) {
        sqlx::query(
            "DELETE FROM held_link WHERE scope = $2 AND (owner_key, predicate, value_key) IN
             (SELECT unhex(value ->> 0), value ->> 1, unhex(value ->> 2) FROM json_each($1))",
        )
        .bind(rows::key_array(part.iter().copied()))
        .bind(scope)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
