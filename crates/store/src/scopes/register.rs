//! Making, listing and renaming scopes.

use std::collections::{BTreeMap, HashMap};

use sqlx::SqliteConnection;
use taosync_model::{Digest, EntityType, OrgId, SetDigest};
use uuid::Uuid;

use super::{Effects, Touched};
use crate::{Store, StoreError, Tx, rows};

/// The registered scopes by number.
pub(crate) struct Scopes {
    pub orgs: HashMap<i64, OrgId>,
}

impl Scopes {
    /// Number of the unscoped scope, if somebody registered it.
    pub fn everything(&self) -> Option<i64> {
        self.orgs.iter().find(|(_, org)| org.is_everything()).map(|(&id, _)| id)
    }
}

/// A scope in figures.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ScopeSummary {
    /// The org.
    pub org: OrgId,
    /// Identity of this history; new after a restore.
    pub epoch: Uuid,
    /// Per type.
    pub types: BTreeMap<EntityType, TypeSummary>,
}

/// One type of a scope in figures.
#[derive(Clone, Debug, serde::Serialize)]
pub struct TypeSummary {
    /// Number of the newest change.
    pub seq: i64,
    /// Present entities.
    pub count: i64,
    /// Present link rows.
    pub links: i64,
    /// Sum of the members' hashes.
    pub digest: Digest,
}

/// Reads all scopes.
pub(crate) async fn all(conn: &mut SqliteConnection) -> Result<Scopes, sqlx::Error> {
    let found: Vec<(i64, String)> = sqlx::query_as("SELECT id, org FROM scope").fetch_all(conn).await?;
    Ok(Scopes { orgs: found.into_iter().filter_map(|(id, org)| Some((id, OrgId::new(org).ok()?))).collect() })
}

impl Store {
    /// Makes an empty scope for an org that has none; true when it is new. Its members come with the next change, or
    /// with [`Store::scope_register`].
    pub(crate) async fn scope_ensure(&self, tx: &mut Tx, org: &OrgId) -> Result<bool, StoreError> {
        let sql = tx.sql();
        let epoch = tx.epoch().await?;
        let made = sqlx::query(
            "INSERT INTO scope (id, org, epoch, registered_at)
             SELECT coalesce(max(id), 0) + 1, $1, $2, $3 FROM scope WHERE true ON CONFLICT (org) DO NOTHING",
        )
        .bind(org.as_str())
        .bind(epoch)
        .bind(self.now_ms())
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        if made.rows_affected() == 0 {
            return Ok(false);
        }
        let zero = SetDigest::EMPTY.to_digest().0.to_vec();
        for entity_type in EntityType::FEED {
            sqlx::query(
                "INSERT INTO scope_type (scope, type, last_seq, floor, set_digest, count, links, removals_approved_through)
                 SELECT id, $1, 0, 0, $2, 0, 0, 0 FROM scope WHERE org = $3",
            )
            .bind(entity_type.code())
            .bind(&zero)
            .bind(org.as_str())
            .execute(tx.conn())
            .await
            .map_err(&sql)?;
        }
        Ok(true)
    }

    /// Makes a scope and fills it from what is true now. Registering a known org changes nothing.
    pub async fn scope_register(&self, tx: &mut Tx, org: &OrgId) -> Result<bool, StoreError> {
        if !self.scope_ensure(tx, org).await? {
            return Ok(false);
        }
        let sql = tx.sql();
        let mut effects = Effects::default();
        // Everything is looked at once more; in the other orgs nothing differs, so nothing is written there.
        let found: Vec<(Uuid, String, i64, Option<Uuid>)> =
            sqlx::query_as("SELECT id, uri, types, class FROM entity WHERE types > 0")
                .fetch_all(tx.conn())
                .await
                .map_err(&sql)?;
        effects.takers = found.iter().map(|f| f.0).collect();
        effects.deliveries = effects.takers.clone();
        effects.centers = found.iter().filter(|f| f.2 & EntityType::TestCenter.bit() != 0).map(|f| f.0).collect();
        let bodies = self.bodies_read(tx.conn(), &found.iter().map(|f| f.0).collect::<Vec<_>>()).await?;
        let mut bodies: HashMap<Uuid, _> = bodies.into_iter().collect();
        effects.touched = found
            .into_iter()
            .map(|(id, uri, types, class)| Touched {
                id,
                uri,
                old_types: types,
                new_types: types,
                old_class: class,
                new_class: class,
                body: bodies.remove(&id),
            })
            .collect();
        self.scopes_follow(tx, effects).await?;
        Ok(true)
    }

    /// All organisation ids named by test centers.
    pub async fn scope_candidates(&self) -> Result<Vec<OrgId>, StoreError> {
        let mut snapshot = self.read("scope_candidates").await?;
        let sql = snapshot.sql();
        let found: Vec<String> = sqlx::query_scalar("SELECT DISTINCT org FROM center_org ORDER BY org")
            .fetch_all(snapshot.conn())
            .await
            .map_err(sql)?;
        Ok(found.into_iter().filter_map(|org| OrgId::new(org).ok()).collect())
    }

    /// All scopes in figures, by org.
    pub async fn scopes_list(&self) -> Result<Vec<ScopeSummary>, StoreError> {
        let mut snapshot = self.read("scopes_list").await?;
        let sql = snapshot.sql();
        let found: Vec<(String, Uuid, i64, i64, i64, i64, Vec<u8>)> = sqlx::query_as(
            "SELECT s.org, s.epoch, t.type, t.last_seq, t.count, t.links, t.set_digest
             FROM scope s JOIN scope_type t ON t.scope = s.id ORDER BY s.org, t.type",
        )
        .fetch_all(snapshot.conn())
        .await
        .map_err(sql)?;
        let mut list: Vec<ScopeSummary> = Vec::new();
        for (org, epoch, code, seq, count, links, digest) in found {
            let Ok(org) = OrgId::new(org) else { continue };
            if list.last().is_none_or(|s| s.org != org) {
                list.push(ScopeSummary { org, epoch, types: BTreeMap::new() });
            }
            let digest = Digest::from_slice(&digest).map_err(|_| StoreError::damaged("a scope's digest"))?;
            if let (Some(scope), Some(t)) = (list.last_mut(), EntityType::from_code(code)) {
                scope.types.insert(t, TypeSummary { seq, count, links, digest });
            }
        }
        Ok(list)
    }

    /// One scope in figures.
    pub async fn scope_show(&self, org: &OrgId) -> Result<Option<ScopeSummary>, StoreError> {
        Ok(self.scopes_list().await?.into_iter().find(|s| &s.org == org))
    }

    /// Gives an org another name. Positions, epoch and members stay, so no data travels again for it; the caller
    /// changes the test centers' organisation ids in the same transaction, first.
    pub(crate) async fn scope_rename_row(&self, tx: &mut Tx, old: &OrgId, new: &OrgId) -> Result<(), StoreError> {
        let sql = tx.sql();
        sqlx::query("UPDATE scope SET org = $2 WHERE org = $1")
            .bind(old.as_str())
            .bind(new.as_str())
            .execute(tx.conn())
            .await
            .map_err(&sql)?;
        sqlx::query("UPDATE center_org SET org = $2 WHERE org = $1")
            .bind(old.as_str())
            .bind(new.as_str())
            .execute(tx.conn())
            .await
            .map_err(&sql)?;
        Ok(())
    }

    /// Bodies of entities, unsealed, without their links. Missing rows are left out.
    pub(crate) async fn bodies_read(
        &self,
        conn: &mut SqliteConnection,
        ids: &[Uuid],
    ) -> Result<Vec<(Uuid, taosync_model::Entity)>, StoreError> {
        let mut bodies = Vec::with_capacity(ids.len());
        for part in ids.chunks(20_000) {
            let found: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(
                "SELECT e.id, e.body FROM json_each($1) j CROSS JOIN entity e ON e.id = unhex(j.value) WHERE e.body IS NOT NULL",
            )
            .bind(rows::id_array(part))
            .fetch_all(&mut *conn)
            .await
            .map_err(StoreError::sql("bodies_read"))?;
            for (id, sealed) in found {
                bodies.push((id, self.open_body(id, &sealed)?));
            }
        }
        Ok(bodies)
    }

    /// The bodies of these entities, as far as they open.
    pub(crate) async fn bodies_readable(
        &self,
        conn: &mut SqliteConnection,
        ids: &[Uuid],
    ) -> Result<HashMap<Uuid, taosync_model::Entity>, StoreError> {
        let mut bodies = HashMap::with_capacity(ids.len());
        for part in ids.chunks(20_000) {
            let found: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(
                "SELECT e.id, e.body FROM json_each($1) j CROSS JOIN entity e ON e.id = unhex(j.value)
                 WHERE e.body IS NOT NULL",
            )
            .bind(rows::id_array(part))
            .fetch_all(&mut *conn)
            .await
            .map_err(StoreError::sql("bodies_readable"))?;
            let opened = |(id, sealed): (Uuid, Vec<u8>)| Some((id, self.open_body(id, &sealed).ok()?));
            bodies.extend(found.into_iter().filter_map(opened));
        }
        Ok(bodies)
    }

    /// Opens the body of an entity row.
    pub(crate) fn open_body(&self, id: Uuid, sealed: &[u8]) -> Result<taosync_model::Entity, StoreError> {
        let damaged = || StoreError::damaged(format!("the body of entity row {id}"));
        let plain = self.keyring().columns().open("entity", id.as_bytes(), "body", sealed).map_err(|_| damaged())?;
        serde_json::from_slice(&plain).map_err(|_| damaged())
    }
}
