//! The whole of an org's scope as a set, for a comparison with a replica whose positions cannot be trusted. Rows are read
//! one after the other: what stays in memory is an item of 40 bytes each.

use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use taosync_model::canonical::{entry_member, link_member};
use taosync_model::{Digest, EntityType, SetItem, Value};
use uuid::Uuid;

use crate::tx::Snapshot;
use crate::{Store, StoreError, predicates};

/// The name of a link row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkId {
    /// The owner's row.
    pub owner: Uuid,
    /// Number of the predicate.
    pub predicate: i64,
    /// The value's row, or the blind index of a literal.
    pub value: Uuid,
}

/// Where the wanted items of a scope are.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Rows of entities.
    pub entities: Vec<(EntityType, Uuid)>,
    /// Links, and their place in the list of what was wanted.
    pub links: Vec<(EntityType, LinkId, usize)>,
}

type EntryRow = (i64, Uuid, String, Vec<u8>);
type LinkRow = (i64, Uuid, i64, Uuid, String, Option<String>, Option<Vec<u8>>);

/// A present member of a scope.
enum Member {
    Entity(EntityType, Uuid, SetItem),
    Link(EntityType, LinkId, SetItem),
}

impl Store {
    /// Every present member of a scope, in no order; `None` when there are more than `most`.
    pub async fn scope_items(&self, scope: i64, most: usize) -> Result<Option<Vec<SetItem>>, StoreError> {
        let mut snapshot = self.read("scope_items").await?;
        let mut items = Vec::new();
        let is_whole = self
            .each_member(&mut snapshot, scope, |member| {
                let (Member::Entity(_, _, item) | Member::Link(_, _, item)) = member;
                items.push(item);
                items.len() <= most
            })
            .await?;
        Ok(is_whole.then_some(items))
    }

    /// Where the members with these ids are; `wanted` is sorted. What is not there is left out.
    pub async fn scope_find(&self, scope: i64, wanted: &[[u8; 32]]) -> Result<Found, StoreError> {
        let mut found = Found::default();
        if wanted.is_empty() {
            return Ok(found);
        }
        let mut snapshot = self.read("scope_find").await?;
        self.each_member(&mut snapshot, scope, |member| {
            match member {
                Member::Entity(entity_type, id, item) if wanted.binary_search(&item.id).is_ok() => {
                    found.entities.push((entity_type, id));
                }
                Member::Link(entity_type, id, item) => {
                    found.links.extend(wanted.binary_search(&item.id).ok().map(|place| (entity_type, id, place)));
                }
                Member::Entity(..) => {}
            }
            true
        })
        .await?;
        Ok(found)
    }

    /// URI and digest of every present entity of a type.
    pub async fn scope_listing(
        &self,
        scope: i64,
        entity_type: EntityType,
    ) -> Result<HashMap<String, Digest>, StoreError> {
        let mut snapshot = self.read("scope_listing").await?;
        let sql = snapshot.sql();
        let found: Vec<(String, Vec<u8>)> = sqlx::query_as(
            "SELECT e.uri, s.digest FROM scope_entry s JOIN entity e ON e.id = s.entity
             WHERE s.scope = $1 AND s.type = $2 AND s.present = 1",
        )
        .bind(scope)
        .bind(entity_type.code())
        .fetch_all(snapshot.conn())
        .await
        .map_err(sql)?;
        Ok(found.into_iter().map(|(uri, digest)| (uri, Digest::from_slice(&digest).unwrap_or_default())).collect())
    }

    /// Shows every present member until `take` says that it has enough; whether all were shown.
    async fn each_member(
        &self,
        snapshot: &mut Snapshot,
        scope: i64,
        mut take: impl FnMut(Member) -> bool + Send,
    ) -> Result<bool, StoreError> {
        let sql = snapshot.sql();
        let names = predicates::names(snapshot.conn()).await.map_err(&sql)?;
        let mut entries = sqlx::query_as::<_, EntryRow>(
            "SELECT s.type, s.entity, e.uri, s.digest FROM scope_entry s JOIN entity e ON e.id = s.entity
             WHERE s.scope = $1 AND s.present = 1",
        )
        .bind(scope)
        .fetch(snapshot.conn());
        while let Some((code, id, uri, digest)) = entries.try_next().await.map_err(&sql)? {
            let Some(entity_type) = EntityType::from_code(code) else { continue };
            let member = entry_member(&uri, Digest::from_slice(&digest).unwrap_or_default());
            if !take(Member::Entity(entity_type, id, SetItem::entity(entity_type, &uri, member))) {
                return Ok(false);
            }
        }
        drop(entries);
        let mut links = sqlx::query_as::<_, LinkRow>(
            "SELECT s.type, s.owner, s.predicate, s.value_id, o.uri, t.uri, l.value
             FROM scope_link s JOIN entity o ON o.id = s.owner LEFT JOIN entity t ON t.id = s.value_id
             LEFT JOIN literal_link l ON l.owner = s.owner AND l.predicate = s.predicate AND l.value_id = s.value_id
             WHERE s.scope = $1 AND s.present = 1",
        )
        .bind(scope)
        .fetch(snapshot.conn());
        while let Some((code, owner, predicate, value, uri, target, literal)) = links.try_next().await.map_err(&sql)? {
            let Some(entity_type) = EntityType::from_code(code) else { continue };
            let text = self.link_value(&uri, value, target, literal)?;
            let member = link_member(&uri, names.get(&predicate).map_or("", String::as_str), &text);
            let id = LinkId { owner, predicate, value };
            if !take(Member::Link(entity_type, id, SetItem::link(entity_type, member))) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The value of a link row: the target's URI, or the literal.
    pub(crate) fn link_value(
        &self,
        owner: &str,
        value_id: Uuid,
        target: Option<String>,
        literal: Option<Vec<u8>>,
    ) -> Result<Value, StoreError> {
        match (target, literal) {
            (Some(uri), _) => Ok(Value::plain(uri)),
            (None, Some(sealed)) => self.open_literal(value_id, &sealed),
            (None, None) => Err(StoreError::damaged(format!("a link of {owner}"))),
        }
    }
}
