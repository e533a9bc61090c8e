//! Reading the feed of one org: pages in short read transactions, never while bytes go to the network (DESIGN §4).

mod items;
mod named;

use std::collections::{BTreeMap, HashMap, HashSet};

use taosync_model::scope::Positions;
use taosync_model::{Digest, EntityType, OrgId, Value};
use uuid::Uuid;

use crate::predicates;
use crate::scopes::views;
use crate::tx::Snapshot;
use crate::{Store, StoreError};

pub use items::{Found, LinkId};
pub use named::Standing;

/// Rows of a page at most.
pub const PAGE_ROWS: i64 = 1_000;

/// Where the feed of an org stands.
#[derive(Clone, Debug)]
pub struct FeedState {
    /// Row number of the scope.
    pub scope: i64,
    /// Identity of this history.
    pub epoch: Uuid,
    /// Per type.
    pub types: BTreeMap<EntityType, TypeState>,
}

/// Where one type of a feed stands.
#[derive(Clone, Copy, Debug)]
pub struct TypeState {
    /// Number of the newest change.
    pub last_seq: i64,
    /// Changes at or below this number may have been forgotten.
    pub floor: i64,
    /// Present entities.
    pub count: i64,
    /// Present links.
    pub links: i64,
    /// Sum of the members' hashes.
    pub digest: Digest,
    /// Removals up to this number may be applied without asking.
    pub removals_approved_through: i64,
}

/// How much lies after a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// Entities and links that are new or changed.
    pub upserts: i64,
    /// Entities that are gone.
    pub removals: i64,
}

/// One word of a feed.
#[derive(Clone, Debug)]
pub enum Row {
    /// This is now so: the entity's JSON as the org sees it.
    Upsert {
        /// Number.
        seq: i64,
        /// JSON of the entity.
        body: Vec<u8>,
    },
    /// This link came (or, not present, went).
    Link {
        /// Number.
        seq: i64,
        /// URI of the owner.
        owner: String,
        /// Predicate URI.
        predicate: String,
        /// Value.
        value: Value,
        /// Whether it came.
        present: bool,
    },
    /// This is gone.
    Remove {
        /// Number.
        seq: i64,
        /// URI.
        uri: String,
    },
}

impl Row {
    /// The row's number.
    pub const fn seq(&self) -> i64 {
        match self {
            Self::Upsert { seq, .. } | Self::Link { seq, .. } | Self::Remove { seq, .. } => *seq,
        }
    }
}

/// Some rows of one type in order, and the position after them.
#[derive(Debug)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Row>,
    /// Everything up to here is in this page or the ones before.
    pub through: i64,
    /// Whether there may be more.
    pub more: bool,
}

type EntryRow = (i64, Uuid, bool, bool, String, Option<Vec<u8>>);
type LinkRow = (i64, Uuid, i64, Uuid, bool, String, Option<String>, Option<Vec<u8>>);

impl Store {
    /// Where an org's feed stands; `None` for an org nobody registered.
    pub async fn feed_state(&self, org: &OrgId) -> Result<Option<FeedState>, StoreError> {
        let mut snapshot = self.read("feed_state").await?;
        feed_state(&mut snapshot, org).await
    }

    /// How much lies after these positions, per type.
    pub async fn feed_ahead(&self, scope: i64, after: &Positions) -> Result<BTreeMap<EntityType, Ahead>, StoreError> {
        let mut snapshot = self.read("feed_ahead").await?;
        let sql = snapshot.sql();
        let mut ahead = BTreeMap::new();
        for entity_type in EntityType::FEED {
            let position = after.get(entity_type);
            let (entries, gone, links): (i64, i64, i64) = sqlx::query_as(
                "SELECT (SELECT count(*) FROM scope_entry WHERE scope = $1 AND type = $2 AND seq > $3 AND present = 1),
                        (SELECT count(*) FROM scope_entry WHERE scope = $1 AND type = $2 AND seq > $3 AND present = 0),
                        (SELECT count(*) FROM scope_link WHERE scope = $1 AND type = $2 AND seq > $3)",
            )
            .bind(scope)
            .bind(entity_type.code())
            .bind(position)
            .fetch_one(snapshot.conn())
            .await
            .map_err(&sql)?;
            let removals = if position == 0 { 0 } else { gone };
            ahead.insert(entity_type, Ahead { upserts: entries + links, removals });
        }
        Ok(ahead)
    }

    /// The next page of a type after a position. What is gone with a number of at most `gone_after` is left out: one
    /// who starts at 0 has nothing of it, but must hear what goes while he walks.
    pub async fn feed_page(
        &self,
        state: &FeedState,
        org: &OrgId,
        entity_type: EntityType,
        after: i64,
        gone_after: i64,
    ) -> Result<Page, StoreError> {
        let mut snapshot = self.read("feed_page").await?;
        self.page(&mut snapshot, state.scope, org, entity_type, after, gone_after).await
    }

    /// The closing look: the state, and what has appeared after these positions, in one picture. `None` when there is
    /// more than a page of it: walk again.
    pub async fn feed_close(
        &self,
        org: &OrgId,
        walked: &Positions,
        gone_after: &Positions,
        types: &[EntityType],
    ) -> Result<Option<(FeedState, BTreeMap<EntityType, Vec<Row>>)>, StoreError> {
        let mut snapshot = self.read("feed_close").await?;
        let Some(state) = feed_state(&mut snapshot, org).await? else { return Ok(None) };
        let mut late = BTreeMap::new();
        let mut total = 0;
        for &entity_type in types {
            let after = walked.get(entity_type);
            if state.types.get(&entity_type).is_none_or(|t| t.last_seq <= after) {
                continue;
            }
            let gone_after = gone_after.get(entity_type);
            let page = self.page(&mut snapshot, state.scope, org, entity_type, after, gone_after).await?;
            total += page.rows.len();
            if page.more || total > PAGE_ROWS as usize {
                return Ok(None);
            }
            late.insert(entity_type, page.rows);
        }
        Ok(Some((state, late)))
    }

    async fn page(
        &self,
        snapshot: &mut Snapshot,
        scope: i64,
        org: &OrgId,
        entity_type: EntityType,
        after: i64,
        gone_after: i64,
    ) -> Result<Page, StoreError> {
        let sql = snapshot.sql();
        let entries: Vec<EntryRow> = sqlx::query_as(
            "SELECT s.seq, s.entity, s.present, s.filtered, e.uri, CASE WHEN s.present = 1 THEN e.body END
             FROM scope_entry s JOIN entity e ON e.id = s.entity
             WHERE s.scope = $1 AND s.type = $2 AND s.seq > $3 AND (s.present = 1 OR s.seq > $5) ORDER BY s.seq LIMIT $4",
        )
        .bind(scope)
        .bind(entity_type.code())
        .bind(after)
        .bind(PAGE_ROWS)
        .bind(gone_after)
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        let links: Vec<LinkRow> = sqlx::query_as(
            "SELECT s.seq, s.owner, s.predicate, s.value_id, s.present, o.uri, t.uri, l.value
             FROM scope_link s JOIN entity o ON o.id = s.owner
             LEFT JOIN entity t ON t.id = s.value_id
             LEFT JOIN literal_link l ON l.owner = s.owner AND l.predicate = s.predicate AND l.value_id = s.value_id
             WHERE s.scope = $1 AND s.type = $2 AND s.seq > $3 AND (s.present = 1 OR s.seq > $5) ORDER BY s.seq LIMIT $4",
        )
        .bind(scope)
        .bind(entity_type.code())
        .bind(after)
        .bind(PAGE_ROWS)
        .bind(gone_after)
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        // Entries and links share their numbers: a page ends where the fuller of the two lists was cut.
        let cut = |full: bool, last: Option<i64>| last.filter(|_| full).unwrap_or(i64::MAX);
        let limit = cut(entries.len() as i64 == PAGE_ROWS, entries.last().map(|e| e.0))
            .min(cut(links.len() as i64 == PAGE_ROWS, links.last().map(|l| l.0)));
        let mut rows = self.entry_rows(snapshot, scope, org, entity_type, entries, limit).await?;
        let names =
            if links.is_empty() { HashMap::new() } else { predicates::names(snapshot.conn()).await.map_err(&sql)? };
        for (seq, _, predicate, value_id, present, owner, target, literal) in links.into_iter().filter(|l| l.0 <= limit)
        {
            let value = match (target, literal) {
                (Some(uri), _) => Value::plain(uri),
                (None, Some(sealed)) => self.open_literal(value_id, &sealed)?,
                (None, None) => return Err(StoreError::damaged(format!("a link of {owner}"))),
            };
            let predicate = names.get(&predicate).cloned().unwrap_or_default();
            rows.push(Row::Link { seq, owner, predicate, value, present });
        }
        rows.sort_by_key(Row::seq);
        let more = limit != i64::MAX;
        let through = if more { limit } else { rows.last().map_or(after, Row::seq) };
        Ok(Page { rows, through, more })
    }

    async fn entry_rows(
        &self,
        snapshot: &mut Snapshot,
        scope: i64,
        org: &OrgId,
        entity_type: EntityType,
        entries: Vec<EntryRow>,
        limit: i64,
    ) -> Result<Vec<Row>, StoreError> {
        let filtered: Vec<Uuid> = entries.iter().filter(|e| e.2 && e.3 && e.0 <= limit).map(|e| e.1).collect();
        let filtered = if org.is_everything() { Vec::new() } else { filtered };
        let dropped = views::dropped(snapshot.conn(), scope, &filtered).await.map_err(snapshot.sql())?;
        let none = HashSet::new();
        let mut rows = Vec::with_capacity(entries.len());
        for (seq, id, present, filtered, uri, body) in entries.into_iter().filter(|e| e.0 <= limit) {
            rows.push(match body {
                Some(sealed) if present => {
                    let body = if filtered {
                        let entity = self.open_body(id, &sealed)?;
                        let view = views::view(entity, entity_type, self.fields(), dropped.get(&id).unwrap_or(&none));
                        serde_json::to_vec(&view).unwrap_or_default()
                    } else {
                        let damaged = |_| StoreError::damaged(format!("the body of {uri}"));
                        self.keyring().columns().open("entity", id.as_bytes(), "body", &sealed).map_err(damaged)?
                    };
                    Row::Upsert { seq, body }
                }
                _ => Row::Remove { seq, uri },
            });
        }
        Ok(rows)
    }
}

async fn feed_state(snapshot: &mut Snapshot, org: &OrgId) -> Result<Option<FeedState>, StoreError> {
    let sql = snapshot.sql();
    type Found = (i64, Uuid, i64, i64, i64, i64, i64, Vec<u8>, i64);
    let found: Vec<Found> = sqlx::query_as(
        "SELECT s.id, s.epoch, t.type, t.last_seq, t.floor, t.count, t.links, t.set_digest, t.removals_approved_through
         FROM scope s JOIN scope_type t ON t.scope = s.id WHERE s.org = $1",
    )
    .bind(org.as_str())
    .fetch_all(snapshot.conn())
    .await
    .map_err(sql)?;
    let Some(first) = found.first() else { return Ok(None) };
    let mut state = FeedState { scope: first.0, epoch: first.1, types: BTreeMap::new() };
    for (_, _, code, last_seq, floor, count, links, digest, removals_approved_through) in found {
        let digest = Digest::from_slice(&digest).map_err(|_| StoreError::damaged("a scope's digest"))?;
        if let Some(t) = EntityType::from_code(code) {
            state.types.insert(t, TypeState { last_seq, floor, count, links, digest, removals_approved_through });
        }
    }
    Ok(Some(state))
}
