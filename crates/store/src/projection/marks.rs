//! Which entities of the replica TAO's database was not given yet, or not as they are now.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::SqliteConnection;
use taosync_model::{Digest, EntityType};
use uuid::Uuid;

use crate::replica::owner_key;
use crate::tx::Snapshot;
use crate::{Durability, Store, StoreError, predicates, rows};

/// Entities of a page: as many as are written into TAO's database in one transaction.
pub const PAGE: usize = 500;

/// An entity of the replica, and the state of it that TAO's database was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// URI.
    pub uri: String,
    /// Hash of what all orgs here hold of it, links and package included.
    pub now: Digest,
    /// The same when it was given; none before that.
    pub given: Option<Digest>,
    /// Values it has in long lists, over all orgs.
    pub links: u64,
}

impl Mark {
    /// Whether TAO's database was given the entity as it is.
    pub fn is_given(&self) -> bool {
        self.given == Some(self.now)
    }
}

/// An entity that TAO's database was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// URI.
    pub uri: String,
    /// Its state.
    pub mark: Digest,
    /// Every predicate that was ever given of it.
    pub predicates: BTreeSet<String>,
    /// Whether TAO had nothing of it before: only such an entity may be deleted there.
    pub brought: bool,
}

/// What stands for a table in a hash of many.
type Row = (String, i64, String);

impl Store {
    /// A hash of everything a projection depends on, without looking at a single entity: what the types of all replicas
    /// hold, which removals are held, which packages are here, and what was given to TAO's import.
    pub async fn projection_standing(&self) -> Result<Digest, StoreError> {
        let mut snapshot = self.read("projection_standing").await?;
        let sql = snapshot.sql();
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT 'type', scope * 16 + type, hex(set_digest) || ':' || count || ':' || links FROM replica_type
             UNION ALL SELECT 'held' || uri, scope * 16 + type, '' FROM held_removal
             UNION ALL SELECT 'package' || delivery || state, version, reference FROM package
             UNION ALL SELECT 'import' || delivery, 0, hex(tree) FROM tao_import WHERE state = 'done'
             ORDER BY 1, 2",
        )
        .fetch_all(snapshot.conn())
        .await
        .map_err(sql)?;
        let mut hasher = blake3::Hasher::new();
        for (name, number, text) in rows {
            part(&mut hasher, name.as_bytes());
            part(&mut hasher, &number.to_le_bytes());
            part(&mut hasher, text.as_bytes());
        }
        Ok(Digest(*hasher.finalize().as_bytes()))
    }

    /// A page of a type's entities in the order of their URIs, at most [`PAGE`].
    pub async fn projection_marks(&self, entity_type: EntityType, after: &str) -> Result<Vec<Mark>, StoreError> {
        let mut snapshot = self.read("projection_marks").await?;
        let sql = snapshot.sql();
        let found: Vec<(String, i64, Vec<u8>)> = sqlx::query_as(
            "SELECT e.uri, e.scope, e.digest FROM
                 (SELECT DISTINCT uri FROM replica_entry WHERE uri > $2 AND +type = $1 ORDER BY uri LIMIT $3) page
             CROSS JOIN replica_entry e ON e.uri = page.uri AND +e.type = $1 ORDER BY e.uri, e.scope",
        )
        .bind(entity_type.code())
        .bind(after)
        .bind(PAGE as i64)
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        let mut hashers: BTreeMap<String, blake3::Hasher> = BTreeMap::new();
        for (uri, scope, digest) in found {
            let hasher = hashers.entry(uri).or_default();
            part(hasher, &scope.to_le_bytes());
            part(hasher, &digest);
        }
        let links = add_links(&mut snapshot, &mut hashers).await?;
        let given = given(snapshot.conn(), entity_type, hashers.keys()).await.map_err(&sql)?;
        let mark = |(uri, hasher): (String, blake3::Hasher)| {
            let given = given.get(&uri).and_then(|bytes| Digest::from_slice(bytes).ok());
            let links = links.get(&uri).copied().unwrap_or(0);
            Mark { uri, now: Digest(*hasher.finalize().as_bytes()), given, links }
        };
        Ok(hashers.into_iter().map(mark).collect())
    }

    /// What these entities were given with.
    pub async fn projection_given(&self, entity_type: EntityType, uris: &[&str]) -> Result<Vec<Given>, StoreError> {
        let mut snapshot = self.read("projection_given").await?;
        let sql = snapshot.sql();
        let names = predicates::names(snapshot.conn()).await.map_err(&sql)?;
        let found: Vec<(String, Vec<u8>, String, i64)> = sqlx::query_as(
            "SELECT g.uri, g.mark, g.predicates, g.brought FROM json_each($2) j
             CROSS JOIN tao_given g ON g.type = $1 AND g.uri = j.value",
        )
        .bind(entity_type.code())
        .bind(rows::text_array(uris.iter().copied()))
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        let read = |(uri, mark, codes, brought): (String, Vec<u8>, String, i64)| {
            let codes: Vec<i64> = serde_json::from_str(&codes).map_err(|_| StoreError::damaged("tao_given"))?;
            let predicates = codes.iter().filter_map(|code| names.get(code).cloned()).collect();
            let mark = Digest::from_slice(&mark).unwrap_or_default();
            Ok(Given { uri, mark, predicates, brought: brought != 0 })
        };
        found.into_iter().map(read).collect()
    }

    /// Notes entities as given. What was given before and is noted again keeps the predicates of both.
    pub async fn projection_note(&self, entity_type: EntityType, given: &[Given]) -> Result<(), StoreError> {
        let mut tx = self.write("projection_note", Durability::Relaxed).await?;
        let sql = tx.sql();
        let all: BTreeSet<&str> = given.iter().flat_map(|g| &g.predicates).map(String::as_str).collect();
        let all: Vec<&str> = all.into_iter().collect();
        let codes = predicates::codes(tx.conn(), &all).await.map_err(&sql)?;
        rows::insert(
            tx.conn(),
            "INSERT INTO tao_given (type, uri, mark, predicates, brought) ",
            given,
            "ON CONFLICT (type, uri) DO UPDATE SET mark = excluded.mark,
                 brought = max(tao_given.brought, excluded.brought), predicates =
                 (SELECT json_group_array(value) FROM (SELECT value FROM json_each(tao_given.predicates)
                  UNION SELECT value FROM json_each(excluded.predicates) ORDER BY value))",
            |mut row, given| {
                let mut list: Vec<i64> = given.predicates.iter().filter_map(|p| codes.get(p).copied()).collect();
                list.sort_unstable();
                // Unwrap safety: numbers always serialise.
                let list = serde_json::to_string(&list).unwrap_or_default();
                row.push_bind(entity_type.code()).push_bind(given.uri.clone());
                row.push_bind(given.mark.0.to_vec()).push_bind(list).push_bind(i64::from(given.brought));
            },
        )
        .await
        .map_err(&sql)?;
        tx.commit().await
    }

    /// Forgets that entities were given under a type. What is known under another type as well remembers that TAO had
    /// nothing of it before.
    pub async fn projection_forget(&self, entity_type: EntityType, uris: &[&str]) -> Result<(), StoreError> {
        let mut tx = self.write("projection_forget", Durability::Relaxed).await?;
        let sql = tx.sql();
        for statement in [
            "UPDATE tao_given SET brought = 1 WHERE type <> $1 AND uri IN (SELECT g.uri FROM json_each($2) j
                 CROSS JOIN tao_given g ON g.type = $1 AND g.uri = j.value WHERE g.brought = 1)",
            "DELETE FROM tao_given WHERE type = $1 AND uri IN (SELECT value FROM json_each($2))",
            "DELETE FROM tao_import WHERE $1 = 6 AND delivery IN (SELECT value FROM json_each($2))",
        ] {
            let query = sqlx::query(statement).bind(entity_type.code());
            let query = query.bind(rows::text_array(uris.iter().copied()));
            query.execute(tx.conn()).await.map_err(&sql)?;
        }
        tx.commit().await
    }

    /// Lets every entity be compared with TAO's database again: it was changed by somebody else. What was ever given is
    /// remembered.
    pub async fn projection_doubt(&self) -> Result<(), StoreError> {
        let mut tx = self.write("projection_doubt", Durability::Flushed).await?;
        let sql = tx.sql();
        sqlx::query("UPDATE tao_given SET mark = x''").execute(tx.conn()).await.map_err(sql)?;
        tx.commit().await
    }

    /// Entities of a type that were given and that no org here holds any more, in the order of their URIs.
    pub async fn projection_gone(&self, entity_type: EntityType) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "SELECT g.uri FROM tao_given g WHERE g.type = $1 AND NOT EXISTS
                 (SELECT 1 FROM replica_entry e WHERE e.uri = g.uri AND e.type = g.type) ORDER BY g.uri",
        )
        .bind(entity_type.code())
        .fetch_all(&self.pools.readers)
        .await
        .map_err(StoreError::sql("projection_gone"))
    }
}

async fn given<'a>(
    conn: &mut SqliteConnection,
    entity_type: EntityType,
    uris: impl Iterator<Item = &'a String>,
) -> Result<HashMap<String, Vec<u8>>, sqlx::Error> {
    let found: Vec<(String, Vec<u8>)> = sqlx::query_as(
        "SELECT g.uri, g.mark FROM json_each($2) j CROSS JOIN tao_given g ON g.type = $1 AND g.uri = j.value",
    )
    .bind(entity_type.code())
    .bind(rows::text_array(uris.map(String::as_str)))
    .fetch_all(conn)
    .await?;
    Ok(found.into_iter().collect())
}

/// Adds the links of these entities, and the values that count because the other side's removal is held. Says how many
/// links each has.
async fn add_links(
    snapshot: &mut Snapshot,
    hashers: &mut BTreeMap<String, blake3::Hasher>,
) -> Result<HashMap<String, u64>, StoreError> {
    let sql = snapshot.sql();
    let mut numbers = HashMap::new();
    let keys: Vec<Uuid> = hashers.keys().map(|uri| owner_key(uri)).collect();
    let links: Vec<(String, i64, i64, Uuid)> = sqlx::query_as(
        "SELECT l.owner, l.scope, l.predicate, l.value_key FROM replica_scope s CROSS JOIN json_each($1) j
         CROSS JOIN replica_link l ON l.scope = s.id AND l.owner_key = unhex(j.value)
         ORDER BY l.owner, l.scope, l.predicate, l.value_key",
    )
    .bind(rows::id_array(&keys))
    .fetch_all(snapshot.conn())
    .await
    .map_err(&sql)?;
    for (owner, scope, predicate, key) in links {
        let Some(hasher) = hashers.get_mut(&owner) else { continue };
        hasher.update(&scope.to_le_bytes()).update(&predicate.to_le_bytes()).update(key.as_bytes());
        *numbers.entry(owner).or_default() += 1;
    }
    let held: Vec<(String, i64, String, String)> = sqlx::query_as(
        "SELECT v.owner, v.scope, v.predicate, v.value FROM held_value v
         WHERE v.owner IN (SELECT value FROM json_each($1)) AND EXISTS
             (SELECT 1 FROM held_removal h WHERE h.scope = v.scope AND h.uri = v.value)
         ORDER BY v.owner, v.scope, v.predicate, v.value",
    )
    .bind(rows::text_array(hashers.keys().map(String::as_str)))
    .fetch_all(snapshot.conn())
    .await
    .map_err(&sql)?;
    for (owner, scope, predicate, value) in held {
        let Some(hasher) = hashers.get_mut(&owner) else { continue };
        part(hasher, &scope.to_le_bytes());
        part(hasher, predicate.as_bytes());
        part(hasher, value.as_bytes());
    }
    Ok(numbers)
}

/// Adds bytes so that no two lists of parts look the same.
fn part(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
}
