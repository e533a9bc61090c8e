//! Entities of the replica as they are written into TAO's database: once each, whatever number of orgs holds them.

use std::collections::BTreeMap;

use taosync_model::tao::TaoChecksum;
use taosync_model::{Entity, EntityType, OrgId, Value};
use uuid::Uuid;

use crate::replica::owner_key;
use crate::tx::Snapshot;
use crate::{Store, StoreError, rows};

/// An entity with everything that all orgs of this local server hold of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Projectable {
    /// The entity, links included.
    pub entity: Entity,
    /// The orgs that hold it.
    pub orgs: Vec<OrgId>,
    /// The checksum a TAO central gave with it; none when there is no such, or orgs see it differently.
    pub tao_checksum: Option<TaoChecksum>,
}

/// Scope, URI, row, body and checksum.
type EntryRow = (i64, String, Uuid, Vec<u8>, Option<Vec<u8>>);

impl Store {
    /// These entities of a type, in the order of their URIs.
    pub async fn projection_bodies(
        &self,
        entity_type: EntityType,
        uris: &[&str],
    ) -> Result<Vec<Projectable>, StoreError> {
        let mut snapshot = self.read("projection_bodies").await?;
        let sql = snapshot.sql();
        let orgs: Vec<(i64, String)> =
            sqlx::query_as("SELECT id, org FROM replica_scope").fetch_all(snapshot.conn()).await.map_err(&sql)?;
        let orgs: BTreeMap<i64, String> = orgs.into_iter().collect();
        let found: Vec<EntryRow> = sqlx::query_as(
            "SELECT e.scope, e.uri, e.id, e.body, e.tao_md5 FROM json_each($2) j
             CROSS JOIN replica_entry e ON e.uri = j.value AND +e.type = $1 ORDER BY e.uri, e.scope",
        )
        .bind(entity_type.code())
        .bind(rows::text_array(uris.iter().copied()))
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        let mut entities: BTreeMap<String, Projectable> = BTreeMap::new();
        for (scope, uri, id, body, checksum) in found {
            let entity = self.open_replica(id, &body)?;
            let org = orgs.get(&scope).and_then(|org| OrgId::new(org.clone()).ok());
            let org = org.ok_or_else(|| StoreError::damaged("replica_scope.org"))?;
            let checksum = checksum.and_then(|bytes| TaoChecksum::from_slice(&bytes).ok());
            match entities.get_mut(&uri) {
                None => {
                    entities.insert(uri, Projectable { entity, orgs: vec![org], tao_checksum: checksum });
                }
                Some(known) => known.join(entity, org, checksum),
            }
        }
        self.add_links(&mut snapshot, &mut entities).await?;
        Ok(entities.into_values().collect())
    }

    async fn add_links(
        &self,
        snapshot: &mut Snapshot,
        entities: &mut BTreeMap<String, Projectable>,
    ) -> Result<(), StoreError> {
        let sql = snapshot.sql();
        let keys: Vec<Uuid> = entities.keys().map(|uri| owner_key(uri)).collect();
        let links: Vec<(String, String, Uuid, Vec<u8>)> = sqlx::query_as(
            "SELECT l.owner, p.uri, l.value_key, l.value FROM replica_scope s CROSS JOIN json_each($1) j
             CROSS JOIN replica_link l ON l.scope = s.id AND l.owner_key = unhex(j.value)
             CROSS JOIN predicate p ON p.code = l.predicate ORDER BY l.owner, p.uri, l.value_key",
        )
        .bind(rows::id_array(&keys))
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        let mut before: Option<(String, String, Uuid)> = None;
        for (owner, predicate, key, value) in links {
            let place = (owner, predicate, key);
            // The same link in another org.
            if before.as_ref() == Some(&place) {
                continue;
            }
            if let Some(known) = entities.get_mut(&place.0) {
                known.entity.push(&place.1, self.open_link_value(&place.1, key, value)?);
            }
            before = Some(place);
        }
        let held: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT DISTINCT v.owner, v.predicate, v.value FROM held_value v
             WHERE v.owner IN (SELECT value FROM json_each($1)) AND EXISTS
                 (SELECT 1 FROM held_removal h WHERE h.scope = v.scope AND h.uri = v.value)
             ORDER BY v.owner, v.predicate, v.value",
        )
        .bind(rows::text_array(entities.keys().map(String::as_str)))
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        for (owner, predicate, value) in held {
            let Some(known) = entities.get_mut(&owner) else { continue };
            let value = Value::plain(value);
            if !known.entity.values(&predicate).contains(&value) {
                known.entity.push(&predicate, value);
            }
        }
        Ok(())
    }
}

impl Projectable {
    /// Adds what another org holds of the entity: relations to what only that org has.
    fn join(&mut self, other: Entity, org: OrgId, checksum: Option<TaoChecksum>) {
        for property in other.properties {
            for value in property.values {
                if !self.entity.values(&property.predicate).contains(&value) {
                    self.entity.push(&property.predicate, value);
                }
            }
        }
        self.orgs.push(org);
        self.tao_checksum = self.tao_checksum.filter(|known| Some(*known) == checksum);
    }
}
