//! What must stay in TAO's database for a while: test takers and deliveries with attempts here that can go on or are not
//! handed in (DESIGN §4).

use std::collections::BTreeSet;

use taosync_model::EntityType;

use crate::{Store, StoreError, rows};

impl Store {
    /// Of these entities, those that an org here holds.
    pub async fn replica_holds(&self, entity_type: EntityType, uris: &[&str]) -> Result<BTreeSet<String>, StoreError> {
        let found: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT e.uri FROM json_each($2) j
             CROSS JOIN replica_entry e ON e.uri = j.value AND +e.type = $1",
        )
        .bind(entity_type.code())
        .bind(rows::text_array(uris.iter().copied()))
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("replica_holds"))?;
        Ok(found.into_iter().collect())
    }

    /// Test takers and deliveries named by items that central has not confirmed yet. An item that central refused counts:
    /// a person has to look at it.
    pub async fn outbox_names(&self) -> Result<BTreeSet<String>, StoreError> {
        let found: Vec<(Option<String>, Option<String>)> = sqlx::query_as(
            "SELECT c.envelope ->> 'test_taker', c.envelope ->> 'delivery' FROM outbox o
             CROSS JOIN outbox_content c ON c.id = o.id WHERE o.state IN ('pending', 'refused')",
        )
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("outbox_names"))?;
        Ok(found.into_iter().flat_map(|(taker, delivery)| [taker, delivery]).flatten().collect())
    }
}
