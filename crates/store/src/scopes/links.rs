//! Which link rows an org sees: those of its members, to its members.

use std::collections::{HashMap, HashSet};

use sqlx::SqliteConnection;
use taosync_model::EntityType;
use taosync_model::scope::FieldChoices;
use uuid::Uuid;

use super::register::Scopes;
use super::{LinkKey, Moves};
use crate::{predicates, rows};

/// A link that comes to an org or leaves it.
#[derive(Debug)]
pub(crate) struct LinkVerdict {
    pub scope: i64,
    pub key: LinkKey,
    pub present: bool,
}

/// Finds the links that come and go.
pub(super) async fn find(
    conn: &mut SqliteConnection,
    scopes: &Scopes,
    fields: &FieldChoices,
    changed: &[LinkKey],
    moves: &Moves,
) -> Result<Vec<LinkVerdict>, sqlx::Error> {
    let moved: HashSet<Uuid> = moves.entered.iter().chain(&moves.left).map(|p| p.2).collect();
    let mut candidates: HashSet<LinkKey> = changed.iter().copied().collect();
    let ids: Vec<Uuid> = moved.into_iter().collect();
    for part in ids.chunks(20_000) {
        candidates.extend(links_around(conn, &rows::id_array(part)).await?);
    }
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let candidates: Vec<LinkKey> = candidates.into_iter().collect();
    let mut exists = existing(conn, &candidates).await?;
    drop_unchosen(conn, fields, &mut exists).await?;
    let owners: HashSet<Uuid> = candidates.iter().map(|k| k.owner).collect();
    let ends: HashSet<Uuid> = owners.into_iter().chain(candidates.iter().map(|k| k.value)).collect();
    let members = moves.members_after(conn, ends).await?;
    let current = current(conn, scopes, &candidates, &members, moves).await?;
    let everything = scopes.everything();
    let mut verdicts = Vec::new();
    for &scope in scopes.orgs.keys() {
        for key in &candidates {
            let shown = exists.get(key).is_some_and(|is_relation| {
                members.contains(&(scope, key.owner))
                    && (!is_relation || Some(scope) == everything || members.contains(&(scope, key.value)))
            });
            if shown != current.contains(&(scope, *key)) {
                verdicts.push(LinkVerdict { scope, key: *key, present: shown });
            }
        }
    }
    Ok(verdicts)
}

/// Drops links of predicates that the choice of the owner's first type leaves out.
async fn drop_unchosen(
    conn: &mut SqliteConnection,
    fields: &FieldChoices,
    exists: &mut HashMap<LinkKey, bool>,
) -> Result<(), sqlx::Error> {
    let names = predicates::names(conn).await?;
    let owners: Vec<Uuid> = exists.keys().map(|k| k.owner).collect::<HashSet<_>>().into_iter().collect();
    let mut types: HashMap<Uuid, i64> = HashMap::new();
    for part in owners.chunks(20_000) {
        let found: Vec<(Uuid, i64)> =
            sqlx::query_as("SELECT e.id, e.types FROM json_each($1) j CROSS JOIN entity e ON e.id = unhex(j.value)")
                .bind(rows::id_array(part))
                .fetch_all(&mut *conn)
                .await?;
        types.extend(found);
    }
    exists.retain(|key, _| {
        let bits = types.get(&key.owner).copied().unwrap_or(0);
        names.get(&key.predicate).is_some_and(|predicate| is_chosen(fields, bits, predicate))
    });
    Ok(())
}

/// Whether links of a predicate travel for an owner of these types: its first type decides.
pub(super) fn is_chosen(fields: &FieldChoices, types: i64, predicate: &str) -> bool {
    EntityType::from_bits(types).next().is_none_or(|first| fields.of(first).carries(predicate))
}

/// All links there are, for a change of the choice of fields.
pub(super) async fn all(conn: &mut SqliteConnection) -> Result<Vec<LinkKey>, sqlx::Error> {
    let found: Vec<(Uuid, i64, Uuid)> = sqlx::query_as(
        "SELECT owner, predicate, target FROM relation WHERE linked = 1
         UNION ALL SELECT owner, predicate, value_id FROM literal_link WHERE gone = 0",
    )
    .fetch_all(conn)
    .await?;
    Ok(found.into_iter().map(|(owner, predicate, value)| LinkKey { owner, predicate, value }).collect())
}

/// Links of these owners, and links to these targets.
async fn links_around(conn: &mut SqliteConnection, keys: &str) -> Result<Vec<LinkKey>, sqlx::Error> {
    let found: Vec<(Uuid, i64, Uuid)> = sqlx::query_as(
        "SELECT r.owner, r.predicate, r.target FROM json_each($1) j
           CROSS JOIN relation r ON r.owner = unhex(j.value) AND r.linked = 1
         UNION SELECT r.owner, r.predicate, r.target FROM json_each($1) j
           CROSS JOIN relation r ON r.target = unhex(j.value) AND r.linked = 1
         UNION SELECT l.owner, l.predicate, l.value_id FROM json_each($1) j
           CROSS JOIN literal_link l ON l.owner = unhex(j.value) AND l.gone = 0",
    )
    .bind(keys)
    .fetch_all(conn)
    .await?;
    Ok(found.into_iter().map(|(owner, predicate, value)| LinkKey { owner, predicate, value }).collect())
}

/// Which of these links are true now; the value says whether it is a relation (and not a literal).
async fn existing(conn: &mut SqliteConnection, candidates: &[LinkKey]) -> Result<HashMap<LinkKey, bool>, sqlx::Error> {
    let mut exists = HashMap::new();
    for part in candidates.chunks(20_000) {
        let found: Vec<(Uuid, i64, Uuid, bool)> = sqlx::query_as(
            "SELECT r.owner, r.predicate, r.target, 1 FROM json_each($1) j CROSS JOIN relation r
               ON r.owner = unhex(j.value ->> 0) AND r.predicate = j.value ->> 1 AND r.target = unhex(j.value ->> 2)
             WHERE r.linked = 1
             UNION ALL SELECT l.owner, l.predicate, l.value_id, 0 FROM json_each($1) j CROSS JOIN literal_link l
               ON l.owner = unhex(j.value ->> 0) AND l.predicate = j.value ->> 1 AND l.value_id = unhex(j.value ->> 2)
             WHERE l.gone = 0",
        )
        .bind(rows::key_array(part.iter().map(|k| (k.owner, k.predicate, k.value))))
        .fetch_all(&mut *conn)
        .await?;
        exists.extend(
            found
                .into_iter()
                .map(|(owner, predicate, value, relation)| (LinkKey { owner, predicate, value }, relation)),
        );
    }
    Ok(exists)
}

/// Which of these links are present in which scope. Only scopes where the owner is or was a member can have any.
async fn current(
    conn: &mut SqliteConnection,
    scopes: &Scopes,
    candidates: &[LinkKey],
    members: &HashSet<(i64, Uuid)>,
    moves: &Moves,
) -> Result<HashSet<(i64, LinkKey)>, sqlx::Error> {
    let was: HashSet<(i64, Uuid)> = moves.left.iter().map(|&(scope, _, id)| (scope, id)).collect();
    let mut current = HashSet::new();
    for &scope in scopes.orgs.keys() {
        let possible: Vec<LinkKey> = candidates
            .iter()
            .copied()
            .filter(|k| members.contains(&(scope, k.owner)) || was.contains(&(scope, k.owner)))
            .collect();
        for part in possible.chunks(20_000) {
            // CROSS JOIN keeps the order: SQLite thinks an array is short, and would walk all links for each.
            let found: Vec<(Uuid, i64, Uuid)> = sqlx::query_as(
                "SELECT l.owner, l.predicate, l.value_id FROM json_each($1) j CROSS JOIN scope_link l
                   ON l.scope = $2 AND l.owner = unhex(j.value ->> 0) AND l.predicate = j.value ->> 1
                   AND l.value_id = unhex(j.value ->> 2)
                 WHERE l.present = 1",
            )
            .bind(rows::key_array(part.iter().map(|k| (k.owner, k.predicate, k.value))))
            .bind(scope)
            .fetch_all(&mut *conn)
            .await?;
            current.extend(
                found.into_iter().map(|(owner, predicate, value)| (scope, LinkKey { owner, predicate, value })),
            );
        }
    }
    Ok(current)
}
