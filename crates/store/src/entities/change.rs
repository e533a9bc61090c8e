//! Changing what is true: entities, their relations, links and organisation ids, set-based, and then every scope.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sqlx::SqliteConnection;
use taosync_model::canonical::{self, MAX_INLINE_VALUES};
use taosync_model::scope::FieldChoices;
use taosync_model::{Digest, Entity, EntityType, OrgId, Property, Value, vocabulary};
use uuid::Uuid;

use super::Change;
use super::before::{Known, literals_of, read_rows, relations_of};
use super::checksum::{kept_links, links_count, unscoped_checksum};
use crate::predicates;
use crate::rows;
use crate::scopes::{Effects, LinkKey, OrgEffect, Touched};
use crate::{Store, StoreError, Tx};

/// What a set of changes did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Per type.
    pub types: BTreeMap<EntityType, Tally>,
    /// Per org and type, where members came or went.
    pub orgs: Vec<OrgEffect>,
}

impl Applied {
    /// Takes in what a later part of the same change did.
    pub fn add(&mut self, later: Self) {
        for (entity_type, tally) in later.types {
            let sum = self.types.entry(entity_type).or_default();
            sum.created += tally.created;
            sum.updated += tally.updated;
            sum.removed += tally.removed;
            sum.unchanged += tally.unchanged;
        }
        for effect in later.orgs {
            let is_same = |known: &&mut OrgEffect| known.org == effect.org && known.entity_type == effect.entity_type;
            match self.orgs.iter_mut().find(is_same) {
                // What it had before the change is what it had before the first part.
                Some(known) => {
                    known.entered += effect.entered;
                    known.left += effect.left;
                }
                None => self.orgs.push(effect),
            }
        }
    }

    /// Where exactly the one entity left that was removed by name: not where others left with it.
    pub fn singly_removed(&self) -> Vec<(OrgId, EntityType)> {
        let is_it = |t: &EntityType| self.types.get(t).is_some_and(|tally| tally.removed == 1);
        let single = self.orgs.iter().filter(|effect| effect.left == 1 && is_it(&effect.entity_type));
        single.map(|effect| (effect.org.clone(), effect.entity_type)).collect()
    }
}

/// Counted entities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// New ones.
    pub created: u64,
    /// Known ones with other content.
    pub updated: u64,
    /// Removed ones.
    pub removed: u64,
    /// Known ones, same as before.
    pub unchanged: u64,
}

/// An entity as it will stand.
struct Wanted {
    id: Uuid,
    uri: String,
    old: Option<Known>,
    types: i64,
    entity: Option<Entity>,
    links: Vec<Property>,
    digest: Option<Digest>,
}

impl Store {
    /// Applies changes in one transaction: the rows, then every org's scope and feed. The last change of a URI wins;
    /// a URI loaded as two types is both, until it is removed.
    pub async fn entities_change(&self, tx: &mut Tx, changes: Vec<Change>) -> Result<Applied, StoreError> {
        let sql = tx.sql();
        let wanted = self.read_known(tx.conn(), merge(changes)).await.map_err(&sql)?;
        let mut ids = wanted.ids;
        let mut applied = Applied::default();
        let conn = tx.conn();
        let existing: Vec<Uuid> = wanted.list.iter().filter(|w| w.old.is_some()).map(|w| w.id).collect();
        let old_relations = relations_of(conn, &existing).await.map_err(&sql)?;
        let old_literals = literals_of(conn, &existing).await.map_err(&sql)?;
        self.write_mentions(conn, &wanted.list, &mut ids).await.map_err(&sql)?;
        let mut effects = Effects::default();
        let plan =
            self.diff(conn, &wanted.list, &ids, &old_relations, &old_literals, &mut effects).await.map_err(&sql)?;
        tally(&wanted.list, &plan.changed, &mut applied);
        self.write_entities(conn, &wanted.list, &plan.changed, &ids).await.map_err(&sql)?;
        self.write_relations(conn, &plan).await.map_err(&sql)?;
        write_center_orgs(conn, &wanted.list, &plan.changed, &mut effects).await.map_err(&sql)?;
        for want in wanted.list.into_iter().filter(|w| plan.changed.contains(&w.id)) {
            effects.touched.push(Touched {
                id: want.id,
                old_types: want.old.as_ref().map_or(0, |o| o.types),
                new_types: want.types,
                old_class: want.old.as_ref().and_then(|o| o.class),
                new_class: want.entity.as_ref().and_then(|e| ids.get(&e.class).copied()),
                uri: want.uri,
                body: want.entity,
            });
        }
        applied.orgs = self.scopes_follow(tx, effects).await?;
        Ok(applied)
    }

    async fn read_known(&self, conn: &mut SqliteConnection, merged: Vec<Merged>) -> Result<WantedList, sqlx::Error> {
        let mut mentioned: HashSet<&str> = HashSet::new();
        for Merged { uri, entity, .. } in &merged {
            mentioned.insert(uri);
            if let Some(entity) = entity {
                mentioned.insert(&entity.class);
                for property in entity.properties.iter().filter(|p| predicates::known_code(&p.predicate).is_some()) {
                    mentioned.extend(property.values.iter().map(|v| v.text.as_str()));
                }
            }
        }
        let known = read_rows(conn, &mentioned).await?;
        let ids = known.iter().map(|(uri, row)| (uri.clone(), row.id)).collect();
        let list = merged.into_iter().filter_map(|change| self.want(&known, change)).collect();
        Ok(WantedList { list, ids })
    }

    fn want(&self, known: &HashMap<String, Known>, change: Merged) -> Option<Wanted> {
        let Merged { uri, types, entity, is_fresh } = change;
        let old = known.get(&uri).cloned();
        if entity.is_none() && old.as_ref().is_none_or(|o| o.types == 0) {
            return None;
        }
        let id = old.as_ref().map_or_else(|| self.clock.new_id(), |o| o.id);
        let kept = old.as_ref().filter(|_| !is_fresh).map_or(0, |o| o.types);
        let types = if entity.is_some() { types | kept } else { 0 };
        let (entity, links) = match entity {
            Some(entity) => {
                let (body, links) = split_links(entity);
                (Some(body), links)
            }
            None => (None, Vec::new()),
        };
        let digest = entity.as_ref().map(canonical::entity_digest);
        Some(Wanted { id, uri, old, types, entity, links, digest })
    }

    /// Rows for URIs that are named but not known: classes and targets of relations.
    async fn write_mentions(
        &self,
        conn: &mut SqliteConnection,
        wanted: &[Wanted],
        ids: &mut HashMap<String, Uuid>,
    ) -> Result<(), sqlx::Error> {
        for want in wanted {
            ids.insert(want.uri.clone(), want.id);
        }
        let mut fresh: Vec<(Uuid, String)> = Vec::new();
        let mut mention = |uri: &str, clock: &dyn taosync_model::Clock| {
            if !ids.contains_key(uri) {
                let id = clock.new_id();
                ids.insert(uri.to_owned(), id);
                fresh.push((id, uri.to_owned()));
            }
        };
        for want in wanted {
            let Some(entity) = &want.entity else { continue };
            mention(&entity.class, &*self.clock);
            for property in entity.properties.iter().chain(&want.links) {
                if predicates::known_code(&property.predicate).is_some() {
                    for value in &property.values {
                        mention(&value.text, &*self.clock);
                    }
                }
            }
        }
        let now = self.now_ms();
        rows::insert(conn, "INSERT INTO entity (id, uri, types, changed_at) ", &fresh, "", |mut row, (id, uri)| {
            row.push_bind(*id).push_bind(uri.clone()).push_bind(0_i64).push_bind(now);
        })
        .await
    }

    async fn diff(
        &self,
        conn: &mut SqliteConnection,
        wanted: &[Wanted],
        ids: &HashMap<String, Uuid>,
        old_relations: &HashMap<Uuid, HashSet<(i64, Uuid, bool)>>,
        old_literals: &HashMap<Uuid, HashSet<(i64, Uuid)>>,
        effects: &mut Effects,
    ) -> Result<Plan, sqlx::Error> {
        let names: BTreeSet<&str> = wanted
            .iter()
            .flat_map(|w| &w.links)
            .map(|p| p.predicate.as_str())
            .filter(|p| predicates::known_code(p).is_none())
            .collect();
        let codes = predicates::codes(conn, &names.into_iter().collect::<Vec<_>>()).await?;
        let mut plan = Plan::default();
        for want in wanted {
            let relations = wanted_relations(want, ids);
            let empty = HashSet::new();
            let old = old_relations.get(&want.id).unwrap_or(&empty);
            let mut changed = want.digest != want.old.as_ref().and_then(|o| o.digest)
                || want.types != want.old.as_ref().map_or(0, |o| o.types);
            for &(predicate, target, linked) in old.difference(&relations) {
                plan.relations_gone.push((want.id, predicate, target));
                effects.note(want.id, predicate, target, linked);
                changed |= linked;
            }
            for &(predicate, target, linked) in relations.difference(old) {
                plan.relations_new.push((want.id, predicate, target, linked));
                effects.note(want.id, predicate, target, linked);
                changed |= linked;
            }
            let empty = HashSet::new();
            let old = old_literals.get(&want.id).unwrap_or(&empty);
            let literals = self.wanted_literals(want, &codes);
            for &(predicate, value_id) in old.iter().filter(|key| !literals.contains_key(*key)) {
                plan.literals_gone.push((want.id, predicate, value_id));
                effects.links.push(LinkKey { owner: want.id, predicate, value: value_id });
                changed = true;
            }
            for ((predicate, value_id), value) in literals {
                if !old.contains(&(predicate, value_id)) {
                    effects.links.push(LinkKey { owner: want.id, predicate, value: value_id });
                    plan.literals_new.push((want.id, predicate, value_id, value));
                    changed = true;
                }
            }
            if changed {
                plan.changed.insert(want.id);
            }
        }
        Ok(plan)
    }

    fn wanted_literals(&self, want: &Wanted, codes: &HashMap<String, i64>) -> HashMap<(i64, Uuid), Value> {
        let mut literals = HashMap::new();
        for property in &want.links {
            let Some(&code) = codes.get(&property.predicate) else { continue };
            for value in &property.values {
                let text = format!("{}\u{0}{}", value.text, value.lang.as_deref().unwrap_or(""));
                let key = Uuid::from_bytes(self.keyring.index().of("literal link", &text));
                literals.insert((code, key), value.clone());
            }
        }
        literals
    }

    async fn write_entities(
        &self,
        conn: &mut SqliteConnection,
        wanted: &[Wanted],
        changed: &HashSet<Uuid>,
        ids: &HashMap<String, Uuid>,
    ) -> Result<(), sqlx::Error> {
        let now = self.now_ms();
        let list: Vec<&Wanted> = wanted.iter().filter(|w| changed.contains(&w.id)).collect();
        rows::insert(
            conn,
            "INSERT INTO entity (id, uri, types, class, digest, shown, body, login_index, label_index, tao_md5, links,
               changed_at) ",
            &list,
            "ON CONFLICT (id) DO UPDATE SET types = excluded.types, class = excluded.class, digest = excluded.digest,
             shown = excluded.shown, body = excluded.body, login_index = excluded.login_index,
             label_index = excluded.label_index, tao_md5 = excluded.tao_md5, links = excluded.links,
             changed_at = excluded.changed_at",
            |mut row, want| {
                let entity = want.entity.as_ref();
                row.push_bind(want.id).push_bind(want.uri.clone()).push_bind(want.types);
                row.push_bind(entity.and_then(|e| ids.get(&e.class).copied()));
                row.push_bind(want.digest.map(|d| d.0.to_vec()));
                row.push_bind(entity.map(|e| shown_digest(e, want.types, want.digest, &self.fields).0.to_vec()));
                row.push_bind(entity.map(|e| self.seal_body(want.id, e)));
                row.push_bind(entity.and_then(|e| self.login_index(e)));
                row.push_bind(entity.and_then(|e| self.label_index(e, want.types)));
                let links = kept_links(&want.links);
                let checksum = entity.map(|e| unscoped_checksum(e, &links, want.types, &self.fields));
                row.push_bind(checksum.map(|c| c.0.to_vec())).push_bind(links_count(&links)).push_bind(now);
            },
        )
        .await
    }

    async fn write_relations(&self, conn: &mut SqliteConnection, plan: &Plan) -> Result<(), sqlx::Error> {
        for part in plan.relations_gone.chunks(20_000) {
            sqlx::query(
                "DELETE FROM relation WHERE (owner, predicate, target) IN
                 (SELECT unhex(value ->> 0), value ->> 1, unhex(value ->> 2) FROM json_each($1))",
            )
            .bind(rows::key_array(part.iter().map(|&(a, b, c)| (a, b, c))))
            .execute(&mut *conn)
            .await?;
        }
        rows::insert(
            conn,
            "INSERT INTO relation (owner, predicate, target, linked) ",
            &plan.relations_new,
            "ON CONFLICT (owner, predicate, target) DO UPDATE SET linked = excluded.linked",
            |mut row, (owner, predicate, target, linked)| {
                row.push_bind(*owner).push_bind(*predicate).push_bind(*target).push_bind(i64::from(*linked));
            },
        )
        .await?;
        for part in plan.literals_gone.chunks(20_000) {
            sqlx::query(
                "UPDATE literal_link SET gone = 1 WHERE (owner, predicate, value_id) IN
                 (SELECT unhex(value ->> 0), value ->> 1, unhex(value ->> 2) FROM json_each($1))",
            )
            .bind(rows::key_array(part.iter().map(|&(a, b, c)| (a, b, c))))
            .execute(&mut *conn)
            .await?;
        }
        rows::insert(
            conn,
            "INSERT INTO literal_link (owner, predicate, value_id, value, gone) ",
            &plan.literals_new,
            "ON CONFLICT (owner, predicate, value_id) DO UPDATE SET value = excluded.value, gone = 0",
            |mut row, (owner, predicate, value_id, value)| {
                let plain = serde_json::to_vec(value).unwrap_or_default();
                let sealed = self.keyring.columns().seal("literal_link", value_id.as_bytes(), "value", &plain);
                row.push_bind(*owner).push_bind(*predicate).push_bind(*value_id).push_bind(sealed).push_bind(0_i64);
            },
        )
        .await
    }

    /// Seals a body for its row.
    pub(crate) fn seal_body(&self, id: Uuid, entity: &Entity) -> Vec<u8> {
        // Unwrap safety: an entity is strings and JSON values, which always serialise.
        let plain = serde_json::to_vec(entity).unwrap_or_default();
        self.keyring.columns().seal("entity", id.as_bytes(), "body", &plain)
    }

    fn login_index(&self, entity: &Entity) -> Option<Vec<u8>> {
        entity.first(vocabulary::USER_LOGIN).map(|login| self.keyring.index().of("login", login).to_vec())
    }

    /// Labels are looked up for centers and deliveries only; an index nobody reads is not kept.
    fn label_index(&self, entity: &Entity, types: i64) -> Option<Vec<u8>> {
        let looked_up = EntityType::TestCenter.bit() | EntityType::Delivery.bit() | EntityType::Eligibility.bit();
        let label = entity.first(vocabulary::RDFS_LABEL).filter(|_| types & looked_up != 0)?;
        Some(self.keyring.index().of("label", label).to_vec())
    }
}

struct WantedList {
    list: Vec<Wanted>,
    ids: HashMap<String, Uuid>,
}

/// Row changes that follow from the diff.
#[derive(Default)]
struct Plan {
    changed: HashSet<Uuid>,
    relations_gone: Vec<(Uuid, i64, Uuid)>,
    relations_new: Vec<(Uuid, i64, Uuid, bool)>,
    literals_gone: Vec<(Uuid, i64, Uuid)>,
    literals_new: Vec<(Uuid, i64, Uuid, Value)>,
}

/// What the changes of one URI come to.
struct Merged {
    uri: String,
    types: i64,
    entity: Option<Entity>,
    /// It was removed on the way: what it was before counts no more.
    is_fresh: bool,
}

fn merge(changes: Vec<Change>) -> Vec<Merged> {
    let mut places: HashMap<String, usize> = HashMap::with_capacity(changes.len());
    let mut merged: Vec<Merged> = Vec::with_capacity(changes.len());
    for change in changes {
        let (uri, types, entity) = match change {
            Change::Upsert(entity_type, entity) => (entity.uri.clone(), entity_type.bit(), Some(entity)),
            Change::Remove(uri) => (uri, 0, None),
        };
        let is_fresh = entity.is_none();
        match places.get(&uri) {
            Some(&place) => {
                let known = &mut merged[place];
                known.types = if is_fresh { 0 } else { known.types | types };
                known.entity = entity;
                known.is_fresh |= is_fresh;
            }
            None => {
                places.insert(uri.clone(), merged.len());
                merged.push(Merged { uri, types, entity, is_fresh });
            }
        }
    }
    merged
}

/// Takes the long lists out of an entity: always the takers of an eligibility, and anything over the inline limit.
fn split_links(mut entity: Entity) -> (Entity, Vec<Property>) {
    let is_link = |p: &Property| p.predicate == vocabulary::ELIGIBLE_TEST_TAKER || p.values.len() > MAX_INLINE_VALUES;
    let (links, inline) = std::mem::take(&mut entity.properties).into_iter().partition(is_link);
    entity.properties = inline;
    (entity, links)
}

/// Digest of what travels under the choice of the lowest type; the same as the body's when nothing is left out.
pub(crate) fn shown_digest(entity: &Entity, types: i64, digest: Option<Digest>, fields: &FieldChoices) -> Digest {
    let primary = EntityType::from_bits(types).next().unwrap_or(EntityType::Class);
    let choice = fields.of(primary);
    match digest {
        Some(digest) if entity.properties.iter().all(|p| choice.carries(&p.predicate)) => digest,
        _ => {
            let mut shown = entity.clone();
            choice.apply(&mut shown);
            canonical::entity_digest(&shown)
        }
    }
}

fn wanted_relations(want: &Wanted, ids: &HashMap<String, Uuid>) -> HashSet<(i64, Uuid, bool)> {
    let Some(entity) = &want.entity else { return HashSet::new() };
    let mut relations = HashSet::new();
    for (properties, linked) in [(&entity.properties, false), (&want.links, true)] {
        for property in properties {
            let Some(code) = predicates::known_code(&property.predicate) else { continue };
            relations.extend(property.values.iter().filter_map(|v| ids.get(&v.text)).map(|&id| (code, id, linked)));
        }
    }
    if want.types & EntityType::Class.bit() != 0 && entity.class != vocabulary::RDFS_CLASS {
        relations.extend(ids.get(&entity.class).map(|&parent| (predicates::SUB_CLASS_OF, parent, false)));
    }
    relations
}

/// Keeps `center_org` equal to the organisation ids on test centers, and notes which centers changed.
async fn write_center_orgs(
    conn: &mut SqliteConnection,
    wanted: &[Wanted],
    changed: &HashSet<Uuid>,
    effects: &mut Effects,
) -> Result<(), sqlx::Error> {
    let bit = EntityType::TestCenter.bit();
    let is_center = |w: &&Wanted| (w.types | w.old.as_ref().map_or(0, |o| o.types)) & bit != 0;
    let centers: Vec<&Wanted> = wanted.iter().filter(|w| changed.contains(&w.id)).filter(is_center).collect();
    if centers.is_empty() {
        return Ok(());
    }
    sqlx::query("DELETE FROM center_org WHERE center IN (SELECT unhex(value) FROM json_each($1))")
        .bind(rows::id_array(centers.iter().map(|w| &w.id)))
        .execute(&mut *conn)
        .await?;
    let mut orgs: Vec<(Uuid, String)> = Vec::new();
    for want in &centers {
        let values = want.entity.as_ref().map_or(&[][..], |e| e.values(vocabulary::ORGANISATION_ID));
        let texts: BTreeSet<&str> = values.iter().map(|v| v.text.as_str()).filter(|t| OrgId::new(*t).is_ok()).collect();
        orgs.extend(texts.into_iter().map(|t| (want.id, t.to_owned())));
        effects.centers.push(want.id);
    }
    effects.orgs_named.extend(orgs.iter().map(|(_, org)| org.clone()));
    rows::insert(conn, "INSERT INTO center_org (center, org) ", &orgs, "", |mut row, (center, org)| {
        row.push_bind(*center).push_bind(org.clone());
    })
    .await
}

fn tally(wanted: &[Wanted], changed: &HashSet<Uuid>, applied: &mut Applied) {
    for want in wanted {
        let before = want.old.as_ref().map_or(0, |o| o.types);
        for entity_type in EntityType::from_bits(before | want.types) {
            let tally = applied.types.entry(entity_type).or_default();
            match (before & entity_type.bit() != 0, want.types & entity_type.bit() != 0) {
                (false, _) => tally.created += 1,
                (true, false) => tally.removed += 1,
                (true, true) if changed.contains(&want.id) => tally.updated += 1,
                (true, true) => tally.unchanged += 1,
            }
        }
    }
}
