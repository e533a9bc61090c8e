//! Making again what follows from stored bodies and relations: digests, lists and sums (`taosync verify --mend`).

use std::collections::{HashMap, HashSet};

use sqlx::SqliteConnection;
use taosync_model::canonical::{entity_digest, entry_member, link_member};
use taosync_model::{Digest, EntityType, SetDigest};
use uuid::Uuid;

use super::{Effects, Touched, Unreadable, links};
use crate::entities::change::shown_digest;
use crate::{Durability, Store, StoreError, Tx, predicates, rows};

impl Store {
    /// Central: computes digests and classes of entities again from their bodies, lists of orgs from relations, and sums from lists,
    /// in one transaction. Says how many digests, classes, lists and sums
    /// were wrong. An entity whose body is damaged stays as it
    /// is.
    pub async fn scopes_mend(&self) -> Result<u64, StoreError> {
        let mut tx = self.write("scopes_mend", Durability::Flushed).await?;
        let (mut effects, mut mended) = self.digests_mend(&mut tx).await?;
        mended += drop_unfounded(&mut tx).await?;
        let sql = tx.sql();
        effects.links = links::all(tx.conn()).await.map_err(sql)?;
        let before = changes_of(&mut tx).await?;
        self.scopes_follow(&mut tx, effects).await?;
        mended += changes_of(&mut tx).await? - before;
        mended += self.sums_mend(&mut tx).await?;
        mended += self.checksums_refresh(tx.conn()).await?;
        tx.commit().await?;
        Ok(mended)
    }

    /// Corrects digests and classes of entities; everything readable is to be looked at once more by the scopes.
    async fn digests_mend(&self, tx: &mut Tx) -> Result<(Effects, u64), StoreError> {
        let sql = tx.sql();
        type Row = (Uuid, String, i64, Option<Uuid>, Option<String>, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);
        let found: Vec<Row> = sqlx::query_as(
            "SELECT e.id, e.uri, e.types, e.class, c.uri, e.digest, e.shown, e.body
             FROM entity e LEFT JOIN entity c ON c.id = e.class WHERE e.types > 0",
        )
        .fetch_all(tx.conn())
        .await
        .map_err(&sql)?;
        let mut effects = Effects { unreadable: Unreadable::Kept, ..Effects::default() };
        let mut wrong: Vec<(String, String, String)> = Vec::new();
        let mut misplaced: Vec<(usize, String)> = Vec::new();
        for (id, uri, types, class, class_uri, digest, shown, sealed) in found {
            let Some(body) = sealed.and_then(|sealed| self.open_body(id, &sealed).ok()) else { continue };
            let right = (entity_digest(&body), shown_digest(&body, types, None, self.fields()));
            if digest.as_deref() != Some(&right.0.0[..]) || shown.as_deref() != Some(&right.1.0[..]) {
                wrong.push((id.simple().to_string(), right.0.to_hex(), right.1.to_hex()));
            }
            effects.takers.insert(id);
            effects.deliveries.insert(id);
            if types & EntityType::TestCenter.bit() != 0 {
                effects.centers.push(id);
            }
            if class_uri.as_ref() != Some(&body.class) {
                misplaced.push((effects.touched.len(), body.class.clone()));
            }
            let body = Some(body);
            effects.touched.push(Touched {
                id,
                uri,
                old_types: types,
                new_types: types,
                old_class: class,
                new_class: class,
                body,
            });
        }
        sqlx::query(
            "UPDATE entity SET digest = unhex(j.value ->> 1), shown = unhex(j.value ->> 2) FROM json_each($1) j
             WHERE entity.id = unhex(j.value ->> 0)",
        )
        .bind(serde_json::to_string(&wrong).unwrap_or_default())
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        let mended = wrong.len() as u64 + classes_mend(tx, &mut effects.touched, &misplaced).await?;
        Ok((effects, mended))
    }

    /// Corrects the sums and counts of every type of every scope.
    async fn sums_mend(&self, tx: &mut Tx) -> Result<u64, StoreError> {
        let sql = tx.sql();
        let types: Vec<(i64, i64, Vec<u8>, i64, i64)> =
            sqlx::query_as("SELECT scope, type, set_digest, count, links FROM scope_type")
                .fetch_all(tx.conn())
                .await
                .map_err(&sql)?;
        let mut wrong = 0;
        for (scope, code, stored, count, links) in types {
            let Some(entity_type) = EntityType::from_code(code) else { continue };
            let entries: Vec<(String, Vec<u8>)> = sqlx::query_as(
                "SELECT e.uri, s.digest FROM scope_entry s JOIN entity e ON e.id = s.entity
                 WHERE s.scope = $1 AND s.type = $2 AND s.present = 1",
            )
            .bind(scope)
            .bind(code)
            .fetch_all(tx.conn())
            .await
            .map_err(&sql)?;
            let mut sum = SetDigest::EMPTY;
            for (uri, digest) in &entries {
                sum.add(entry_member(uri, Digest::from_slice(digest).unwrap_or_default()));
            }
            // A value that does not open leaves the sum as it is; `verify` names its owner.
            let Some(members) = self.link_members(tx.conn(), scope, entity_type).await? else { continue };
            for member in &members {
                sum.add(*member);
            }
            let right = (sum.to_digest().0.to_vec(), entries.len() as i64, members.len() as i64);
            if right == (stored, count, links) {
                continue;
            }
            wrong += 1;
            sqlx::query("UPDATE scope_type SET set_digest = $3, count = $4, links = $5 WHERE scope = $1 AND type = $2")
                .bind(scope)
                .bind(code)
                .bind(right.0)
                .bind(right.1)
                .bind(right.2)
                .execute(tx.conn())
                .await
                .map_err(&sql)?;
        }
        Ok(wrong)
    }

    /// The hash of every present link of a type; none when one of them cannot be read.
    async fn link_members(
        &self,
        conn: &mut SqliteConnection,
        scope: i64,
        entity_type: EntityType,
    ) -> Result<Option<Vec<Digest>>, StoreError> {
        let sql = StoreError::sql("link_members");
        let names = predicates::names(conn).await.map_err(&sql)?;
        let found: Vec<(i64, Uuid, String, Option<String>, Option<Vec<u8>>)> = sqlx::query_as(
            "SELECT s.predicate, s.value_id, o.uri, t.uri, l.value
             FROM scope_link s JOIN entity o ON o.id = s.owner LEFT JOIN entity t ON t.id = s.value_id
             LEFT JOIN literal_link l ON l.owner = s.owner AND l.predicate = s.predicate AND l.value_id = s.value_id
             WHERE s.scope = $1 AND s.type = $2 AND s.present = 1",
        )
        .bind(scope)
        .bind(entity_type.code())
        .fetch_all(conn)
        .await
        .map_err(&sql)?;
        let mut members = Vec::with_capacity(found.len());
        for (code, value_id, owner, target, literal) in found {
            let Ok(value) = self.link_value(&owner, value_id, target, literal) else { return Ok(None) };
            members.push(link_member(&owner, names.get(&code).map_or("", String::as_str), &value));
        }
        Ok(Some(members))
    }
}

/// Gives entities the class that their bodies name, by their places in the list.
async fn classes_mend(tx: &mut Tx, touched: &mut [Touched], misplaced: &[(usize, String)]) -> Result<u64, StoreError> {
    let sql = tx.sql();
    let uris: HashSet<&str> = misplaced.iter().map(|(_, uri)| uri.as_str()).collect();
    let classes: Vec<(String, Uuid)> =
        sqlx::query_as("SELECT e.uri, e.id FROM json_each($1) j CROSS JOIN entity e ON e.uri = j.value")
            .bind(rows::text_array(uris))
            .fetch_all(tx.conn())
            .await
            .map_err(&sql)?;
    let classes: HashMap<String, Uuid> = classes.into_iter().collect();
    let mut right: Vec<(String, String)> = Vec::new();
    for (place, uri) in misplaced {
        let Some(&class) = classes.get(uri) else { continue };
        touched[*place].new_class = Some(class);
        right.push((touched[*place].id.simple().to_string(), class.simple().to_string()));
    }
    sqlx::query(
        "UPDATE entity SET class = unhex(j.value ->> 1) FROM json_each($1) j WHERE entity.id = unhex(j.value ->> 0)",
    )
    .bind(serde_json::to_string(&right).unwrap_or_default())
    .execute(tx.conn())
    .await
    .map_err(sql)?;
    Ok(right.len() as u64)
}

/// Takes out listed entities and links that nothing true stands behind.
async fn drop_unfounded(tx: &mut Tx) -> Result<u64, StoreError> {
    let mut dropped = 0;
    for statement in [
        "DELETE FROM scope_entry WHERE entity NOT IN (SELECT id FROM entity)",
        "DELETE FROM scope_link WHERE present = 1
         AND NOT EXISTS (SELECT 1 FROM relation r WHERE r.owner = scope_link.owner
           AND r.predicate = scope_link.predicate AND r.target = scope_link.value_id AND r.linked = 1)
         AND NOT EXISTS (SELECT 1 FROM literal_link l WHERE l.owner = scope_link.owner
           AND l.predicate = scope_link.predicate AND l.value_id = scope_link.value_id AND l.gone = 0)",
    ] {
        let sql = tx.sql();
        dropped += sqlx::query(statement).execute(tx.conn()).await.map_err(sql)?.rows_affected();
    }
    Ok(dropped)
}

/// How many numbers were given so far, over all scopes.
async fn changes_of(tx: &mut Tx) -> Result<u64, StoreError> {
    let sql = tx.sql();
    let given: i64 = sqlx::query_scalar("SELECT coalesce(sum(last_seq), 0) FROM scope_type")
        .fetch_one(tx.conn())
        .await
        .map_err(sql)?;
    Ok(given.unsigned_abs())
}
