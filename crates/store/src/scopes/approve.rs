//! Central's word about removals: up to which number local servers apply them without asking (DESIGN §4).

use std::collections::BTreeMap;

use taosync_model::{EntityType, OrgId};

use crate::{Store, StoreError, Tx};

impl Store {
    /// Lets local servers apply everything removed so far without asking.
    pub async fn removals_approve(&self, tx: &mut Tx, orgs: &[(OrgId, EntityType)]) -> Result<(), StoreError> {
        let sql = tx.sql();
        let keys: Vec<(&str, i64)> = orgs.iter().map(|(o, t)| (o.as_str(), t.code())).collect();
        sqlx::query(
            "UPDATE scope_type SET removals_approved_through = last_seq WHERE (scope, type) IN
             (SELECT s.id, j.value ->> 1 FROM json_each($1) j CROSS JOIN scope s ON s.org = j.value ->> 0)",
        )
        .bind(serde_json::to_string(&keys).unwrap_or_default())
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        Ok(())
    }

    /// Approves that this one entity left these orgs: naming it was a person's word. Where other removals wait for an
    /// approval of their own, nothing is approved, as an approval covers everything up to it.
    pub async fn removals_approve_single(
        &self,
        tx: &mut Tx,
        orgs: &[(OrgId, EntityType)],
        uri: &str,
    ) -> Result<(), StoreError> {
        let sql = tx.sql();
        let keys: Vec<(&str, i64)> = orgs.iter().map(|(o, t)| (o.as_str(), t.code())).collect();
        sqlx::query(
            "UPDATE scope_type SET removals_approved_through = last_seq WHERE (scope, type) IN
             (SELECT s.id, j.value ->> 1 FROM json_each($1) j CROSS JOIN scope s ON s.org = j.value ->> 0)
             AND NOT EXISTS (SELECT 1 FROM scope_entry e WHERE e.scope = scope_type.scope AND e.type = scope_type.type
               AND e.seq > scope_type.removals_approved_through AND e.present = 0
               AND e.entity <> (SELECT id FROM entity WHERE uri = $2))",
        )
        .bind(serde_json::to_string(&keys).unwrap_or_default())
        .bind(uri)
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        Ok(())
    }

    /// How many removals of an org are not approved, per type; `None` for an org nobody registered.
    pub async fn removals_unapproved(&self, org: &OrgId) -> Result<Option<BTreeMap<EntityType, u64>>, StoreError> {
        let mut snapshot = self.read("removals_unapproved").await?;
        let sql = snapshot.sql();
        let found: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT t.type, (SELECT count(*) FROM scope_entry e WHERE e.scope = t.scope AND e.type = t.type
               AND e.seq > t.removals_approved_through AND e.present = 0)
             FROM scope s JOIN scope_type t ON t.scope = s.id WHERE s.org = $1",
        )
        .bind(org.as_str())
        .fetch_all(snapshot.conn())
        .await
        .map_err(sql)?;
        if found.is_empty() {
            return Ok(None);
        }
        let named = |(code, count): (i64, i64)| Some((EntityType::from_code(code)?, count.unsigned_abs()));
        Ok(Some(found.into_iter().filter_map(named).collect()))
    }
}
