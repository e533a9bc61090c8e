//! Words about entities: each org's digest of an entity is that of its view.

use std::collections::HashMap;

use taosync_model::canonical::entity_digest;
use taosync_model::tao::TaoChecksum;
use taosync_model::{Digest, Entity, EntityType};
use uuid::Uuid;

use super::{Looked, ROWS, Seat, Step};
use crate::intact::Slice;
use crate::scopes::views;
use crate::tx::Snapshot;
use crate::{Store, StoreError};

/// A word, with the entity it is about as far as there is one.
type Row = (Uuid, Vec<u8>, Option<String>, Option<i64>, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Option<i64>);

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
            "SELECT s.entity, s.digest, e.uri, e.types, e.shown, s.tao_md5, e.tao_md5, e.links
             FROM scope_entry s LEFT JOIN entity e ON e.id = s.entity
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
        let owners = if seat.org.is_everything() { &[] } else { &ids[..] };
        let outside = views::dropped(snapshot.conn(), seat.scope, owners).await.map_err(&sql)?;
        let is_plain = |id: &Uuid, types: Option<i64>| {
            types.and_then(|types| EntityType::from_bits(types).next()) == Some(entity_type)
                && !outside.contains_key(id)
        };
        let filtered: Vec<Uuid> = found.iter().filter(|row| !is_plain(&row.0, row.3)).map(|row| row.0).collect();
        // Those that do not open are named where entities are looked at.
        let bodies = self.bodies_readable(snapshot.conn(), &filtered).await?;
        let special = found.iter().filter(|row| !is_plain(&row.0, row.3) || row.7 != Some(0)).map(|row| row.0);
        let checksums = self.checksums_seen(&mut snapshot, &seat, entity_type, special.collect()).await?;
        let mut slice = Slice { rows: found.len() as u64, problems: Vec::new() };
        for (id, digest, uri, types, shown, checksum, unscoped, links) in &found {
            let expected = if is_plain(id, *types) {
                shown.as_deref().and_then(|shown| Digest::from_slice(shown).ok())
            } else {
                let dropped = outside.get(id).cloned().unwrap_or_default();
                let view = |body: &Entity| views::view(body.clone(), entity_type, self.fields(), &dropped);
                bodies.get(id).map(|body| entity_digest(&view(body)))
            };
            let what = || uri.clone().unwrap_or_else(|| id.to_string());
            if expected.is_none_or(|expected| expected.0[..] != digest[..]) {
                slice.problems.push(seat.problem(what(), "has another digest than its stored body gives"));
            }
            let expected = match checksums.get(id) {
                Some(expected) => Some(&expected.0[..]),
                None if is_plain(id, *types) && *links == Some(0) => unscoped.as_deref(),
                None => continue,
            };
            if expected != checksum.as_deref() {
                slice.problems.push(seat.problem(what(), "has another TAO checksum than its stored body gives"));
            }
        }
        let next = ids.last().map(|&after| Step::Entries { seat, entity_type, after });
        Ok(Looked { slice, next })
    }

    /// TAO's checksums of these members, made from their bodies and lists. What does not open is named elsewhere.
    async fn checksums_seen(
        &self,
        snapshot: &mut Snapshot,
        seat: &Seat,
        entity_type: EntityType,
        ids: Vec<Uuid>,
    ) -> Result<HashMap<Uuid, TaoChecksum>, StoreError> {
        let readable: Vec<Uuid> = self.bodies_readable(snapshot.conn(), &ids).await?.into_keys().collect();
        let scope = (seat.scope, seat.org.is_everything());
        match self.tao_views(snapshot.conn(), scope, entity_type, &readable).await {
            Ok(shown) => Ok(shown.into_iter().map(|(id, _, shown)| (id, TaoChecksum::of(&shown))).collect()),
            Err(StoreError::Damaged { .. }) => Ok(HashMap::new()),
            Err(error) => Err(error),
        }
    }
}
