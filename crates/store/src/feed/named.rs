//! The words about entities and links that somebody asked for by name.

use futures_util::TryStreamExt as _;
use taosync_model::{EntityType, OrgId};
use uuid::Uuid;

use super::items::LinkId;
use super::{EntryRow, PAGE_ROWS, Row};
use crate::{Store, StoreError, predicates, rows};

/// Sealed bytes of entities read at once: bounds memory, whatever the size of a body.
const PAGE_BYTES: usize = 1024 * 1024;

type LinkRow = (i64, i64, Uuid, bool, String, Option<String>, Option<Vec<u8>>);

/// How an entity stands in a scope that has, or had, it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// URI.
    pub uri: String,
    /// Row of the entity.
    pub id: Uuid,
    /// Number of the latest word about it.
    pub seq: i64,
    /// Whether it is there.
    pub present: bool,
}

impl Store {
    /// How these entities stand in a scope. Those it never had, or has forgotten, are left out.
    pub async fn scope_standing(
        &self,
        scope: i64,
        entity_type: EntityType,
        uris: &[String],
    ) -> Result<Vec<Standing>, StoreError> {
        let mut snapshot = self.read("scope_standing").await?;
        let sql = snapshot.sql();
        let mut standing = Vec::new();
        for part in uris.chunks(20_000) {
            // CROSS JOIN keeps the order: SQLite thinks an array is short, and would walk the whole scope for each.
            let found: Vec<(String, Uuid, i64, bool)> = sqlx::query_as(
                "SELECT e.uri, e.id, s.seq, s.present FROM json_each($3) j CROSS JOIN entity e ON e.uri = j.value
                 CROSS JOIN scope_entry s ON s.scope = $1 AND s.type = $2 AND s.entity = e.id",
            )
            .bind(scope)
            .bind(entity_type.code())
            .bind(rows::text_array(part.iter().map(String::as_str)))
            .fetch_all(snapshot.conn())
            .await
            .map_err(&sql)?;
            let stands = |(uri, id, seq, present)| Standing { uri, id, seq, present };
            standing.extend(found.into_iter().map(stands));
        }
        Ok(standing)
    }

    /// The words about the first of these entities, as many as make a page, and how many entities those are. What the
    /// scope has forgotten meanwhile is left out.
    pub async fn scope_rows(
        &self,
        scope: i64,
        org: &OrgId,
        entity_type: EntityType,
        ids: &[Uuid],
    ) -> Result<(Vec<Row>, usize), StoreError> {
        let mut snapshot = self.read("scope_rows").await?;
        let sql = snapshot.sql();
        let mut asked = ids.len().min(PAGE_ROWS as usize);
        let mut found = sqlx::query_as::<_, (i64, i64, Uuid, bool, bool, String, Option<Vec<u8>>)>(
            "SELECT j.key, s.seq, s.entity, s.present, s.filtered, e.uri, CASE WHEN s.present = 1 THEN e.body END
             FROM json_each($3) j CROSS JOIN entity e ON e.id = unhex(j.value)
             CROSS JOIN scope_entry s ON s.scope = $1 AND s.type = $2 AND s.entity = e.id",
        )
        .bind(scope)
        .bind(entity_type.code())
        .bind(rows::id_array(&ids[..asked]))
        .fetch(snapshot.conn());
        let (mut entries, mut bytes): (Vec<EntryRow>, usize) = (Vec::new(), 0);
        while let Some((place, seq, id, present, filtered, uri, body)) = found.try_next().await.map_err(&sql)? {
            bytes += body.as_ref().map_or(0, Vec::len);
            entries.push((seq, id, present, filtered, uri, body));
            if bytes >= PAGE_BYTES {
                asked = place as usize + 1;
                break;
            }
        }
        drop(found);
        let rows = self.entry_rows(&mut snapshot, scope, org, entity_type, entries, i64::MAX).await?;
        Ok((rows, asked))
    }

    /// The words about these links, at most [`PAGE_ROWS`] of them.
    pub async fn scope_link_rows(&self, scope: i64, links: &[LinkId]) -> Result<Vec<Row>, StoreError> {
        let mut snapshot = self.read("scope_link_rows").await?;
        let sql = snapshot.sql();
        let names = predicates::names(snapshot.conn()).await.map_err(&sql)?;
        let found: Vec<LinkRow> = sqlx::query_as(
            "SELECT s.seq, s.predicate, s.value_id, s.present, o.uri, t.uri, l.value
             FROM json_each($2) j CROSS JOIN scope_link s ON s.scope = $1 AND s.owner = unhex(j.value ->> 0)
               AND s.predicate = j.value ->> 1 AND s.value_id = unhex(j.value ->> 2)
             CROSS JOIN entity o ON o.id = s.owner LEFT JOIN entity t ON t.id = s.value_id
             LEFT JOIN literal_link l ON l.owner = s.owner AND l.predicate = s.predicate AND l.value_id = s.value_id",
        )
        .bind(scope)
        .bind(rows::key_array(links.iter().map(|l| (l.owner, l.predicate, l.value))))
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        let mut list = Vec::with_capacity(found.len());
        for (seq, code, value_id, present, owner, target, literal) in found {
            let value = self.link_value(&owner, value_id, target, literal)?;
            let predicate = names.get(&code).cloned().unwrap_or_default();
            list.push(Row::Link { seq, owner, predicate, value, present });
        }
        Ok(list)
    }
}
