//! Entities: their digests follow from their bodies, and they are listed in the orgs that their relations name.

use std::collections::{HashMap, HashSet};

use futures_util::TryStreamExt as _;
use taosync_model::canonical::entity_digest;
use taosync_model::{EntityType, OrgId};
use uuid::Uuid;

use super::{BYTES, Looked, ROWS, ScopeProblem, Seat, Step};
use crate::entities::change::shown_digest;
use crate::entities::checksum::unscoped_checksum;
use crate::intact::Slice;
use crate::scopes::{classes, members, register};
use crate::tx::Snapshot;
use crate::{Store, StoreError, rows};

/// A row of the table, with the URI of the class it names.
type Row = (Uuid, String, i64, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>, Option<String>, Option<Vec<u8>>, i64);

/// An entity of a slice.
struct Known {
    uri: String,
    types: i64,
}

impl Store {
    pub(super) async fn check_entities(&self, after: Uuid) -> Result<Looked, StoreError> {
        let mut snapshot = self.read("check_entities").await?;
        let sql = snapshot.sql();
        let mut slice = Slice::default();
        let mut known: HashMap<Uuid, Known> = HashMap::new();
        let (mut last, mut bytes) = (None, 0);
        let mut found = sqlx::query_as::<_, Row>(
            "SELECT e.id, e.uri, e.types, e.digest, e.shown, e.body, c.uri, e.tao_md5, e.links FROM entity e
             LEFT JOIN entity c ON c.id = e.class WHERE e.id > $1 ORDER BY e.id LIMIT $2",
        )
        .bind(after)
        .bind(ROWS)
        .fetch(snapshot.conn());
        while let Some(row) = found.try_next().await.map_err(&sql)? {
            let (id, uri, types) = (row.0, row.1.clone(), row.2);
            bytes += row.5.as_ref().map_or(0, Vec::len);
            let problem = |problem: &str| ScopeProblem { org: None, what: uri.clone(), problem: problem.to_owned() };
            slice.problems.extend(self.row_problems(row).into_iter().map(problem));
            slice.rows += 1;
            last = Some(id);
            known.insert(id, Known { uri, types });
            if bytes >= BYTES {
                break;
            }
        }
        drop(found);
        slice.problems.extend(misplaced(&mut snapshot, &known).await?);
        Ok(Looked { slice, next: last.map(|after| Step::Entities { after }) })
    }

    fn row_problems(&self, (id, _, types, digest, shown, sealed, class, checksum, links): Row) -> Vec<&'static str> {
        let Some(sealed) = sealed else { return Vec::new() };
        let Ok(body) = self.open_body(id, &sealed) else {
            return vec!["its stored body is damaged or sealed with another key"];
        };
        let mut problems = Vec::new();
        if digest.as_deref() != Some(&entity_digest(&body).0[..]) {
            problems.push("has another digest than its stored body gives");
        }
        if shown.as_deref() != Some(&shown_digest(&body, types, None, self.fields()).0[..]) {
            problems.push("has another travelling digest than its stored body gives");
        }
        // With long lists it depends on their rows too.
        let is_right = |checksum: &[u8]| checksum == unscoped_checksum(&body, &[], types, self.fields()).0;
        if links == 0 && !checksum.as_deref().is_some_and(is_right) {
            problems.push("has another TAO checksum than its stored body gives");
        }
        if class.as_ref() != Some(&body.class) {
            problems.push("has another class than its stored body gives");
        }
        problems
    }

    /// Classes of an org: those of its members and what is above them.
    pub(super) async fn check_classes(&self, seat: &Seat) -> Result<Looked, StoreError> {
        let mut snapshot = self.read("check_classes").await?;
        let sql = snapshot.sql();
        let tree = classes::read_tree(snapshot.conn()).await.map_err(&sql)?;
        let class = EntityType::Class.code();
        let wanted = if seat.org.is_everything() {
            tree.classes.clone()
        } else {
            let direct: Vec<Uuid> = sqlx::query_scalar(
                "SELECT DISTINCT e.class FROM scope_entry s CROSS JOIN entity e ON e.id = s.entity
                 WHERE s.scope = $1 AND s.type <> $2 AND s.present = 1 AND e.class IS NOT NULL",
            )
            .bind(seat.scope)
            .bind(class)
            .fetch_all(snapshot.conn())
            .await
            .map_err(&sql)?;
            tree.upwards(direct.into_iter())
        };
        let listed: Vec<Uuid> =
            sqlx::query_scalar("SELECT entity FROM scope_entry WHERE scope = $1 AND type = $2 AND present = 1")
                .bind(seat.scope)
                .bind(class)
                .fetch_all(snapshot.conn())
                .await
                .map_err(&sql)?;
        let listed: HashSet<Uuid> = listed.into_iter().collect();
        let wrong: Vec<Uuid> = wanted.symmetric_difference(&listed).copied().collect();
        let uris: Vec<(Uuid, String)> =
            sqlx::query_as("SELECT e.id, e.uri FROM json_each($1) j CROSS JOIN entity e ON e.id = unhex(j.value)")
                .bind(rows::id_array(&wrong))
                .fetch_all(snapshot.conn())
                .await
                .map_err(&sql)?;
        let uris: HashMap<Uuid, String> = uris.into_iter().collect();
        let name = |id: &Uuid| uris.get(id).cloned().unwrap_or_else(|| id.to_string());
        let problems = wrong.iter().map(|id| seat.problem(name(id), place_problem(listed.contains(id)))).collect();
        Ok(Looked { slice: Slice { rows: listed.len() as u64, problems }, next: None })
    }
}

/// Entities that are listed where they do not belong, or not listed where they do.
async fn misplaced(snapshot: &mut Snapshot, known: &HashMap<Uuid, Known>) -> Result<Vec<ScopeProblem>, StoreError> {
    let sql = snapshot.sql();
    let keys = rows::id_array(known.keys());
    let everything: Option<i64> = sqlx::query_scalar("SELECT id FROM scope WHERE org = $1")
        .bind(OrgId::everything().as_str())
        .fetch_optional(snapshot.conn())
        .await
        .map_err(&sql)?;
    let mut wrong: Vec<(i64, Uuid, bool)> = Vec::new();
    for entity_type in EntityType::SYNCED {
        let words = members::words(snapshot.conn(), entity_type, &keys).await.map_err(&sql)?;
        let listed: HashSet<(i64, Uuid)> = words.into_iter().filter(|(_, w)| w.present).map(|(key, _)| key).collect();
        let found = members::members(snapshot.conn(), entity_type, Some(&keys)).await.map_err(&sql)?;
        let mut wanted: HashSet<(i64, Uuid)> = found.into_iter().collect();
        if let Some(everything) = everything {
            let of_type = known.iter().filter(|(_, e)| e.types & entity_type.bit() != 0);
            wanted.extend(of_type.map(|(&id, _)| (everything, id)));
        }
        wrong.extend(wanted.symmetric_difference(&listed).map(|key| (key.0, key.1, listed.contains(key))));
    }
    if wrong.is_empty() {
        return Ok(Vec::new());
    }
    let scopes = register::all(snapshot.conn()).await.map_err(sql)?;
    let problem = |(scope, id, is_listed): (i64, Uuid, bool)| ScopeProblem {
        org: scopes.orgs.get(&scope).cloned(),
        what: known.get(&id).map_or_else(|| id.to_string(), |e| e.uri.clone()),
        problem: place_problem(is_listed).to_owned(),
    };
    Ok(wrong.into_iter().map(problem).collect())
}

const fn place_problem(is_listed: bool) -> &'static str {
    if is_listed {
        "is listed in this org but does not belong there"
    } else {
        "belongs to this org but is not listed there"
    }
}
