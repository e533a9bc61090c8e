//! Test takers and deliveries that have left while an attempt of theirs is not done with: out of every digest and list,
//! but not forgotten (DESIGN §4, "physical deletion waits").

use sqlx::SqliteConnection;
use taosync_model::{Entity, EntityType, OrgId};
use uuid::Uuid;

use crate::{Store, StoreError, Tx, rows};

/// Whether an attempt `x` can go on, or is still to be handed in.
const IS_OPEN: &str = "(x.state NOT IN ('finished', 'terminated', 'canceled') OR x.resume_until IS NOT NULL
    OR EXISTS (SELECT 1 FROM outbox o WHERE o.item = x.id AND o.kind = 'attempt' AND o.state = 'pending'))";

impl Store {
    /// Test takers with this login who have left every org while an attempt of theirs is open.
    pub async fn parted_takers(&self, login: &str) -> Result<Vec<(OrgId, Entity)>, StoreError> {
        let mut snapshot = self.read("parted_takers").await?;
        let sql = snapshot.sql();
        let found: Vec<(String, Uuid, Vec<u8>)> = sqlx::query_as(
            "SELECT s.org, p.id, p.body FROM parted_entry p JOIN replica_scope s ON s.id = p.scope
             WHERE p.login_index = $1 AND p.type = $2
             AND NOT EXISTS (SELECT 1 FROM replica_entry e WHERE e.uri = p.uri AND e.type = p.type)
             ORDER BY s.org, p.id",
        )
        .bind(self.keyring().index().of("login", login).to_vec())
        .bind(EntityType::TestTaker.code())
        .fetch_all(snapshot.conn())
        .await
        .map_err(sql)?;
        let taker = |(org, id, sealed): (String, Uuid, Vec<u8>)| {
            let org = OrgId::new(org).map_err(|_| StoreError::damaged("replica_scope.org"))?;
            Ok((org, self.open_replica(id, &sealed)?))
        };
        found.into_iter().map(taker).collect()
    }

    /// Something that has left, as it was last.
    pub async fn parted_get(&self, uri: &str) -> Result<Option<Entity>, StoreError> {
        let found: Option<(Uuid, Vec<u8>)> =
            sqlx::query_as("SELECT id, body FROM parted_entry WHERE uri = $1 ORDER BY id DESC LIMIT 1")
                .bind(uri)
                .fetch_optional(&self.pools.readers)
                .await
                .map_err(StoreError::sql("parted_get"))?;
        found.map(|(id, sealed)| self.open_replica(id, &sealed)).transpose()
    }
}

impl Tx {
    /// Forgets what has left and has no open attempt any more.
    pub(crate) async fn parted_forget(&mut self) -> Result<(), StoreError> {
        let sql = self.sql();
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "DELETE FROM parted_entry WHERE NOT EXISTS
             (SELECT 1 FROM execution x WHERE {IS_OPEN} AND parted_entry.uri = CASE parted_entry.type
                  WHEN $1 THEN x.test_taker ELSE x.delivery END)"
        )))
        .bind(EntityType::TestTaker.code())
        .execute(self.conn())
        .await
        .map_err(sql)?;
        Ok(())
    }
}

/// Keeps, of the entries that go now, those that an open attempt needs.
pub(super) async fn keep(conn: &mut SqliteConnection, ids: &[Uuid]) -> Result<(), sqlx::Error> {
    for part in ids.chunks(20_000) {
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "INSERT INTO parted_entry (id, scope, type, uri, body, login_index)
             SELECT e.id, e.scope, e.type, e.uri, e.body, e.login_index FROM json_each($1) j
             CROSS JOIN replica_entry e ON e.id = unhex(j.value)
             WHERE e.type = $2 AND EXISTS (SELECT 1 FROM execution x WHERE x.test_taker = e.uri AND {IS_OPEN})
                OR e.type = $3 AND EXISTS (SELECT 1 FROM execution x WHERE x.delivery = e.uri AND {IS_OPEN})"
        )))
        .bind(rows::id_array(part))
        .bind(EntityType::TestTaker.code())
        .bind(EntityType::Delivery.code())
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
