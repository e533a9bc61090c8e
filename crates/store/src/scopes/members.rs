//! Who belongs to which org, by the rules of WIRE §2: derived from relations alone, so that a full rebuild and a small
//! change use the same statements.

use std::collections::{HashMap, HashSet};

use sqlx::SqliteConnection;
use taosync_model::vocabulary as v;
use taosync_model::{Digest, EntityType};
use uuid::Uuid;

use super::register::Scopes;
use super::{Effects, Moves, Touched, Word};
use crate::predicates::relation_code;
use crate::rows;

/// Rows of a page of keys.
const KEYS: usize = 20_000;

/// Finds who came and went after a change.
pub(super) async fn find(
    conn: &mut SqliteConnection,
    scopes: &Scopes,
    effects: &Effects,
    touched: &HashMap<Uuid, &Touched>,
) -> Result<Moves, sqlx::Error> {
    let mut moves = Moves::default();
    for entity_type in [EntityType::TestCenter, EntityType::Administrator, EntityType::Proctor, EntityType::Eligibility]
    {
        let mut candidates = of_type(touched, entity_type);
        if entity_type == EntityType::TestCenter {
            candidates.extend(&effects.centers);
        } else {
            candidates.extend(owners(conn, center_relation(entity_type), &effects.centers).await?);
        }
        step(conn, scopes, touched, entity_type, &candidates, &mut moves).await?;
    }
    let moved: Vec<Uuid> = moves
        .entered
        .iter()
        .chain(&moves.left)
        .filter(|(_, t, _)| *t == EntityType::Eligibility)
        .map(|&(_, _, id)| id)
        .collect();
    for (entity_type, predicate, noted) in [
        (EntityType::TestTaker, v::ELIGIBLE_TEST_TAKER, &effects.takers),
        (EntityType::Delivery, v::ELIGIBLE_DELIVERY, &effects.deliveries),
    ] {
        let mut candidates = of_type(touched, entity_type);
        candidates.extend(noted);
        candidates.extend(targets(conn, relation_code(predicate), &moved).await?);
        step(conn, scopes, touched, entity_type, &candidates, &mut moves).await?;
    }
    Ok(moves)
}

async fn step(
    conn: &mut SqliteConnection,
    scopes: &Scopes,
    touched: &HashMap<Uuid, &Touched>,
    entity_type: EntityType,
    candidates: &HashSet<Uuid>,
    moves: &mut Moves,
) -> Result<(), sqlx::Error> {
    if candidates.is_empty() {
        return Ok(());
    }
    let candidates: Vec<Uuid> = candidates.iter().copied().collect();
    let mut known = HashMap::new();
    let mut desired = HashSet::new();
    for part in candidates.chunks(KEYS) {
        let keys = rows::id_array(part);
        known.extend(words(conn, entity_type, &keys).await?);
        desired.extend(members(conn, entity_type, Some(&keys)).await?);
    }
    if let Some(everything) = scopes.everything() {
        // Membership of the unscoped scope depends on the entity alone: who is not touched stays as it is.
        for id in &candidates {
            let belongs = match touched.get(id) {
                Some(t) => t.new_types & entity_type.bit() != 0,
                None => known.get(&(everything, *id)).is_some_and(|w| w.present),
            };
            if belongs {
                desired.insert((everything, *id));
            }
        }
    }
    moves.compare(entity_type, known, &desired);
    Ok(())
}

fn of_type(touched: &HashMap<Uuid, &Touched>, entity_type: EntityType) -> HashSet<Uuid> {
    let has = |t: &&&Touched| (t.old_types | t.new_types) & entity_type.bit() != 0;
    touched.values().filter(has).map(|t| t.id).collect()
}

/// The relation that ties a type to its center.
fn center_relation(entity_type: EntityType) -> i64 {
    relation_code(match entity_type {
        EntityType::Administrator => v::ADMINISTRATOR_OF,
        EntityType::Proctor => v::ASSIGNED_PROCTOR,
        _ => v::ELIGIBLE_TEST_CENTER,
    })
}

async fn owners(conn: &mut SqliteConnection, predicate: i64, targets: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(
        "SELECT r.owner FROM json_each($1) j CROSS JOIN relation r ON r.target = unhex(j.value) AND r.predicate = $2",
    )
    .bind(rows::id_array(targets))
    .bind(predicate)
    .fetch_all(conn)
    .await
}

async fn targets(conn: &mut SqliteConnection, predicate: i64, owners: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    if owners.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(
        "SELECT r.target FROM json_each($1) j CROSS JOIN relation r ON r.owner = unhex(j.value) AND r.predicate = $2",
    )
    .bind(rows::id_array(owners))
    .bind(predicate)
    .fetch_all(conn)
    .await
}

/// What is stored about these entities.
pub(super) async fn words(
    conn: &mut SqliteConnection,
    entity_type: EntityType,
    keys: &str,
) -> Result<HashMap<(i64, Uuid), Word>, sqlx::Error> {
    let found: Vec<(i64, Uuid, bool, bool, Vec<u8>)> = sqlx::query_as(
        "SELECT e.scope, e.entity, e.present, e.filtered, e.digest
         FROM json_each($1) j CROSS JOIN scope_entry e ON e.entity = unhex(j.value) WHERE e.type = $2",
    )
    .bind(keys)
    .bind(entity_type.code())
    .fetch_all(conn)
    .await?;
    Ok(found
        .into_iter()
        .map(|(scope, entity, present, filtered, digest)| {
            let digest = Digest::from_slice(&digest).unwrap_or_default();
            ((scope, entity), Word { present, filtered, digest })
        })
        .collect())
}

/// Members tied to a center themselves; `$from` brings the relation `r`.
macro_rules! members_by_center {
    ($from:literal) => {
        concat!(
            "SELECT DISTINCT s.id, r.owner FROM ",
            $from,
            " CROSS JOIN entity e ON e.id = r.owner AND (e.types & $2) <> 0
             CROSS JOIN entity c ON c.id = r.target AND (c.types & 2) <> 0
             CROSS JOIN center_org o ON o.center = r.target
             CROSS JOIN scope s ON s.org = o.org
             WHERE r.predicate = $3"
        )
    };
}

/// Members named by an eligibility of a center; `$from` brings the relation `r`.
macro_rules! members_by_eligibility {
    ($from:literal) => {
        concat!(
            "SELECT DISTINCT s.id, r.target FROM ",
            $from,
            " CROSS JOIN entity e ON e.id = r.target AND (e.types & $2) <> 0
             CROSS JOIN entity l ON l.id = r.owner AND (l.types & 32) <> 0
             CROSS JOIN relation rc ON rc.owner = r.owner AND rc.predicate = 8
             CROSS JOIN entity c ON c.id = rc.target AND (c.types & 2) <> 0
             CROSS JOIN center_org o ON o.center = rc.target
             CROSS JOIN scope s ON s.org = o.org
             WHERE r.predicate = $3"
        )
    };
}

/// Who should be present in the orgs (not in the unscoped scope): among these keys, or everybody.
pub(super) async fn members(
    conn: &mut SqliteConnection,
    entity_type: EntityType,
    keys: Option<&str>,
) -> Result<Vec<(i64, Uuid)>, sqlx::Error> {
    let some = keys.is_some();
    let (statement, predicate) = match entity_type {
        EntityType::TestCenter if some => (
            "SELECT s.id, o.center FROM json_each($1) j CROSS JOIN center_org o ON o.center = unhex(j.value)
             CROSS JOIN entity e ON e.id = o.center AND (e.types & $2) <> 0 CROSS JOIN scope s ON s.org = o.org WHERE $3 = 0",
            0,
        ),
        EntityType::TestCenter => (
            "SELECT s.id, o.center FROM center_org o JOIN entity e ON e.id = o.center AND (e.types & $2) <> 0
             JOIN scope s ON s.org = o.org WHERE $1 IS NULL AND $3 = 0",
            0,
        ),
        EntityType::Administrator | EntityType::Proctor | EntityType::Eligibility => {
            let statement = if some {
                members_by_center!("json_each($1) j CROSS JOIN relation r ON r.owner = unhex(j.value)")
            } else {
                members_by_center!("(SELECT $1) unused CROSS JOIN relation r")
            };
            (statement, center_relation(entity_type))
        }
        EntityType::TestTaker | EntityType::Delivery => {
            let statement = if some {
                members_by_eligibility!("json_each($1) j CROSS JOIN relation r ON r.target = unhex(j.value)")
            } else {
                members_by_eligibility!("(SELECT $1) unused CROSS JOIN relation r")
            };
            let predicate =
                if entity_type == EntityType::TestTaker { v::ELIGIBLE_TEST_TAKER } else { v::ELIGIBLE_DELIVERY };
            (statement, relation_code(predicate))
        }
        EntityType::Class | EntityType::SyncManager => return Ok(Vec::new()),
    };
    sqlx::query_as(statement).bind(keys).bind(entity_type.bit()).bind(predicate).fetch_all(conn).await
}
