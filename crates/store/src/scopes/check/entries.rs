//! Words about entities: each org's digest of an entity is that of its view.

use std::collections::{HashMap, HashSet};

use taosync_model::canonical::entity_digest;
use taosync_model::{Digest, Entity, EntityType};
use uuid::Uuid;

use super::{Looked, ROWS, Seat, Step};
use crate::intact::Slice;
use crate::predicates::SUB_CLASS_OF;
use crate::scopes::views;
use crate::tx::Snapshot;
use crate::{Store, StoreError, rows};

/// A word, with the entity it is about as far as there is one.
type Row = (Uuid, Vec<u8>, Option<String>, Option<i64>, Option<Vec<u8>>);

impl Store {
    pub(super) async fn check_entries(
        &self,
        seat: Seat,
        entity_type: EntityType,
        after: Uuid,
    ) -> Result<Looked, StoreError> {
        let mut snapshot = self.read("check_entries").await?;
        let sql = snapshot.sql();
        let found: Vec<Row> = sqlx::query_as(
            "SELECT s.entity, s.digest, e.uri, e.types, e.shown FROM scope_entry s LEFT JOIN entity e ON e.id = s.entity
             WHERE s.scope = $1 AND s.type = $2 AND s.present = 1 AND s.entity > $3 ORDER BY s.entity LIMIT $4",
        )
        .bind(seat.scope)
        .bind(entity_type.code())
        .bind(after)
        .bind(ROWS)
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        let ids: Vec<Uuid> = found.iter().map(|row| row.0).collect();
        let outside =
            if seat.org.is_everything() { HashMap::new() } else { outside(&mut snapshot, &seat, &ids).await? };
        let is_plain = |id: &Uuid, types: Option<i64>| {
            types.and_then(|types| EntityType::from_bits(types).next()) == Some(entity_type)
                && !outside.contains_key(id)
        };
        let filtered: Vec<Uuid> = found.iter().filter(|row| !is_plain(&row.0, row.3)).map(|row| row.0).collect();
        // Those that do not open are named where entities are looked at.
        let bodies = self.bodies_readable(snapshot.conn(), &filtered).await?;
        let mut slice = Slice { rows: found.len() as u64, problems: Vec::new() };
        for (id, digest, uri, types, shown) in &found {
            let expected = if is_plain(id, *types) {
                shown.as_deref().and_then(|shown| Digest::from_slice(shown).ok())
            } else {
                let dropped = outside.get(id).cloned().unwrap_or_default();
                let view = |body: &Entity| views::view(body.clone(), entity_type, self.fields(), &dropped);
                bodies.get(id).map(|body| entity_digest(&view(body)))
            };
            if expected.is_none_or(|expected| expected.0[..] != digest[..]) {
                let what = uri.clone().unwrap_or_else(|| id.to_string());
                slice.problems.push(seat.problem(what, "has another digest than its stored body gives"));
            }
        }
        let next = ids.last().map(|&after| Step::Entries { seat, entity_type, after });
        Ok(Looked { slice, next })
    }
}

/// URIs that these entities name and the org does not see.
async fn outside(
    snapshot: &mut Snapshot,
    seat: &Seat,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, HashSet<String>>, StoreError> {
    let sql = snapshot.sql();
    let found: Vec<(Uuid, String)> = sqlx::query_as(
        "SELECT r.owner, t.uri FROM json_each($1) j
         CROSS JOIN relation r ON r.owner = unhex(j.value) AND r.linked = 0 AND r.predicate <> $3
         CROSS JOIN entity t ON t.id = r.target
         WHERE NOT EXISTS (SELECT 1 FROM scope_entry s WHERE s.entity = r.target AND s.scope = $2 AND s.present = 1)",
    )
    .bind(rows::id_array(ids))
    .bind(seat.scope)
    .bind(SUB_CLASS_OF)
    .fetch_all(snapshot.conn())
    .await
    .map_err(sql)?;
    let mut outside: HashMap<Uuid, HashSet<String>> = HashMap::new();
    for (owner, uri) in found {
        outside.entry(owner).or_default().insert(uri);
    }
    Ok(outside)
}
