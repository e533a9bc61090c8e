//! Counting again what a replica holds, before a comparison with central when positions cannot be trusted.

use taosync_model::canonical::{entity_digest, entry_member, link_member};
use taosync_model::{Digest, EntityType, SetDigest};
use uuid::Uuid;

use crate::{Durability, Store, StoreError, predicates, rows};

impl Store {
    /// Computes every digest and sum of a replica again from what is really stored, and sets its positions to 0: what
    /// was damaged or edited differs from central afterwards, and is sent again.
    pub async fn replica_recount(&self, scope: i64) -> Result<(), StoreError> {
        let mut tx = self.write("replica_recount", Durability::Flushed).await?;
        let sql = tx.sql();
        for entity_type in EntityType::FEED {
            let entries: Vec<(Uuid, String, Vec<u8>, Vec<u8>)> =
                sqlx::query_as("SELECT id, uri, digest, body FROM replica_entry WHERE scope = $1 AND type = $2")
                    .bind(scope)
                    .bind(entity_type.code())
                    .fetch_all(tx.conn())
                    .await
                    .map_err(&sql)?;
            let mut sum = SetDigest::EMPTY;
            let mut changed: Vec<(String, String)> = Vec::new();
            let count = entries.len() as i64;
            for (id, uri, stored, sealed) in entries {
                let body = self.open_replica(id, &sealed).ok().filter(|body| body.uri == uri);
                let digest = body.map(|body| entity_digest(&body)).unwrap_or_default();
                sum.add(entry_member(&uri, digest));
                if digest.0[..] != stored[..] {
                    changed.push((id.simple().to_string(), digest.to_hex()));
                }
            }
            sqlx::query(
                "UPDATE replica_entry SET digest = unhex(j.value ->> 1), tao_md5 = NULL FROM json_each($1) j
                 WHERE replica_entry.id = unhex(j.value ->> 0)",
            )
            .bind(serde_json::to_string(&changed).unwrap_or_default())
            .execute(tx.conn())
            .await
            .map_err(&sql)?;
            let names = predicates::names(tx.conn()).await.map_err(&sql)?;
            let links: Vec<(Uuid, String, i64, Uuid, Vec<u8>)> = sqlx::query_as(
                "SELECT owner_key, owner, predicate, value_key, value FROM replica_link WHERE scope = $1 AND type = $2",
            )
            .bind(scope)
            .bind(entity_type.code())
            .fetch_all(tx.conn())
            .await
            .map_err(&sql)?;
            let (mut damaged, mut link_count) = (Vec::new(), 0_i64);
            for (place, owner, code, key, value) in links {
                let predicate = names.get(&code).map_or("", String::as_str);
                // A link that does not stand where its owner and value belong could never be taken away by name.
                match self.open_link(place, &owner, predicate, key, value) {
                    Ok(value) => {
                        sum.add(link_member(&owner, predicate, &value));
                        link_count += 1;
                    }
                    Err(_) => damaged.push((place, code, key)),
                }
            }
            sqlx::query(
                "DELETE FROM replica_link WHERE scope = $1 AND (owner_key, predicate, value_key) IN
                 (SELECT unhex(value ->> 0), value ->> 1, unhex(value ->> 2) FROM json_each($2))",
            )
            .bind(scope)
            .bind(rows::key_array(damaged.into_iter()))
            .execute(tx.conn())
            .await
            .map_err(&sql)?;
            sqlx::query(
                "UPDATE replica_type SET seq = 0, set_digest = $3, count = $4, links = $5 WHERE scope = $1 AND type = $2",
            )
            .bind(scope)
            .bind(entity_type.code())
            .bind(sum.to_digest().0.to_vec())
            .bind(count)
            .bind(link_count)
            .execute(tx.conn())
            .await
            .map_err(&sql)?;
        }
        tx.commit().await
    }

    /// URI and digest of every entity of a type.
    pub async fn replica_listing(
        &self,
        scope: i64,
        entity_type: EntityType,
    ) -> Result<Vec<(String, Digest)>, StoreError> {
        let mut snapshot = self.read("replica_listing").await?;
        let sql = snapshot.sql();
        let found: Vec<(String, Vec<u8>)> =
            sqlx::query_as("SELECT uri, digest FROM replica_entry WHERE scope = $1 AND type = $2")
                .bind(scope)
                .bind(entity_type.code())
                .fetch_all(snapshot.conn())
                .await
                .map_err(sql)?;
        Ok(found.into_iter().map(|(uri, digest)| (uri, Digest::from_slice(&digest).unwrap_or_default())).collect())
    }
}
