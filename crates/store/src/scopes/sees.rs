//! Which of some entities an org sees, and as what.

use std::collections::HashSet;

use taosync_model::{EntityType, OrgId};

use crate::rows;
use crate::{Store, StoreError};

/// URIs in one question.
const AT_ONCE: usize = 20_000;

impl Store {
    /// Those of these URIs that are in the scope of an org, with the types they have there.
    pub async fn scope_sees(&self, org: &OrgId, uris: &[&str]) -> Result<HashSet<(String, EntityType)>, StoreError> {
        let mut seen = HashSet::new();
        for part in uris.chunks(AT_ONCE) {
            let found: Vec<(String, i64)> = sqlx::query_as(
                "SELECT e.uri, s.type FROM json_each($1) j CROSS JOIN entity e ON e.uri = j.value
                 CROSS JOIN scope o ON o.org = $2
                 CROSS JOIN scope_entry s ON s.entity = e.id AND s.scope = o.id AND s.present = 1",
            )
            .bind(rows::text_array(part.iter().copied()))
            .bind(org.as_str())
            .fetch_all(&self.pools.readers)
            .await
            .map_err(StoreError::sql("scope_sees"))?;
            seen.extend(found.into_iter().filter_map(|(uri, code)| Some((uri, EntityType::from_code(code)?))));
        }
        Ok(seen)
    }
}
