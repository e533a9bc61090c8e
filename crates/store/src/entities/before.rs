//! What stands before a change: the rows, relations and links of the entities it speaks of.

use std::collections::{HashMap, HashSet};

use sqlx::SqliteConnection;
use taosync_model::Digest;
use uuid::Uuid;

use crate::rows;

/// An entity row as it stands before the change.
#[derive(Clone)]
pub(super) struct Known {
    pub id: Uuid,
    pub types: i64,
    pub class: Option<Uuid>,
    pub digest: Option<Digest>,
}

pub(super) async fn read_rows(
    conn: &mut SqliteConnection,
    uris: &HashSet<&str>,
) -> Result<HashMap<String, Known>, sqlx::Error> {
    let mut known = HashMap::new();
    let uris: Vec<&str> = uris.iter().copied().collect();
    for part in uris.chunks(20_000) {
        let found: Vec<(String, Uuid, i64, Option<Uuid>, Option<Vec<u8>>)> = sqlx::query_as(
            "SELECT e.uri, e.id, e.types, e.class, e.digest FROM json_each($1) j CROSS JOIN entity e ON e.uri = j.value",
        )
        .bind(rows::text_array(part.iter().copied()))
        .fetch_all(&mut *conn)
        .await?;
        known.extend(found.into_iter().map(|(uri, id, types, class, digest)| {
            let digest = digest.and_then(|d| Digest::from_slice(&d).ok());
            (uri, Known { id, types, class, digest })
        }));
    }
    Ok(known)
}

pub(super) async fn relations_of(
    conn: &mut SqliteConnection,
    existing: &[Uuid],
) -> Result<HashMap<Uuid, HashSet<(i64, Uuid, bool)>>, sqlx::Error> {
    let mut relations: HashMap<Uuid, HashSet<_>> = HashMap::new();
    for part in existing.chunks(20_000) {
        let found: Vec<(Uuid, i64, Uuid, bool)> = sqlx::query_as(
            "SELECT r.owner, r.predicate, r.target, r.linked FROM json_each($1) j CROSS JOIN relation r ON r.owner = unhex(j.value)",
        )
        .bind(rows::id_array(part))
        .fetch_all(&mut *conn)
        .await?;
        for (owner, predicate, target, linked) in found {
            relations.entry(owner).or_default().insert((predicate, target, linked));
        }
    }
    Ok(relations)
}

pub(super) async fn literals_of(
    conn: &mut SqliteConnection,
    existing: &[Uuid],
) -> Result<HashMap<Uuid, HashSet<(i64, Uuid)>>, sqlx::Error> {
    let mut literals: HashMap<Uuid, HashSet<_>> = HashMap::new();
    for part in existing.chunks(20_000) {
        let found: Vec<(Uuid, i64, Uuid)> = sqlx::query_as(
            "SELECT l.owner, l.predicate, l.value_id FROM json_each($1) j CROSS JOIN literal_link l ON l.owner = unhex(j.value)
             WHERE l.gone = 0",
        )
        .bind(rows::id_array(part))
        .fetch_all(&mut *conn)
        .await?;
        for (owner, predicate, value_id) in found {
            literals.entry(owner).or_default().insert((predicate, value_id));
        }
    }
    Ok(literals)
}
