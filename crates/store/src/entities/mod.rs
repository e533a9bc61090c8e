//! What is true at central: reading entities, and (in [`change`]) changing them.

mod before;
pub mod change;
pub(crate) mod checksum;

use std::collections::{BTreeMap, HashMap};

use sqlx::SqliteConnection;
use taosync_model::tao::TaoChecksum;
use taosync_model::{Entity, EntityType, OrgId, Value, vocabulary};
use uuid::Uuid;

use crate::tx::Snapshot;
use crate::{Store, StoreError, predicates, rows};

pub use change::{Applied, Tally};

/// One change of what is true.
#[derive(Clone, Debug)]
pub enum Change {
    /// The entity is of this type (too) and looks like this now, with all values of all lists.
    Upsert(EntityType, Entity),
    /// The entity is gone.
    Remove(String),
}

/// An entity as stored, complete with its links.
#[derive(Clone, Debug)]
pub struct Stored {
    /// All its types.
    pub types: Vec<EntityType>,
    /// The entity.
    pub entity: Entity,
    /// Digest of its body (links have their own).
    pub digest: taosync_model::Digest,
    /// TAO's checksum of it, in the view of nobody's org.
    pub tao_checksum: Option<TaoChecksum>,
    /// The orgs that see it.
    pub orgs: Vec<OrgId>,
}

/// How to find entities by what people write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Login of a user.
    Login(String),
    /// Label of a center, eligibility or delivery.
    Label(String),
    /// Organisation id of a center.
    OrganisationId(String),
    /// URI.
    Uri(String),
}

/// Entities of a listing page at most.
pub const LIST_PAGE: i64 = 1_000;

impl Store {
    /// Number of entities per type.
    pub async fn entities_count(&self) -> Result<BTreeMap<EntityType, i64>, StoreError> {
        let mut snapshot = self.read("entities_count").await?;
        let sql = snapshot.sql();
        let found: Vec<(i64, i64)> =
            sqlx::query_as("SELECT types, count(*) FROM entity WHERE types > 0 GROUP BY types")
                .fetch_all(snapshot.conn())
                .await
                .map_err(sql)?;
        let mut counts = BTreeMap::new();
        for (bits, count) in found {
            for entity_type in EntityType::from_bits(bits) {
                *counts.entry(entity_type).or_default() += count;
            }
        }
        Ok(counts)
    }

    /// A page of entities of a type, in the order they were made; `org` limits it to one org's members. Bodies come
    /// without links. Give the last row id of a page to get the next.
    pub async fn entities_list(
        &self,
        entity_type: EntityType,
        org: Option<&OrgId>,
        after: Option<Uuid>,
    ) -> Result<Vec<(Uuid, Entity)>, StoreError> {
        let mut snapshot = self.read("entities_list").await?;
        let sql = snapshot.sql();
        let found: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(
            "SELECT e.id, e.body FROM entity e WHERE (e.types & $1) <> 0 AND e.id > $2 AND ($3 IS NULL OR EXISTS
               (SELECT 1 FROM scope_entry s JOIN scope o ON o.id = s.scope
                WHERE s.entity = e.id AND s.present = 1 AND s.type = $4 AND o.org = $3))
             ORDER BY e.id LIMIT $5",
        )
        .bind(entity_type.bit())
        .bind(after.unwrap_or(Uuid::nil()))
        .bind(org.map(OrgId::as_str))
        .bind(entity_type.code())
        .bind(LIST_PAGE)
        .fetch_all(snapshot.conn())
        .await
        .map_err(sql)?;
        found.into_iter().map(|(id, sealed)| Ok((id, self.open_body(id, &sealed)?))).collect()
    }

    /// One entity with everything known about it.
    pub async fn entity_get(&self, uri: &str) -> Result<Option<Stored>, StoreError> {
        let mut snapshot = self.read("entity_get").await?;
        Ok(self.stored(&mut snapshot, &[uri]).await?.pop())
    }

    /// Finds entities by what people wrote: several can answer to one key.
    pub async fn entities_find(&self, keys: &[Key]) -> Result<HashMap<Key, Vec<Stored>>, StoreError> {
        let mut snapshot = self.read("entities_find").await?;
        let sql = snapshot.sql();
        let mut uris: HashMap<&Key, Vec<String>> = HashMap::new();
        let index = self.keyring().index();
        for (field, statement) in [
            (
                "login",
                "SELECT hex(e.login_index), e.uri FROM json_each($1) j CROSS JOIN entity e ON e.login_index = unhex(j.value) WHERE e.types > 0",
            ),
            (
                "label",
                "SELECT hex(e.label_index), e.uri FROM json_each($1) j CROSS JOIN entity e ON e.label_index = unhex(j.value) WHERE e.types > 0",
            ),
        ] {
            let wanted: HashMap<String, &Key> = keys
                .iter()
                .filter_map(|key| match (field, key) {
                    ("login", Key::Login(text)) | ("label", Key::Label(text)) => {
                        Some((hex::encode_upper(index.of(field, text)), key))
                    }
                    _ => None,
                })
                .collect();
            for part in wanted.keys().map(String::as_str).collect::<Vec<_>>().chunks(20_000) {
                let found: Vec<(String, String)> = sqlx::query_as(statement)
                    .bind(rows::text_array(part.iter().copied()))
                    .fetch_all(snapshot.conn())
                    .await
                    .map_err(&sql)?;
                for (hash, uri) in found {
                    if let Some(key) = wanted.get(&hash) {
                        uris.entry(key).or_default().push(uri);
                    }
                }
            }
        }
        for key in keys {
            match key {
                Key::Uri(uri) => uris.entry(key).or_default().push(uri.clone()),
                Key::OrganisationId(org) => {
                    let found: Vec<String> = sqlx::query_scalar(
                        "SELECT e.uri FROM center_org o JOIN entity e ON e.id = o.center WHERE o.org = $1",
                    )
                    .bind(org)
                    .fetch_all(snapshot.conn())
                    .await
                    .map_err(&sql)?;
                    uris.entry(key).or_default().extend(found);
                }
                Key::Login(_) | Key::Label(_) => {}
            }
        }
        let all: Vec<&str> =
            uris.values().flatten().map(String::as_str).collect::<std::collections::HashSet<_>>().into_iter().collect();
        let stored: HashMap<String, Stored> =
            self.stored(&mut snapshot, &all).await?.into_iter().map(|s| (s.entity.uri.clone(), s)).collect();
        Ok(uris
            .into_iter()
            .map(|(key, uris)| (key.clone(), uris.iter().filter_map(|u| stored.get(u).cloned()).collect()))
            .collect())
    }

    async fn stored(&self, snapshot: &mut Snapshot, uris: &[&str]) -> Result<Vec<Stored>, StoreError> {
        let sql = snapshot.sql();
        let mut list = Vec::with_capacity(uris.len());
        for part in uris.chunks(20_000) {
            let array = rows::text_array(part.iter().copied());
            let found: Vec<(Uuid, i64, Vec<u8>, Vec<u8>, Option<Vec<u8>>)> = sqlx::query_as(
                "SELECT e.id, e.types, e.digest, e.body, e.tao_md5 FROM json_each($1) j CROSS JOIN entity e ON e.uri = j.value
                 WHERE e.types > 0 AND e.body IS NOT NULL",
            )
            .bind(&array)
            .fetch_all(snapshot.conn())
            .await
            .map_err(&sql)?;
            let ids: Vec<Uuid> = found.iter().map(|f| f.0).collect();
            let mut links = self.links_of(snapshot.conn(), &ids).await?;
            let mut orgs = orgs_of(snapshot, &ids).await.map_err(&sql)?;
            for (id, bits, digest, sealed, checksum) in found {
                let mut entity = self.open_body(id, &sealed)?;
                for (predicate, value) in links.remove(&id).unwrap_or_default() {
                    entity.push(&predicate, value);
                }
                let digest = taosync_model::Digest::from_slice(&digest)
                    .map_err(|_| StoreError::damaged(format!("the digest of {}", entity.uri)))?;
                let types = EntityType::from_bits(bits).collect();
                let tao_checksum = checksum.and_then(|sum| TaoChecksum::from_slice(&sum).ok());
                list.push(Stored { types, entity, digest, tao_checksum, orgs: orgs.remove(&id).unwrap_or_default() });
            }
        }
        Ok(list)
    }

    /// Values of the long lists of these entities.
    pub(crate) async fn links_of(
        &self,
        conn: &mut SqliteConnection,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, Vec<(String, Value)>>, StoreError> {
        let sql = StoreError::sql("links_of");
        let names = predicates::names(conn).await.map_err(&sql)?;
        let mut links: HashMap<Uuid, Vec<(String, Value)>> = HashMap::new();
        let keys = rows::id_array(ids);
        let found: Vec<(Uuid, i64, String)> = sqlx::query_as(
            "SELECT r.owner, r.predicate, t.uri FROM json_each($1) j
             CROSS JOIN relation r ON r.owner = unhex(j.value) AND r.linked = 1 CROSS JOIN entity t ON t.id = r.target
             ORDER BY r.owner, r.predicate, r.target",
        )
        .bind(&keys)
        .fetch_all(&mut *conn)
        .await
        .map_err(&sql)?;
        for (owner, predicate, uri) in found {
            let predicate = names.get(&predicate).cloned().unwrap_or_default();
            links.entry(owner).or_default().push((predicate, Value::plain(uri)));
        }
        let found: Vec<(Uuid, i64, Uuid, Vec<u8>)> = sqlx::query_as(
            "SELECT l.owner, l.predicate, l.value_id, l.value FROM json_each($1) j
             CROSS JOIN literal_link l ON l.owner = unhex(j.value) WHERE l.gone = 0",
        )
        .bind(&keys)
        .fetch_all(&mut *conn)
        .await
        .map_err(&sql)?;
        for (owner, predicate, value_id, sealed) in found {
            let predicate = names.get(&predicate).cloned().unwrap_or_default();
            links.entry(owner).or_default().push((predicate, self.open_literal(value_id, &sealed)?));
        }
        Ok(links)
    }

    /// Gives an org another name everywhere: scope, centers, sync managers, consumers, tokens, nodes and received items.
    pub async fn org_rename(&self, old: &OrgId, new: &OrgId) -> Result<(), StoreError> {
        if old.is_everything() || new.is_everything() {
            return Err(StoreError::Refused(
                "the unscoped scope '*' cannot be renamed, nor a scope renamed to it".into(),
            ));
        }
        if self.scope_show(new).await?.is_some() {
            return Err(StoreError::Refused(format!("an org '{new}' exists already; choose another name")));
        }
        let mut keys = self.managers_naming(old).await?;
        keys.push(Key::OrganisationId(old.as_str().to_owned()));
        let found = self.entities_find(&keys).await?;
        if self.scope_show(old).await?.is_none() {
            return Err(StoreError::NotFound {
                what: format!("org '{old}'"),
                advice: "see 'taosync scope list' for the names that exist",
            });
        }
        let mut tx = self.write("org_rename", crate::Durability::Flushed).await?;
        self.scope_rename_row(&mut tx, old, new).await?;
        let changes = found.into_values().flatten().map(|stored| rename_in(stored, old, new)).collect();
        self.entities_change(&mut tx, changes).await?;
        tx.org_rename(old, new).await?;
        tx.commit().await
    }

    /// The sync managers on whom an organisation is named. Bodies are sealed, so each is looked at: one or two a school.
    async fn managers_naming(&self, org: &OrgId) -> Result<Vec<Key>, StoreError> {
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let page = self.entities_list(EntityType::SyncManager, None, after).await?;
            let Some((last, _)) = page.last() else { return Ok(keys) };
            after = Some(*last);
            let names =
                |entity: &Entity| entity.values(vocabulary::ORGANISATION_ID).iter().any(|v| v.text == org.as_str());
            keys.extend(page.into_iter().filter(|(_, entity)| names(entity)).map(|(_, entity)| Key::Uri(entity.uri)));
        }
    }
}

fn rename_in(stored: Stored, old: &OrgId, new: &OrgId) -> Change {
    let mut entity = stored.entity;
    let values = entity.values(vocabulary::ORGANISATION_ID).iter().cloned().map(|mut value| {
        if value.text == old.as_str() {
            value.text = new.as_str().to_owned();
        }
        value
    });
    let values = values.collect();
    entity.set(vocabulary::ORGANISATION_ID, values);
    Change::Upsert(stored.types.first().copied().unwrap_or(EntityType::TestCenter), entity)
}

async fn orgs_of(snapshot: &mut Snapshot, ids: &[Uuid]) -> Result<HashMap<Uuid, Vec<OrgId>>, sqlx::Error> {
    let found: Vec<(Uuid, String)> = sqlx::query_as(
        "SELECT DISTINCT s.entity, o.org FROM json_each($1) j
         CROSS JOIN scope_entry s ON s.entity = unhex(j.value) AND s.present = 1 CROSS JOIN scope o ON o.id = s.scope
         ORDER BY o.org",
    )
    .bind(rows::id_array(ids))
    .fetch_all(snapshot.conn())
    .await?;
    let mut orgs: HashMap<Uuid, Vec<OrgId>> = HashMap::new();
    for (id, org) in found {
        orgs.entry(id).or_default().extend(OrgId::new(org).ok());
    }
    Ok(orgs)
}
