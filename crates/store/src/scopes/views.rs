//! What an org sees of an entity: relation values that point outside the org are dropped, so that org A learns
//! nothing of org B through a shared proctor (DESIGN §4).

use std::collections::{HashMap, HashSet};

use sqlx::SqliteConnection;
use taosync_model::scope::FieldChoices;
use taosync_model::tao::{Properties, TaoChecksum};
use taosync_model::{Digest, Entity, EntityType, canonical, vocabulary};
use uuid::Uuid;

use super::register::Scopes;
use super::{Moves, Place, Seen, Touched, Unreadable, Verdict};
use crate::entities::change::shown_digest;
use crate::predicates::SUB_CLASS_OF;
use crate::{Store, StoreError, rows};

/// The entity as an org sees it, without links.
pub(crate) fn view(
    mut entity: Entity,
    entity_type: EntityType,
    fields: &FieldChoices,
    dropped: &HashSet<String>,
) -> Entity {
    fields.of(entity_type).apply(&mut entity);
    if !dropped.is_empty() {
        for property in entity.properties.iter_mut().filter(|p| vocabulary::is_relation(&p.predicate)) {
            property.values.retain(|value| !dropped.contains(&value.text));
        }
        entity.properties.retain(|p| !p.values.is_empty());
    }
    entity
}

/// An inline relation of an entity that stays or comes.
struct Inline {
    owner: Uuid,
    target: Uuid,
}

impl Store {
    /// For everything that came, went, or may look different: how it is seen now.
    pub(super) async fn views_find(
        &self,
        conn: &mut SqliteConnection,
        scopes: &Scopes,
        touched: &HashMap<Uuid, &Touched>,
        moves: &Moves,
        unreadable: Unreadable,
    ) -> Result<Vec<Verdict>, StoreError> {
        let sql = StoreError::sql("views_find");
        let neighbours = neighbours(conn, moves).await.map_err(&sql)?;
        let mut places: HashSet<Place> = moves.entered.clone();
        places.extend(moves.stayed.iter().filter(|(_, _, id)| touched.contains_key(id)));
        places.extend(neighbours.keys());
        let hidden = hidden(conn, scopes, &places, moves).await.map_err(&sql)?;
        let plain = self.plain_digests(conn, &places, touched, &hidden, unreadable).await?;
        let mut verdicts = Vec::with_capacity(places.len() + moves.left.len());
        for place in places {
            let before = moves.known.get(&place).or_else(|| neighbours.get(&place)).copied();
            let Some(now) = plain.get(&place).copied() else { continue };
            let same = before.is_some_and(|b| b.present && b.digest == now.digest && b.filtered == now.filtered);
            if !same {
                verdicts.push(Verdict { place, before, now: Some(now) });
            }
        }
        for &place in &moves.left {
            verdicts.push(Verdict { place, before: moves.known.get(&place).copied(), now: None });
        }
        Ok(verdicts)
    }

    async fn plain_digests(
        &self,
        conn: &mut SqliteConnection,
        places: &HashSet<Place>,
        touched: &HashMap<Uuid, &Touched>,
        hidden: &HashMap<(i64, Uuid), HashSet<String>>,
        unreadable: Unreadable,
    ) -> Result<HashMap<Place, Seen>, StoreError> {
        let sql = StoreError::sql("plain_digests");
        let ids: Vec<Uuid> = places.iter().map(|p| p.2).collect::<HashSet<_>>().into_iter().collect();
        let mut shown: HashMap<Uuid, (i64, Seen)> = HashMap::with_capacity(ids.len());
        for part in ids.chunks(20_000) {
            // What travels is the stored body itself when nothing of it is left out: reading it then needs no parsing.
            let found: Vec<(Uuid, i64, Option<Vec<u8>>, bool)> = sqlx::query_as(
                "SELECT e.id, e.types, e.shown, e.shown IS NOT e.digest
                 FROM json_each($1) j CROSS JOIN entity e ON e.id = unhex(j.value)",
            )
            .bind(rows::id_array(part))
            .fetch_all(&mut *conn)
            .await
            .map_err(&sql)?;
            shown.extend(found.into_iter().filter_map(|(id, types, digest, filtered)| {
                let digest = Digest::from_slice(&digest?).ok()?;
                Some((id, (types, Seen { digest, filtered, tao_md5: None })))
            }));
        }
        let is_plain = |place: &Place, types: i64| {
            EntityType::from_bits(types).next() == Some(place.1) && !hidden.contains_key(&(place.0, place.2))
        };
        let needed: HashSet<Uuid> = places
            .iter()
            .filter(|p| shown.get(&p.2).is_some_and(|(types, _)| !is_plain(p, *types)))
            .map(|p| p.2)
            .collect();
        let stored: Vec<Uuid> =
            needed.iter().copied().filter(|id| touched.get(id).is_none_or(|t| t.body.is_none())).collect();
        let stored = match unreadable {
            Unreadable::Refused => self.bodies_read(conn, &stored).await?.into_iter().collect(),
            Unreadable::Kept => self.bodies_readable(conn, &stored).await?,
        };
        let none = HashSet::new();
        let mut seen = HashMap::with_capacity(places.len());
        for &place in places {
            let Some((types, as_shown)) = shown.get(&place.2) else { continue };
            let result = if is_plain(&place, *types) {
                *as_shown
            } else {
                let body = touched.get(&place.2).and_then(|t| t.body.as_ref()).or_else(|| stored.get(&place.2));
                let Some(body) = body else { continue };
                let dropped = hidden.get(&(place.0, place.2)).unwrap_or(&none);
                let view = view(body.clone(), place.1, self.fields(), dropped);
                let shown = Properties::of(&view, &[], place.1, &self.fields().of(place.1));
                let tao_md5 = Some(TaoChecksum::of(&shown));
                Seen { digest: canonical::entity_digest(&view), filtered: true, tao_md5 }
            };
            seen.insert(place, result);
        }
        Ok(seen)
    }

    /// Computes `shown` again for every entity, and every scope with it, when the choice of fields differs from the
    /// one the database was made with. Returns whether it did.
    pub async fn views_refresh(&self) -> Result<bool, StoreError> {
        let wanted = serde_json::to_string(self.fields()).unwrap_or_default();
        let mut tx = self.write("views_refresh", crate::Durability::Flushed).await?;
        let sql = tx.sql();
        let current: Option<String> = sqlx::query_scalar("SELECT value FROM setting WHERE name = 'fields'")
            .fetch_optional(tx.conn())
            .await
            .map_err(&sql)?;
        let default = serde_json::to_string(&FieldChoices::tao_default()).unwrap_or_default();
        if current.as_deref().unwrap_or(&default) == wanted {
            return Ok(false);
        }
        let found: Vec<(Uuid, String, i64, Option<Uuid>)> =
            sqlx::query_as("SELECT id, uri, types, class FROM entity WHERE types > 0")
                .fetch_all(tx.conn())
                .await
                .map_err(&sql)?;
        let ids: Vec<Uuid> = found.iter().map(|f| f.0).collect();
        let mut bodies: HashMap<Uuid, Entity> = self.bodies_read(tx.conn(), &ids).await?.into_iter().collect();
        let mut effects = super::Effects::default();
        let mut updates: Vec<(String, String)> = Vec::new();
        for (id, uri, types, class) in found {
            let body = bodies.remove(&id);
            if let Some(body) = &body {
                let shown = shown_digest(body, types, None, self.fields());
                updates.push((id.simple().to_string(), shown.to_hex()));
            }
            effects.touched.push(Touched {
                id,
                uri,
                old_types: types,
                new_types: types,
                old_class: class,
                new_class: class,
                body,
            });
        }
        sqlx::query(
            "UPDATE entity SET shown = unhex(j.value ->> 1) FROM json_each($1) j WHERE entity.id = unhex(j.value ->> 0)",
        )
        .bind(serde_json::to_string(&updates).unwrap_or_default())
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        effects.links = super::links::all(tx.conn()).await.map_err(&sql)?;
        self.scopes_follow(&mut tx, effects).await?;
        self.checksums_refresh(tx.conn()).await?;
        sqlx::query(
            "INSERT INTO setting (name, value) VALUES ('fields', $1) ON CONFLICT (name) DO UPDATE SET value = $1",
        )
        .bind(wanted)
        .execute(tx.conn())
        .await
        .map_err(&sql)?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Members that name something that came or went: their view may differ now.
async fn neighbours(conn: &mut SqliteConnection, moves: &Moves) -> Result<HashMap<Place, super::Word>, sqlx::Error> {
    let moved: HashSet<(i64, Uuid)> = moves.entered.iter().chain(&moves.left).map(|&(s, _, id)| (s, id)).collect();
    let ids: Vec<Uuid> = moved.iter().map(|m| m.1).collect::<HashSet<_>>().into_iter().collect();
    let mut places = HashMap::new();
    for part in ids.chunks(20_000) {
        let found: Vec<(Uuid, i64, i64, Uuid, bool, Vec<u8>)> = sqlx::query_as(
            "SELECT r.target, s.scope, s.type, s.entity, s.filtered, s.digest FROM json_each($1) j
             CROSS JOIN relation r ON r.target = unhex(j.value) AND r.linked = 0 AND r.predicate <> $2
             CROSS JOIN scope_entry s ON s.entity = r.owner AND s.present = 1",
        )
        .bind(rows::id_array(part))
        .bind(SUB_CLASS_OF)
        .fetch_all(&mut *conn)
        .await?;
        for (target, scope, code, owner, filtered, digest) in found {
            let Some(entity_type) = EntityType::from_code(code) else { continue };
            let place = (scope, entity_type, owner);
            if moved.contains(&(scope, target)) && !moves.left.contains(&place) {
                let digest = Digest::from_slice(&digest).unwrap_or_default();
                places.insert(place, super::Word { present: true, filtered, digest });
            }
        }
    }
    Ok(places)
}

/// For each member of a scoped org, the relation values that point outside the org.
async fn hidden(
    conn: &mut SqliteConnection,
    scopes: &Scopes,
    places: &HashSet<Place>,
    moves: &Moves,
) -> Result<HashMap<(i64, Uuid), HashSet<String>>, sqlx::Error> {
    let everything = scopes.everything();
    let owners: Vec<Uuid> =
        places.iter().filter(|p| Some(p.0) != everything).map(|p| p.2).collect::<HashSet<_>>().into_iter().collect();
    let mut inline: Vec<Inline> = Vec::new();
    let mut uris: HashMap<Uuid, String> = HashMap::new();
    for part in owners.chunks(20_000) {
        let found: Vec<(Uuid, Uuid, String)> = sqlx::query_as(
            "SELECT r.owner, r.target, t.uri FROM json_each($1) j
             CROSS JOIN relation r ON r.owner = unhex(j.value) AND r.linked = 0 AND r.predicate <> $2
             CROSS JOIN entity t ON t.id = r.target",
        )
        .bind(rows::id_array(part))
        .bind(SUB_CLASS_OF)
        .fetch_all(&mut *conn)
        .await?;
        for (owner, target, uri) in found {
            uris.entry(target).or_insert(uri);
            inline.push(Inline { owner, target });
        }
    }
    let inside = moves.members_after(conn, uris.keys().copied()).await?;
    let mut by_owner: HashMap<Uuid, Vec<i64>> = HashMap::new();
    for (scope, _, owner) in places.iter().filter(|p| Some(p.0) != everything) {
        by_owner.entry(*owner).or_default().push(*scope);
    }
    let mut hidden: HashMap<(i64, Uuid), HashSet<String>> = HashMap::new();
    for Inline { owner, target } in inline {
        for &scope in by_owner.get(&owner).into_iter().flatten() {
            if !inside.contains(&(scope, target))
                && let Some(uri) = uris.get(&target)
            {
                hidden.entry((scope, owner)).or_default().insert(uri.clone());
            }
        }
    }
    Ok(hidden)
}

/// The inline relation values of these members that point outside their org.
pub(crate) async fn dropped(
    conn: &mut SqliteConnection,
    scope: i64,
    owners: &[Uuid],
) -> Result<HashMap<Uuid, HashSet<String>>, sqlx::Error> {
    let mut dropped: HashMap<Uuid, HashSet<String>> = HashMap::new();
    if owners.is_empty() {
        return Ok(dropped);
    }
    let found: Vec<(Uuid, String)> = sqlx::query_as(
        "SELECT r.owner, t.uri FROM json_each($1) j
         CROSS JOIN relation r ON r.owner = unhex(j.value) AND r.linked = 0 AND r.predicate <> $3
         CROSS JOIN entity t ON t.id = r.target
         WHERE NOT EXISTS (SELECT 1 FROM scope_entry s WHERE s.entity = r.target AND s.scope = $2 AND s.present = 1)",
    )
    .bind(rows::id_array(owners))
    .bind(scope)
    .bind(SUB_CLASS_OF)
    .fetch_all(conn)
    .await?;
    for (owner, uri) in found {
        dropped.entry(owner).or_default().insert(uri);
    }
    Ok(dropped)
}
