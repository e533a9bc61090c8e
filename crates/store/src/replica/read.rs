//! Reading the replica: what people and test runners see on a local server.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use taosync_model::{Entity, EntityType, OrgId, Value, vocabulary};
use uuid::Uuid;

use super::apply::{owner_key, value_key};
use super::held_values;
use crate::rows;
use crate::tx::Snapshot;
use crate::{Store, StoreError};

type EntryRow = (Uuid, Vec<u8>);

impl Store {
    /// Number of entities per type over all orgs of this local server; one entity in two orgs counts once.
    pub async fn replica_count(&self) -> Result<BTreeMap<EntityType, i64>, StoreError> {
        let mut snapshot = self.read("replica_count").await?;
        let sql = snapshot.sql();
        let found: Vec<(i64, i64)> =
            sqlx::query_as("SELECT type, count(DISTINCT uri) FROM replica_entry GROUP BY type")
                .fetch_all(snapshot.conn())
                .await
                .map_err(sql)?;
        Ok(found.into_iter().filter_map(|(code, count)| Some((EntityType::from_code(code)?, count))).collect())
    }

    /// A page of entities of a type, in order of arrival, without links; see [`crate::entities::LIST_PAGE`].
    pub async fn replica_list(
        &self,
        entity_type: EntityType,
        org: Option<&OrgId>,
        after: Option<Uuid>,
    ) -> Result<Vec<(Uuid, Entity)>, StoreError> {
        let mut snapshot = self.read("replica_list").await?;
        let sql = snapshot.sql();
        let found: Vec<EntryRow> = sqlx::query_as(
            "SELECT id, body FROM replica_entry WHERE type = $1 AND id > $2
             AND ($3 IS NULL OR scope IN (SELECT id FROM replica_scope WHERE org = $3)) ORDER BY type, id LIMIT $4",
        )
        .bind(entity_type.code())
        .bind(after.unwrap_or(Uuid::nil()))
        .bind(org.map(OrgId::as_str))
        .bind(crate::entities::LIST_PAGE)
        .fetch_all(snapshot.conn())
        .await
        .map_err(sql)?;
        found.into_iter().map(|(id, sealed)| Ok((id, self.open_replica(id, &sealed)?))).collect()
    }

    /// An entity as each org of this local server sees it, with its links; empty when nobody has it.
    pub async fn replica_get(&self, uri: &str) -> Result<Vec<(OrgId, EntityType, Entity)>, StoreError> {
        let mut snapshot = self.read("replica_get").await?;
        let sql = snapshot.sql();
        let found: Vec<(i64, String, i64, Uuid, Vec<u8>)> = sqlx::query_as(
            "SELECT s.id, s.org, e.type, e.id, e.body FROM replica_entry e JOIN replica_scope s ON s.id = e.scope
             WHERE e.uri = $1 ORDER BY s.org, e.type",
        )
        .bind(uri)
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        let mut list = Vec::new();
        for (scope, org, code, id, sealed) in found {
            let mut entity = self.open_replica(id, &sealed)?;
            for (predicate, value) in self.replica_links(&mut snapshot, scope, uri).await? {
                entity.push(&predicate, value);
            }
            held_values::add(snapshot.conn(), scope, &mut entity).await.map_err(&sql)?;
            if let (Ok(org), Some(t)) = (OrgId::new(org), EntityType::from_code(code)) {
                list.push((org, t, entity));
            }
        }
        Ok(list)
    }

    /// The organisations of this local server.
    pub async fn replica_orgs(&self) -> Result<BTreeSet<OrgId>, StoreError> {
        let orgs: Vec<String> = sqlx::query_scalar("SELECT DISTINCT org FROM replica_scope")
            .fetch_all(&self.pools.readers)
            .await
            .map_err(StoreError::sql("replica_orgs"))?;
        Ok(orgs.into_iter().filter_map(|org| OrgId::new(org).ok()).collect())
    }

    /// The organisations that have these entities; what nobody has is left out.
    pub async fn replica_holders(&self, uris: &[&str]) -> Result<HashMap<String, BTreeSet<OrgId>>, StoreError> {
        let found: Vec<(String, String)> = sqlx::query_as(
            "SELECT DISTINCT e.uri, s.org FROM json_each($1) j CROSS JOIN replica_entry e ON e.uri = j.value
             CROSS JOIN replica_scope s ON s.id = e.scope",
        )
        .bind(rows::text_array(uris.iter().copied()))
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("replica_holders"))?;
        let mut holders: HashMap<String, BTreeSet<OrgId>> = HashMap::new();
        for (uri, org) in found {
            if let Ok(org) = OrgId::new(org) {
                holders.entry(uri).or_default().insert(org);
            }
        }
        Ok(holders)
    }

    /// Users with this login, per org.
    pub async fn replica_users(&self, login: &str) -> Result<Vec<(OrgId, EntityType, Entity)>, StoreError> {
        let mut snapshot = self.read("replica_users").await?;
        let sql = snapshot.sql();
        let found: Vec<(String, i64, Uuid, Vec<u8>)> = sqlx::query_as(
            "SELECT s.org, e.type, e.id, e.body FROM replica_entry e JOIN replica_scope s ON s.id = e.scope
             WHERE e.login_index = $1 ORDER BY s.org, e.type",
        )
        .bind(self.keyring().index().of("login", login).to_vec())
        .fetch_all(snapshot.conn())
        .await
        .map_err(sql)?;
        let mut list = Vec::new();
        for (org, code, id, sealed) in found {
            if let (Ok(org), Some(t)) = (OrgId::new(org), EntityType::from_code(code)) {
                list.push((org, t, self.open_replica(id, &sealed)?));
            }
        }
        Ok(list)
    }

    /// The orgs in which this taker may sit this delivery: through an eligibility that names both, on both sides.
    pub async fn replica_eligible(&self, taker: &str, delivery: &str) -> Result<Vec<OrgId>, StoreError> {
        let mut orgs = Vec::new();
        for (org, entity_type, entity) in self.replica_get(taker).await? {
            if entity_type != EntityType::TestTaker {
                continue;
            }
            for assignment in entity.values(vocabulary::USER_ASSIGNMENT) {
                let eligibilities = self.replica_get(&assignment.text).await?;
                let found = eligibilities.iter().any(|(o, t, e)| {
                    *o == org
                        && *t == EntityType::Eligibility
                        && e.values(vocabulary::ELIGIBLE_DELIVERY).iter().any(|v| v.text == delivery)
                        && e.values(vocabulary::ELIGIBLE_TEST_TAKER).iter().any(|v| v.text == taker)
                });
                if found && !orgs.contains(&org) {
                    orgs.push(org.clone());
                }
            }
        }
        Ok(orgs)
    }

    /// Deliveries this local server should hold: URI and entity, each once.
    pub async fn replica_deliveries(&self) -> Result<BTreeMap<String, Entity>, StoreError> {
        self.replica_deliveries_of(None).await
    }

    /// The same for one org.
    pub async fn replica_deliveries_of(&self, org: Option<&OrgId>) -> Result<BTreeMap<String, Entity>, StoreError> {
        let mut deliveries = BTreeMap::new();
        let mut after = None;
        loop {
            let page = self.replica_list(EntityType::Delivery, org, after).await?;
            let Some((last, _)) = page.last() else { return Ok(deliveries) };
            after = Some(*last);
            deliveries.extend(page.into_iter().map(|(_, entity)| (entity.uri.clone(), entity)));
        }
    }

    async fn replica_links(
        &self,
        snapshot: &mut Snapshot,
        scope: i64,
        owner: &str,
    ) -> Result<Vec<(String, Value)>, StoreError> {
        let sql = snapshot.sql();
        let found: Vec<(String, Uuid, Vec<u8>)> = sqlx::query_as(
            "SELECT p.uri, l.value_key, l.value FROM replica_link l JOIN predicate p ON p.code = l.predicate
             WHERE l.scope = $1 AND l.owner_key = $2",
        )
        .bind(scope)
        .bind(owner_key(owner))
        .fetch_all(snapshot.conn())
        .await
        .map_err(sql)?;
        found
            .into_iter()
            .map(|(predicate, key, value)| {
                let value = self.open_link_value(&predicate, key, value)?;
                Ok((predicate, value))
            })
            .collect()
    }

    /// The value of a link that stands where its owner and value belong: others were changed on the disk.
    pub(super) fn open_link(
        &self,
        place: Uuid,
        owner: &str,
        predicate: &str,
        key: Uuid,
        value: Vec<u8>,
    ) -> Result<Value, StoreError> {
        let value = self.open_link_value(predicate, key, value)?;
        let is_there = owner_key(owner) == place && value_key(&value) == key;
        if is_there { Ok(value) } else { Err(StoreError::damaged("a link")) }
    }

    pub(crate) fn open_link_value(&self, predicate: &str, key: Uuid, value: Vec<u8>) -> Result<Value, StoreError> {
        let damaged = || StoreError::damaged("a link");
        if vocabulary::is_relation(predicate) {
            return String::from_utf8(value).map(Value::plain).map_err(|_| damaged());
        }
        let plain = self.keyring().columns().open("replica_link", key.as_bytes(), "value", &value);
        serde_json::from_slice(&plain.map_err(|_| damaged())?).map_err(|_| damaged())
    }

    pub(crate) fn open_replica(&self, id: Uuid, sealed: &[u8]) -> Result<Entity, StoreError> {
        let damaged = || StoreError::damaged(format!("the replica row {id}"));
        let plain =
            self.keyring().columns().open("replica_entry", id.as_bytes(), "body", sealed).map_err(|_| damaged())?;
        serde_json::from_slice(&plain).map_err(|_| damaged())
    }
}
