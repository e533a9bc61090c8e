//! Rebuilding every scope from nothing and comparing: what `verify` does at central, and what tests hold the
//! incremental way against.

use std::collections::{BTreeSet, HashMap, HashSet};

use taosync_model::canonical::{entity_digest, entry_member, link_member};
use taosync_model::{Digest, Entity, EntityType, OrgId, SetDigest, Value};
use uuid::Uuid;

use super::{classes, links, members, register, views};
use crate::entities::change::shown_digest;
use crate::predicates::{self, SUB_CLASS_OF};
use crate::{Store, StoreError};

/// Something stored that does not follow from what is true.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ScopeProblem {
    /// The org, when one is concerned.
    pub org: Option<OrgId>,
    /// The entity or counter.
    pub what: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Everything of the entity table that a rebuild needs.
struct Truth {
    uris: HashMap<Uuid, String>,
    types: HashMap<Uuid, i64>,
    bodies: HashMap<Uuid, Entity>,
    inline: HashMap<Uuid, Vec<Uuid>>,
    links: Vec<(Uuid, i64, Uuid, Option<Value>)>,
}

impl Store {
    /// Recomputes digests from stored bodies, membership from relations, and the sums; names every difference.
    pub async fn scopes_check(&self) -> Result<Vec<ScopeProblem>, StoreError> {
        let mut snapshot = self.read("scopes_check").await?;
        let sql = snapshot.sql();
        let mut problems = Vec::new();
        let scopes = register::all(snapshot.conn()).await.map_err(&sql)?;
        let mut truth = self.truth(&mut snapshot, &mut problems).await?;
        let names = predicates::names(snapshot.conn()).await.map_err(&sql)?;
        truth.links.retain(|(owner, predicate, ..)| {
            let types = truth.types.get(owner).copied().unwrap_or(0);
            names.get(predicate).is_some_and(|predicate| links::is_chosen(self.fields(), types, predicate))
        });
        let desired = desired(&mut snapshot, &scopes, &truth).await?;
        for (&scope, org) in &scopes.orgs {
            let present: HashSet<Uuid> = desired.iter().filter(|d| d.0 == scope).map(|d| d.2).collect();
            for what in wrong_lists(&mut snapshot, scope, org, &truth, &present).await? {
                let problem = "has another list in this org than its relations give".to_owned();
                problems.push(ScopeProblem { org: Some(org.clone()), what, problem });
            }
            let numbered = numbered(&mut snapshot, scope, &truth).await?;
            for entity_type in EntityType::FEED {
                let stored: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(
                    "SELECT entity, digest FROM scope_entry WHERE scope = $1 AND type = $2 AND present = 1",
                )
                .bind(scope)
                .bind(entity_type.code())
                .fetch_all(snapshot.conn())
                .await
                .map_err(&sql)?;
                let mut sum = SetDigest::EMPTY;
                let mut report = |id: &Uuid, problem: &str| {
                    let what = truth.uris.get(id).cloned().unwrap_or_else(|| id.to_string());
                    problems.push(ScopeProblem { org: Some(org.clone()), what, problem: problem.to_owned() });
                };
                let wanted: HashSet<Uuid> =
                    desired.iter().filter(|d| d.0 == scope && d.1 == entity_type).map(|d| d.2).collect();
                for (id, digest) in &stored {
                    if !wanted.contains(id) {
                        report(id, "is listed in this org but does not belong there");
                    }
                    let expected = self.expected(&truth, org, entity_type, *id, &present);
                    if expected.map(|d| d.0.to_vec()).as_ref() != Some(digest) {
                        report(id, "has another digest than its stored body gives");
                    }
                    let digest = Digest::from_slice(digest).unwrap_or_default();
                    sum.add(entry_member(truth.uris.get(id).map_or("", String::as_str), digest));
                }
                let listed: HashSet<Uuid> = stored.iter().map(|s| s.0).collect();
                for id in wanted.difference(&listed) {
                    report(id, "belongs to this org but is not listed there");
                }
                let links = add_links(&truth, &names, &numbered, org, entity_type, &present, &mut sum);
                let (stored_sum, count, stored_links): (Vec<u8>, i64, i64) =
                    sqlx::query_as("SELECT set_digest, count, links FROM scope_type WHERE scope = $1 AND type = $2")
                        .bind(scope)
                        .bind(entity_type.code())
                        .fetch_one(snapshot.conn())
                        .await
                        .map_err(&sql)?;
                if stored_sum != sum.to_digest().0 || count as usize != stored.len() || stored_links != links {
                    problems.push(ScopeProblem {
                        org: Some(org.clone()),
                        what: format!("type {entity_type}"),
                        problem: format!(
                            "its sum or counts differ from its members (counted {} and {links} links, stored {count} and {stored_links})",
                            stored.len()
                        ),
                    });
                }
            }
        }
        Ok(problems)
    }

    fn expected(
        &self,
        truth: &Truth,
        org: &OrgId,
        entity_type: EntityType,
        id: Uuid,
        present: &HashSet<Uuid>,
    ) -> Option<Digest> {
        let body = truth.bodies.get(&id)?;
        let outside = |target: &&Uuid| !org.is_everything() && !present.contains(*target);
        let dropped: HashSet<String> = truth
            .inline
            .get(&id)
            .into_iter()
            .flatten()
            .filter(outside)
            .filter_map(|target| truth.uris.get(target).cloned())
            .collect();
        Some(entity_digest(&views::view(body.clone(), entity_type, self.fields(), &dropped)))
    }

    async fn truth(
        &self,
        snapshot: &mut crate::tx::Snapshot,
        problems: &mut Vec<ScopeProblem>,
    ) -> Result<Truth, StoreError> {
        let sql = snapshot.sql();
        type Row = (Uuid, String, i64, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);
        let found: Vec<Row> = sqlx::query_as("SELECT id, uri, types, digest, shown, body FROM entity")
            .fetch_all(snapshot.conn())
            .await
            .map_err(&sql)?;
        let mut truth = Truth {
            uris: HashMap::new(),
            types: HashMap::new(),
            bodies: HashMap::new(),
            inline: HashMap::new(),
            links: Vec::new(),
        };
        for (id, uri, types, digest, shown, sealed) in found {
            if let Some(sealed) = sealed {
                let mut report = |problem: &str| {
                    problems.push(ScopeProblem { org: None, what: uri.clone(), problem: problem.to_owned() });
                };
                match self.open_body(id, &sealed) {
                    Err(_) => report("its stored body is damaged or sealed with another key"),
                    Ok(body) => {
                        if digest.as_deref() != Some(&entity_digest(&body).0[..]) {
                            report("has another digest than its stored body gives");
                        }
                        if shown.as_deref() != Some(&shown_digest(&body, types, None, self.fields()).0[..]) {
                            report("has another travelling digest than its stored body gives");
                        }
                        truth.bodies.insert(id, body);
                    }
                }
            }
            truth.uris.insert(id, uri);
            truth.types.insert(id, types);
        }
        let found: Vec<(Uuid, i64, Uuid, bool)> =
            sqlx::query_as("SELECT owner, predicate, target, linked FROM relation WHERE predicate <> $1")
                .bind(SUB_CLASS_OF)
                .fetch_all(snapshot.conn())
                .await
                .map_err(&sql)?;
        for (owner, predicate, target, linked) in found {
            if linked {
                truth.links.push((owner, predicate, target, None));
            } else {
                truth.inline.entry(owner).or_default().push(target);
            }
        }
        let found: Vec<(Uuid, i64, Uuid, Vec<u8>)> =
            sqlx::query_as("SELECT owner, predicate, value_id, value FROM literal_link WHERE gone = 0")
                .fetch_all(snapshot.conn())
                .await
                .map_err(&sql)?;
        for (owner, predicate, value_id, sealed) in found {
            truth.links.push((owner, predicate, value_id, Some(self.open_literal(value_id, &sealed)?)));
        }
        Ok(truth)
    }
}

/// Who should be where, from nothing.
async fn desired(
    snapshot: &mut crate::tx::Snapshot,
    scopes: &register::Scopes,
    truth: &Truth,
) -> Result<HashSet<(i64, EntityType, Uuid)>, StoreError> {
    let sql = snapshot.sql();
    let mut desired = HashSet::new();
    for entity_type in EntityType::SYNCED {
        let found = members::members(snapshot.conn(), entity_type, None).await.map_err(&sql)?;
        desired.extend(found.into_iter().map(|(scope, id)| (scope, entity_type, id)));
    }
    if let Some(everything) = scopes.everything() {
        for (&id, &bits) in &truth.types {
            let types = EntityType::from_bits(bits).filter(|t| *t != EntityType::SyncManager);
            desired.extend(types.map(|t| (everything, t, id)));
        }
    }
    let tree = classes::read_tree(snapshot.conn()).await.map_err(&sql)?;
    let class_ids: HashMap<&str, Uuid> = truth.uris.iter().map(|(id, uri)| (uri.as_str(), *id)).collect();
    for &scope in scopes.orgs.keys().filter(|s| Some(**s) != scopes.everything()) {
        let direct: HashSet<Uuid> = desired
            .iter()
            .filter(|d| d.0 == scope)
            .filter_map(|d| class_ids.get(truth.bodies.get(&d.2)?.class.as_str()).copied())
            .collect();
        desired.extend(tree.upwards(direct.into_iter()).into_iter().map(|c| (scope, EntityType::Class, c)));
    }
    Ok(desired)
}

/// Owners whose numbered links are not those an org should see.
async fn wrong_lists(
    snapshot: &mut crate::tx::Snapshot,
    scope: i64,
    org: &OrgId,
    truth: &Truth,
    present: &HashSet<Uuid>,
) -> Result<BTreeSet<String>, StoreError> {
    let sql = snapshot.sql();
    let listed: Vec<(Uuid, i64, Uuid)> =
        sqlx::query_as("SELECT owner, predicate, value_id FROM scope_link WHERE scope = $1 AND present = 1")
            .bind(scope)
            .fetch_all(snapshot.conn())
            .await
            .map_err(sql)?;
    let listed: HashSet<(Uuid, i64, Uuid)> = listed.into_iter().collect();
    let sees =
        |value: &Uuid, literal: &Option<Value>| literal.is_some() || org.is_everything() || present.contains(value);
    let wanted =
        truth.links.iter().filter(|(owner, _, value, literal)| present.contains(owner) && sees(value, literal));
    let wanted: HashSet<(Uuid, i64, Uuid)> =
        wanted.map(|(owner, predicate, value, _)| (*owner, *predicate, *value)).collect();
    let uri = |owner: &Uuid| truth.uris.get(owner).cloned().unwrap_or_else(|| owner.to_string());
    Ok(listed.symmetric_difference(&wanted).map(|(owner, ..)| uri(owner)).collect())
}

/// Under which type the links of each owner are numbered in a scope.
async fn numbered(
    snapshot: &mut crate::tx::Snapshot,
    scope: i64,
    truth: &Truth,
) -> Result<HashMap<Uuid, EntityType>, StoreError> {
    let sql = snapshot.sql();
    let first = |bits: &i64| EntityType::from_bits(*bits).next();
    let mut types: HashMap<Uuid, EntityType> =
        truth.types.iter().filter_map(|(id, bits)| Some((*id, first(bits)?))).collect();
    let found: Vec<(Uuid, i64)> =
        sqlx::query_as("SELECT owner, min(type) FROM scope_link WHERE scope = $1 GROUP BY owner")
            .bind(scope)
            .fetch_all(snapshot.conn())
            .await
            .map_err(sql)?;
    types.extend(found.into_iter().filter_map(|(owner, code)| Some((owner, EntityType::from_code(code)?))));
    Ok(types)
}

/// Adds the links an org should see to the sum of their owners' type; returns how many.
fn add_links(
    truth: &Truth,
    names: &HashMap<i64, String>,
    numbered: &HashMap<Uuid, EntityType>,
    org: &OrgId,
    entity_type: EntityType,
    present: &HashSet<Uuid>,
    sum: &mut SetDigest,
) -> i64 {
    let mut count = 0;
    for (owner, predicate, value_id, literal) in &truth.links {
        let seen = literal.is_some() || org.is_everything() || present.contains(value_id);
        if numbered.get(owner) != Some(&entity_type) || !present.contains(owner) || !seen {
            continue;
        }
        let value =
            literal.clone().unwrap_or_else(|| Value::plain(truth.uris.get(value_id).cloned().unwrap_or_default()));
        let (Some(owner), Some(predicate)) = (truth.uris.get(owner), names.get(predicate)) else { continue };
        sum.add(link_member(owner, predicate, &value));
        count += 1;
    }
    count
}
