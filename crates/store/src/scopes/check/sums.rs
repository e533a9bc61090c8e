//! The sum and the counts of a type are those of its members, in one picture that is walked and not kept.

use futures_util::TryStreamExt as _;
use taosync_model::canonical::{entry_member, link_member};
use taosync_model::{Digest, EntityType, SetDigest};
use uuid::Uuid;

use super::{Looked, Seat};
use crate::intact::Slice;
use crate::{Store, StoreError, predicates};

type LinkRow = (i64, Uuid, String, Option<String>, Option<Vec<u8>>);

impl Store {
    pub(super) async fn check_sums(&self, seat: &Seat, entity_type: EntityType) -> Result<Looked, StoreError> {
        let mut snapshot = self.read("check_sums").await?;
        let sql = snapshot.sql();
        let names = predicates::names(snapshot.conn()).await.map_err(&sql)?;
        let stored: Option<(Vec<u8>, i64, i64)> =
            sqlx::query_as("SELECT set_digest, count, links FROM scope_type WHERE scope = $1 AND type = $2")
                .bind(seat.scope)
                .bind(entity_type.code())
                .fetch_optional(snapshot.conn())
                .await
                .map_err(&sql)?;
        let (mut sum, mut count, mut links) = (SetDigest::EMPTY, 0_i64, 0_i64);
        let mut entries = sqlx::query_as::<_, (String, Vec<u8>)>(
            "SELECT e.uri, s.digest FROM scope_entry s JOIN entity e ON e.id = s.entity
             WHERE s.scope = $1 AND s.type = $2 AND s.present = 1",
        )
        .bind(seat.scope)
        .bind(entity_type.code())
        .fetch(snapshot.conn());
        while let Some((uri, digest)) = entries.try_next().await.map_err(&sql)? {
            sum.add(entry_member(&uri, Digest::from_slice(&digest).unwrap_or_default()));
            count += 1;
        }
        drop(entries);
        let mut rows = sqlx::query_as::<_, LinkRow>(
            "SELECT s.predicate, s.value_id, o.uri, t.uri, l.value
             FROM scope_link s JOIN entity o ON o.id = s.owner LEFT JOIN entity t ON t.id = s.value_id
             LEFT JOIN literal_link l ON l.owner = s.owner AND l.predicate = s.predicate AND l.value_id = s.value_id
             WHERE s.scope = $1 AND s.type = $2 AND s.present = 1",
        )
        .bind(seat.scope)
        .bind(entity_type.code())
        .fetch(snapshot.conn());
        while let Some((code, value_id, owner, target, literal)) = rows.try_next().await.map_err(&sql)? {
            links += 1;
            // One that does not open is named with its owner; the sum differs then.
            if let Ok(value) = self.link_value(&owner, value_id, target, literal) {
                sum.add(link_member(&owner, names.get(&code).map_or("", String::as_str), &value));
            }
        }
        drop(rows);
        let mut slice = Slice { rows: count.unsigned_abs() + links.unsigned_abs(), problems: Vec::new() };
        let counted = (sum.to_digest().0.to_vec(), count, links);
        match stored {
            Some(stored) if stored == counted => {}
            Some((_, stored, stored_links)) => slice.problems.push(seat.problem(
                format!("type {entity_type}"),
                format!(
                    "its sum or counts differ from its members (counted {count} and {links} links, stored {stored} and {stored_links})"
                ),
            )),
            // The scope went while the others were looked at.
            None if count == 0 && links == 0 => {}
            None => slice.problems.push(seat.problem(format!("type {entity_type}"), "has members but no sum")),
        }
        Ok(Looked { slice, next: None })
    }
}
