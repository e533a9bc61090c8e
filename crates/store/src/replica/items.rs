//! A replica as a set, for a comparison with central. Rows are read one after the other: what stays in memory is an item
//! of 40 bytes each.

use std::collections::HashSet;

use futures_util::TryStreamExt as _;
use taosync_model::canonical::{entry_member, link_member};
use taosync_model::{Digest, EntityType, SetItem, Value};
use uuid::Uuid;

use crate::{Store, StoreError, predicates};

/// A link as a replica holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLink {
    /// Type of the owner.
    pub entity_type: EntityType,
    /// Its hash.
    pub member: Digest,
    /// URI of the owner.
    pub owner: String,
    /// Predicate URI.
    pub predicate: String,
    /// Value.
    pub value: Value,
}

/// Members of a replica by name.
#[derive(Clone, Debug, Default)]
pub struct HeldMembers {
    /// Entities.
    pub entities: Vec<(EntityType, String)>,
    /// Links.
    pub links: Vec<HeldLink>,
}

/// A member of a replica.
enum Held {
    Entity(EntityType, String, SetItem),
    Link(HeldLink, SetItem),
}

impl Store {
    /// Every member of a replica, in no order; `None` when there are more than `most`.
    pub async fn replica_items(&self, scope: i64, most: usize) -> Result<Option<Vec<SetItem>>, StoreError> {
        let mut items = Vec::new();
        let is_whole = self
            .each_held(scope, |held| {
                let (Held::Entity(_, _, item) | Held::Link(_, item)) = held;
                items.push(item);
                items.len() <= most
            })
            .await?;
        Ok(is_whole.then_some(items))
    }

    /// The members with these ids by name.
    pub async fn replica_find(&self, scope: i64, wanted: &HashSet<[u8; 32]>) -> Result<HeldMembers, StoreError> {
        let mut members = HeldMembers::default();
        if wanted.is_empty() {
            return Ok(members);
        }
        self.each_held(scope, |held| {
            match held {
                Held::Entity(entity_type, uri, item) if wanted.contains(&item.id) => {
                    members.entities.push((entity_type, uri));
                }
                Held::Link(link, item) if wanted.contains(&item.id) => members.links.push(link),
                _ => {}
            }
            true
        })
        .await?;
        Ok(members)
    }

    /// Shows every member until `take` says that it has enough; whether all were shown.
    async fn each_held(&self, scope: i64, mut take: impl FnMut(Held) -> bool + Send) -> Result<bool, StoreError> {
        let mut snapshot = self.read("replica_items").await?;
        let sql = snapshot.sql();
        let names = predicates::names(snapshot.conn()).await.map_err(&sql)?;
        let mut entries =
            sqlx::query_as::<_, (i64, String, Vec<u8>)>("SELECT type, uri, digest FROM replica_entry WHERE scope = $1")
                .bind(scope)
                .fetch(snapshot.conn());
        while let Some((code, uri, digest)) = entries.try_next().await.map_err(&sql)? {
            let Some(entity_type) = EntityType::from_code(code) else { continue };
            let member = entry_member(&uri, Digest::from_slice(&digest).unwrap_or_default());
            let item = SetItem::entity(entity_type, &uri, member);
            if !take(Held::Entity(entity_type, uri, item)) {
                return Ok(false);
            }
        }
        drop(entries);
        let mut links = sqlx::query_as::<_, (i64, String, i64, Uuid, Vec<u8>)>(
            "SELECT type, owner, predicate, value_key, value FROM replica_link WHERE scope = $1",
        )
        .bind(scope)
        .fetch(snapshot.conn());
        while let Some((code, owner, predicate, key, value)) = links.try_next().await.map_err(&sql)? {
            let Some(entity_type) = EntityType::from_code(code) else { continue };
            let predicate = names.get(&predicate).cloned().unwrap_or_default();
            let value = self.open_link_value(&predicate, key, value)?;
            let member = link_member(&owner, &predicate, &value);
            let item = SetItem::link(entity_type, member);
            if !take(Held::Link(HeldLink { entity_type, member, owner, predicate, value }, item)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
