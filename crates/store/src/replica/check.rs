//! Recomputing what a replica says of itself: bodies, links and sums. In slices, each with a short picture of the
//! database of its own, as at central ([`crate::scopes::ScopeCheck`]).

use std::collections::VecDeque;

use futures_util::TryStreamExt as _;
use taosync_model::canonical::{entity_digest, entry_member, link_member};
use taosync_model::{Digest, EntityType, OrgId, SetDigest};
use uuid::Uuid;

use crate::intact::Slice;
use crate::{Store, StoreError, predicates};

/// Rows of a slice.
const ROWS: i64 = 500;
/// Bytes of bodies in a slice, about.
const BYTES: usize = 1024 * 1024;

/// Something stored that is not what central's digest said.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ReplicaProblem {
    /// The org.
    pub org: OrgId,
    /// The entity or counter.
    pub what: String,
    /// What is wrong with it.
    pub problem: String,
}

/// A check of all replicas on its way.
pub struct ReplicaCheck<'a> {
    store: &'a Store,
    todo: VecDeque<(Seat, Step)>,
}

/// A replica that is looked at.
#[derive(Clone, Debug)]
struct Seat {
    scope: i64,
    org: OrgId,
}

/// Key of a link, in the order of its table.
type LinkPlace = (Uuid, i64, Uuid);

/// What one slice looks at.
#[derive(Debug)]
enum Step {
    /// Entities of a type, after this one.
    Entries(EntityType, Uuid),
    /// Links after this one.
    Links(LinkPlace),
    /// The sum and the counts of a type.
    Sums(EntityType),
}

/// What a slice gave, and where it goes on.
struct Looked {
    slice: Slice<ReplicaProblem>,
    next: Option<Step>,
}

impl Store {
    /// Recomputes every digest from stored bodies and every sum from stored links; names every difference.
    pub async fn replica_check(&self) -> Result<Vec<ReplicaProblem>, StoreError> {
        let mut problems = Vec::new();
        let mut check = self.replica_check_begin().await?;
        while let Some(slice) = check.next().await? {
            problems.extend(slice.problems);
        }
        Ok(problems)
    }

    /// The same in slices, so that others can work and rest between them.
    pub async fn replica_check_begin(&self) -> Result<ReplicaCheck<'_>, StoreError> {
        let mut todo = VecDeque::new();
        for replica in self.replicas_list().await? {
            let seat = Seat { scope: replica.id, org: replica.org };
            let entries = EntityType::FEED.map(|entity_type| Step::Entries(entity_type, Uuid::nil()));
            let links = Step::Links((Uuid::nil(), 0, Uuid::nil()));
            let steps = entries.into_iter().chain([links]).chain(EntityType::FEED.map(Step::Sums));
            todo.extend(steps.map(|step| (seat.clone(), step)));
        }
        Ok(ReplicaCheck { store: self, todo })
    }
}

impl ReplicaCheck<'_> {
    /// Looks at the next slice; none at the end.
    pub async fn next(&mut self) -> Result<Option<Slice<ReplicaProblem>>, StoreError> {
        let Some((seat, step)) = self.todo.pop_front() else { return Ok(None) };
        let looked = match step {
            Step::Entries(entity_type, after) => self.store.check_replica_entries(&seat, entity_type, after).await?,
            Step::Links(after) => self.store.check_replica_links(&seat, after).await?,
            Step::Sums(entity_type) => self.store.check_replica_sums(&seat, entity_type).await?,
        };
        if let Some(next) = looked.next {
            self.todo.push_front((seat, next));
        }
        Ok(Some(looked.slice))
    }
}

impl Seat {
    fn problem(&self, what: impl Into<String>, problem: &str) -> ReplicaProblem {
        ReplicaProblem { org: self.org.clone(), what: what.into(), problem: problem.to_owned() }
    }
}

impl Store {
    async fn check_replica_entries(
        &self,
        seat: &Seat,
        entity_type: EntityType,
        after: Uuid,
    ) -> Result<Looked, StoreError> {
        let mut snapshot = self.read("check_replica_entries").await?;
        let sql = snapshot.sql();
        let mut found = sqlx::query_as::<_, (Uuid, String, Vec<u8>, Vec<u8>)>(
            "SELECT id, uri, digest, body FROM replica_entry WHERE type = $1 AND id > $2 AND scope = $3
             ORDER BY type, id LIMIT $4",
        )
        .bind(entity_type.code())
        .bind(after)
        .bind(seat.scope)
        .bind(ROWS)
        .fetch(snapshot.conn());
        let (mut slice, mut last, mut bytes) = (Slice::default(), None, 0);
        while let Some((id, uri, digest, sealed)) = found.try_next().await.map_err(&sql)? {
            match self.open_replica(id, &sealed) {
                Err(_) => {
                    slice.problems.push(seat.problem(uri, "its stored body is damaged or sealed with another key"));
                }
                Ok(body) if entity_digest(&body).0[..] != digest[..] || body.uri != uri => {
                    slice.problems.push(seat.problem(uri, "has another digest than its stored body gives"));
                }
                Ok(_) => {}
            }
            slice.rows += 1;
            bytes += sealed.len();
            last = Some(id);
            if bytes >= BYTES {
                break;
            }
        }
        Ok(Looked { slice, next: last.map(|after| Step::Entries(entity_type, after)) })
    }

    async fn check_replica_links(&self, seat: &Seat, after: LinkPlace) -> Result<Looked, StoreError> {
        let mut snapshot = self.read("check_replica_links").await?;
        let sql = snapshot.sql();
        let names = predicates::names(snapshot.conn()).await.map_err(&sql)?;
        let found: Vec<(Uuid, i64, Uuid, String, Vec<u8>)> = sqlx::query_as(
            "SELECT owner_key, predicate, value_key, owner, value FROM replica_link
             WHERE scope = $1 AND (owner_key, predicate, value_key) > ($2, $3, $4)
             ORDER BY owner_key, predicate, value_key LIMIT $5",
        )
        .bind(seat.scope)
        .bind(after.0)
        .bind(after.1)
        .bind(after.2)
        .bind(ROWS)
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        let mut slice = Slice { rows: found.len() as u64, problems: Vec::new() };
        let next = found.last().map(|row| Step::Links((row.0, row.1, row.2)));
        for (place, code, key, owner, value) in found {
            let predicate = names.get(&code).map_or("", String::as_str);
            if self.open_link(place, &owner, predicate, key, value).is_err() {
                slice.problems.push(seat.problem(owner, "one of its links is damaged or sealed with another key"));
            }
        }
        Ok(Looked { slice, next })
    }

    /// In one picture that is walked and not kept: sum and members change together.
    async fn check_replica_sums(&self, seat: &Seat, entity_type: EntityType) -> Result<Looked, StoreError> {
        let mut snapshot = self.read("check_replica_sums").await?;
        let sql = snapshot.sql();
        let names = predicates::names(snapshot.conn()).await.map_err(&sql)?;
        let stored: Option<(Vec<u8>, i64, i64)> =
            sqlx::query_as("SELECT set_digest, count, links FROM replica_type WHERE scope = $1 AND type = $2")
                .bind(seat.scope)
                .bind(entity_type.code())
                .fetch_optional(snapshot.conn())
                .await
                .map_err(&sql)?;
        let (mut sum, mut count, mut links) = (SetDigest::EMPTY, 0_i64, 0_i64);
        let mut entries = sqlx::query_as::<_, (String, Vec<u8>)>(
            "SELECT uri, digest FROM replica_entry WHERE type = $1 AND scope = $2",
        )
        .bind(entity_type.code())
        .bind(seat.scope)
        .fetch(snapshot.conn());
        while let Some((uri, digest)) = entries.try_next().await.map_err(&sql)? {
            sum.add(entry_member(&uri, Digest::from_slice(&digest).unwrap_or_default()));
            count += 1;
        }
        drop(entries);
        let mut rows = sqlx::query_as::<_, (Uuid, i64, Uuid, String, Vec<u8>)>(
            "SELECT owner_key, predicate, value_key, owner, value FROM replica_link WHERE scope = $1 AND type = $2",
        )
        .bind(seat.scope)
        .bind(entity_type.code())
        .fetch(snapshot.conn());
        while let Some((place, code, key, owner, value)) = rows.try_next().await.map_err(&sql)? {
            let predicate = names.get(&code).map_or("", String::as_str);
            // One that does not open is named with its owner; the sum differs then.
            if let Ok(value) = self.open_link(place, &owner, predicate, key, value) {
                sum.add(link_member(&owner, predicate, &value));
            }
            links += 1;
        }
        drop(rows);
        let mut slice = Slice { rows: count.unsigned_abs() + links.unsigned_abs(), problems: Vec::new() };
        let counted = (sum.to_digest().0.to_vec(), count, links);
        // A replica that went while the others were looked at has neither.
        let is_right = stored.map_or(count == 0 && links == 0, |stored| stored == counted);
        if !is_right {
            let problem = "its sum or counts differ from its members: the next sync compares with central";
            slice.problems.push(seat.problem(format!("type {entity_type}"), problem));
        }
        Ok(Looked { slice, next: None })
    }
}
