//! Members of an org in TAO's view. Pages go by the numbers of the feed: a member that changes moves on to a higher
//! number, so whoever walks to the end has seen everybody who was there all the time, whatever happens meanwhile.

use std::collections::{HashMap, HashSet};

use sqlx::SqliteConnection;
use taosync_model::tao::{Properties, TaoChecksum};
use taosync_model::{EntityType, OrgId, Property};
use uuid::Uuid;

use crate::entities::checksum::kept_links;
use crate::scopes::read_tree;
use crate::{Store, StoreError, rows};

/// Whose members, and in whose view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TaoScope {
    /// An org's members as the org sees them.
    Seen(OrgId),
    /// An org's members with everything central knows of them, as TAO shows them.
    Unfiltered(OrgId),
}

impl TaoScope {
    /// The org.
    pub const fn org(&self) -> &OrgId {
        match self {
            Self::Seen(org) | Self::Unfiltered(org) => org,
        }
    }
}

/// A line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Number in the feed; the next page begins after the last one's.
    pub seq: i64,
    /// URI.
    pub uri: String,
    /// TAO's checksum in the scope's view.
    pub checksum: TaoChecksum,
}

impl Store {
    /// A page of an org's members of a type: those after a number of the feed, without the first `skip` of them, at most
    /// `limit`. An org nobody registered has none.
    pub async fn tao_page(
        &self,
        scope: &TaoScope,
        entity_type: EntityType,
        after: i64,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Listed>, StoreError> {
        let mut snapshot = self.read("tao_page").await?;
        let sql = snapshot.sql();
        let found: Vec<(i64, Uuid, String, i64, Option<Vec<u8>>, Option<Vec<u8>>)> = sqlx::query_as(
            "SELECT s.seq, e.id, e.uri, e.types, s.tao_md5, e.tao_md5
             FROM (SELECT s.seq, s.entity, s.tao_md5 FROM scope o
                   CROSS JOIN scope_entry s ON s.scope = o.id AND s.type = $2 AND s.seq > $3 AND s.present = 1
                   WHERE o.org = $1 ORDER BY s.seq LIMIT $5 OFFSET $4) AS s
             CROSS JOIN entity e ON e.id = s.entity ORDER BY s.seq",
        )
        .bind(scope.org().as_str())
        .bind(entity_type.code())
        .bind(after)
        .bind(skip)
        .bind(limit)
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        // Kept with the entity is the checksum of its first type; others are rare.
        let is_kept = |types: i64| EntityType::from_bits(types).next() == Some(entity_type);
        let mut made = HashMap::new();
        if matches!(scope, TaoScope::Unfiltered(_)) {
            let others: Vec<Uuid> = found.iter().filter(|row| !is_kept(row.3)).map(|row| row.1).collect();
            let shown = self.unfiltered(snapshot.conn(), entity_type, &others).await?;
            made = shown.into_iter().map(|(id, _, shown)| (id, TaoChecksum::of(&shown).0.to_vec())).collect();
        }
        let listed = |(seq, id, uri, _, seen, kept)| {
            let checksum = match scope {
                TaoScope::Seen(_) => seen,
                TaoScope::Unfiltered(_) => made.remove(&id).or(kept),
            };
            let checksum = checksum.and_then(|bytes| TaoChecksum::from_slice(&bytes).ok());
            let checksum = checksum.ok_or_else(|| StoreError::damaged(format!("the TAO checksum of {uri}")))?;
            Ok(Listed { seq, uri, checksum })
        };
        found.into_iter().map(listed).collect()
    }

    /// These members of an org in TAO's view, each once, in no order. Who is no member is left out.
    pub async fn tao_entities(
        &self,
        scope: &TaoScope,
        entity_type: EntityType,
        uris: &[&str],
    ) -> Result<Vec<(String, Properties)>, StoreError> {
        let mut snapshot = self.read("tao_entities").await?;
        let sql = snapshot.sql();
        let mut list = Vec::new();
        for part in uris.chunks(1_000) {
            let found: Vec<(i64, Uuid)> = sqlx::query_as(
                "SELECT DISTINCT s.scope, s.entity FROM json_each($1) j CROSS JOIN entity e ON e.uri = j.value
                 CROSS JOIN scope o ON o.org = $2
                 CROSS JOIN scope_entry s ON s.scope = o.id AND s.type = $3 AND s.entity = e.id AND s.present = 1",
            )
            .bind(rows::text_array(part.iter().copied()))
            .bind(scope.org().as_str())
            .bind(entity_type.code())
            .fetch_all(snapshot.conn())
            .await
            .map_err(&sql)?;
            let Some(&(number, _)) = found.first() else { continue };
            let ids: Vec<Uuid> = found.iter().map(|row| row.1).collect();
            let shown = match scope {
                TaoScope::Seen(org) => {
                    self.tao_views(snapshot.conn(), (number, org.is_everything()), entity_type, &ids).await?
                }
                TaoScope::Unfiltered(_) => self.unfiltered(snapshot.conn(), entity_type, &ids).await?,
            };
            list.extend(shown.into_iter().map(|(_, uri, shown)| (uri, shown)));
        }
        Ok(list)
    }

    /// Everything central knows of these entities, under the choice of fields of a type.
    async fn unfiltered(
        &self,
        conn: &mut SqliteConnection,
        entity_type: EntityType,
        ids: &[Uuid],
    ) -> Result<Vec<(Uuid, String, Properties)>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut links = self.links_of(conn, ids).await?;
        let choice = self.fields().of(entity_type);
        let bodies = self.bodies_read(conn, ids).await?;
        let shown = bodies.into_iter().map(|(id, entity)| {
            let mut lists: Vec<Property> = Vec::new();
            for (predicate, value) in links.remove(&id).unwrap_or_default() {
                match lists.iter_mut().find(|list| list.predicate == predicate) {
                    Some(list) => list.values.push(value),
                    None => lists.push(Property { predicate, values: vec![value] }),
                }
            }
            let properties = Properties::of(&entity, &kept_links(&lists), entity_type, &choice);
            (id, entity.uri, properties)
        });
        Ok(shown.collect())
    }

    /// These classes and all above them, as far as one of the orgs has them, in TAO's view.
    pub async fn tao_classes(&self, orgs: &[OrgId], uris: &[&str]) -> Result<Vec<(String, Properties)>, StoreError> {
        let mut snapshot = self.read("tao_classes").await?;
        let sql = snapshot.sql();
        let class = EntityType::Class.code();
        let asked: Vec<Uuid> = sqlx::query_scalar(
            "SELECT e.id FROM json_each($1) j CROSS JOIN entity e ON e.uri = j.value AND e.types & 1",
        )
        .bind(rows::text_array(uris.iter().copied()))
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        let seen: HashSet<Uuid> = sqlx::query_scalar(
            "SELECT s.entity FROM json_each($1) j CROSS JOIN scope o ON o.org = j.value
             CROSS JOIN scope_entry s ON s.scope = o.id AND s.type = $2 AND s.present = 1",
        )
        .bind(rows::text_array(orgs.iter().map(OrgId::as_str)))
        .bind(class)
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?
        .into_iter()
        .collect();
        let tree = read_tree(snapshot.conn()).await.map_err(&sql)?;
        let mut wanted = tree.upwards(asked.into_iter().filter(|id| seen.contains(id)));
        wanted.retain(|id| seen.contains(id));
        let wanted: Vec<Uuid> = wanted.into_iter().collect();
        let shown = self.unfiltered(snapshot.conn(), EntityType::Class, &wanted).await?;
        Ok(shown.into_iter().map(|(_, uri, shown)| (uri, shown)).collect())
    }

    /// Whether one of the orgs has an entity of this type.
    pub async fn tao_sees(&self, orgs: &[OrgId], uri: &str, entity_type: EntityType) -> Result<bool, StoreError> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM entity e CROSS JOIN scope_entry s ON s.entity = e.id AND s.type = $3 AND s.present = 1
             CROSS JOIN scope o ON o.id = s.scope
             WHERE e.uri = $2 AND o.org IN (SELECT value FROM json_each($1)) LIMIT 1",
        )
        .bind(rows::text_array(orgs.iter().map(OrgId::as_str)))
        .bind(uri)
        .bind(entity_type.code())
        .fetch_optional(&self.pools.readers)
        .await
        .map_err(StoreError::sql("tao_sees"))?;
        Ok(found.is_some())
    }

    /// All registered orgs.
    pub async fn orgs_registered(&self) -> Result<Vec<OrgId>, StoreError> {
        let found: Vec<String> = sqlx::query_scalar("SELECT org FROM scope ORDER BY org")
            .fetch_all(&self.pools.readers)
            .await
            .map_err(StoreError::sql("orgs_registered"))?;
        Ok(found.into_iter().filter_map(|org| OrgId::new(org).ok()).collect())
    }
}

#[cfg(test)]
mod tests;
