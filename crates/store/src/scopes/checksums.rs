//! TAO's view of an entity in an org, and its checksum. Owners of long lists are the special case: what an org sees of a
//! list is in `scope_link`, so their checksums are made after those rows are written.

mod refresh;

use std::collections::{HashMap, HashSet};

use sqlx::SqliteConnection;
use taosync_model::tao::{Properties, TaoChecksum};
use taosync_model::{EntityType, Property, Value};
use uuid::Uuid;

use super::links::LinkVerdict;
use super::register::Scopes;
use super::{Touched, Verdict, views};
use crate::predicates;
use crate::{Store, StoreError, rows};

/// Owners whose checksums are made in one go: bounds memory, as lists may be long.
const AT_ONCE: usize = 200;

/// Whose checksums in which orgs are to be made after the rows are written.
pub(super) struct Owners {
    /// A link of them came or went.
    changed: HashSet<(i64, Uuid)>,
    /// They came, or look different: right already, unless they own lists.
    seen: HashSet<(i64, Uuid)>,
    /// Written anew. Their digests may be what they were and their checksums not, which depend on the order of values.
    rewritten: HashSet<Uuid>,
}

/// An owner in an org.
struct Owner {
    scope: i64,
    entity_type: EntityType,
    id: Uuid,
    filtered: bool,
    links: i64,
    unscoped: Option<Vec<u8>>,
}

impl Owners {
    /// The candidates among what is to be written.
    pub fn of(touched: &[Touched], verdicts: &[Verdict], links: &[LinkVerdict]) -> Self {
        let seen = verdicts.iter().filter(|v| v.now.is_some()).map(|v| (v.place.0, v.place.2));
        Self {
            changed: links.iter().map(|link| (link.scope, link.key.owner)).collect(),
            seen: seen.collect(),
            rewritten: touched.iter().filter(|t| t.old_types > 0 && t.new_types > 0).map(|t| t.id).collect(),
        }
    }

    fn ids(&self) -> Vec<Uuid> {
        let places = self.changed.iter().chain(&self.seen).map(|place| place.1);
        places.chain(self.rewritten.iter().copied()).collect::<HashSet<_>>().into_iter().collect()
    }

    fn is_meant(&self, place: (i64, Uuid), links: i64) -> bool {
        let is_right = self.seen.contains(&place) && links == 0;
        self.changed.contains(&place) || !is_right && (self.seen.contains(&place) || self.rewritten.contains(&place.1))
    }
}

impl Store {
    /// Writes the checksums of owners of long lists.
    pub(super) async fn linked_checksums_write(
        &self,
        conn: &mut SqliteConnection,
        scopes: &Scopes,
        owners: &Owners,
    ) -> Result<(), StoreError> {
        let sql = StoreError::sql("linked_checksums_write");
        let owners = read_owners(conn, owners).await.map_err(&sql)?;
        for part in owners.chunks(AT_ONCE) {
            let visible = count_links(conn, part).await.map_err(&sql)?;
            let is_unscoped = |o: &&Owner| {
                !o.filtered && visible.get(&(o.scope, o.id)).copied().unwrap_or(0) == o.links && o.unscoped.is_some()
            };
            let (whole, partial): (Vec<&Owner>, Vec<&Owner>) = part.iter().partition(is_unscoped);
            let mut sums: Vec<(i64, i64, Uuid, String)> = whole
                .into_iter()
                .map(|o| (o.scope, o.entity_type.code(), o.id, hex::encode(o.unscoped.as_deref().unwrap_or(&[]))))
                .collect();
            let mut places: HashMap<(i64, EntityType), Vec<Uuid>> = HashMap::new();
            for owner in partial {
                places.entry((owner.scope, owner.entity_type)).or_default().push(owner.id);
            }
            for ((scope, entity_type), ids) in places {
                let is_everything = scopes.everything() == Some(scope);
                let shown = self.tao_views(conn, (scope, is_everything), entity_type, &ids).await?;
                let sum = |(id, _, shown): (Uuid, String, Properties)| {
                    (scope, entity_type.code(), id, TaoChecksum::of(&shown).to_string())
                };
                sums.extend(shown.into_iter().map(sum));
            }
            write_sums(conn, &sums).await.map_err(&sql)?;
        }
        Ok(())
    }

    /// What TAO shows of these members of an org, with their URIs. Those that are not there are left out. The scope is
    /// its number, and whether it is the unscoped one.
    pub(crate) async fn tao_views(
        &self,
        conn: &mut SqliteConnection,
        (scope, is_everything): (i64, bool),
        entity_type: EntityType,
        ids: &[Uuid],
    ) -> Result<Vec<(Uuid, String, Properties)>, StoreError> {
        let sql = StoreError::sql("tao_views");
        let found: Vec<(Uuid, bool, i64, Vec<u8>)> = sqlx::query_as(
            "SELECT e.id, s.filtered, e.links, e.body FROM json_each($1) j CROSS JOIN entity e ON e.id = unhex(j.value)
             CROSS JOIN scope_entry s ON s.scope = $2 AND s.type = $3 AND s.entity = e.id AND s.present = 1
             WHERE e.body IS NOT NULL",
        )
        .bind(rows::id_array(ids))
        .bind(scope)
        .bind(entity_type.code())
        .fetch_all(&mut *conn)
        .await
        .map_err(&sql)?;
        let filtered: Vec<Uuid> = found.iter().filter(|f| f.1 && !is_everything).map(|f| f.0).collect();
        let dropped = views::dropped(conn, scope, &filtered).await.map_err(&sql)?;
        let owners: Vec<Uuid> = found.iter().filter(|f| f.2 > 0).map(|f| f.0).collect();
        let mut links = self.links_seen(conn, scope, &owners).await?;
        let (choice, nothing) = (self.fields().of(entity_type), HashSet::new());
        let mut shown = Vec::with_capacity(found.len());
        for (id, _, _, sealed) in found {
            let entity = self.open_body(id, &sealed)?;
            let view = views::view(entity, entity_type, self.fields(), dropped.get(&id).unwrap_or(&nothing));
            let links = links.remove(&id).unwrap_or_default();
            let properties = Properties::of(&view, &links, entity_type, &choice);
            shown.push((id, view.uri, properties));
        }
        Ok(shown)
    }

    /// The long lists of these owners as an org sees them, in the order checksums are made of.
    async fn links_seen(
        &self,
        conn: &mut SqliteConnection,
        scope: i64,
        owners: &[Uuid],
    ) -> Result<HashMap<Uuid, Vec<Property>>, StoreError> {
        let mut seen: HashMap<Uuid, Vec<Property>> = HashMap::new();
        if owners.is_empty() {
            return Ok(seen);
        }
        let sql = StoreError::sql("links_seen");
        let names = predicates::names(conn).await.map_err(&sql)?;
        type Row = (Uuid, i64, Uuid, Option<String>, Option<Vec<u8>>);
        let found: Vec<Row> = sqlx::query_as(
            "SELECT s.owner, s.predicate, s.value_id, t.uri, l.value FROM json_each($1) j
             CROSS JOIN scope_link s ON s.scope = $2 AND s.owner = unhex(j.value) AND s.present = 1
             LEFT JOIN entity t ON t.id = s.value_id
             LEFT JOIN literal_link l ON l.owner = s.owner AND l.predicate = s.predicate AND l.value_id = s.value_id
             ORDER BY s.owner, s.predicate",
        )
        .bind(rows::id_array(owners))
        .bind(scope)
        .fetch_all(&mut *conn)
        .await
        .map_err(&sql)?;
        for (owner, code, value_id, target, literal) in found {
            let value = match target {
                Some(uri) => Value::plain(uri),
                None => self.link_value("an entity", value_id, None, literal)?,
            };
            let Some(predicate) = names.get(&code) else { continue };
            let lists = seen.entry(owner).or_default();
            match lists.last_mut().filter(|list| &list.predicate == predicate) {
                Some(list) => list.values.push(value),
                None => lists.push(Property { predicate: predicate.clone(), values: vec![value] }),
            }
        }
        seen.values_mut().flatten().for_each(|list| list.values.sort_unstable());
        Ok(seen)
    }
}

async fn read_owners(conn: &mut SqliteConnection, owners: &Owners) -> Result<Vec<Owner>, sqlx::Error> {
    let mut list = Vec::new();
    for part in owners.ids().chunks(20_000) {
        let found: Vec<(i64, i64, Uuid, bool, i64, Option<Vec<u8>>)> = sqlx::query_as(
            "SELECT s.scope, s.type, s.entity, s.filtered, e.links, e.tao_md5 FROM json_each($1) j
             CROSS JOIN entity e ON e.id = unhex(j.value)
             CROSS JOIN scope_entry s ON s.entity = e.id AND s.present = 1",
        )
        .bind(rows::id_array(part))
        .fetch_all(&mut *conn)
        .await?;
        list.extend(found.into_iter().filter_map(|(scope, code, id, filtered, links, unscoped)| {
            let entity_type = EntityType::from_code(code).filter(|_| owners.is_meant((scope, id), links))?;
            Some(Owner { scope, entity_type, id, filtered, links, unscoped })
        }));
    }
    Ok(list)
}

/// How many values of their lists the orgs see.
async fn count_links(conn: &mut SqliteConnection, owners: &[Owner]) -> Result<HashMap<(i64, Uuid), i64>, sqlx::Error> {
    let places: Vec<_> = owners.iter().map(|o| (o.scope, o.id.simple().to_string())).collect();
    let found: Vec<(i64, Uuid, i64)> = sqlx::query_as(
        "SELECT l.scope, l.owner, count(*) FROM (SELECT DISTINCT value ->> 0 AS scope, value ->> 1 AS owner FROM json_each($1)) j
         CROSS JOIN scope_link l ON l.scope = j.scope AND l.owner = unhex(j.owner) AND l.present = 1
         GROUP BY l.scope, l.owner",
    )
    .bind(serde_json::to_string(&places).unwrap_or_default())
    .fetch_all(conn)
    .await?;
    Ok(found.into_iter().map(|(scope, owner, count)| ((scope, owner), count)).collect())
}

async fn write_sums(conn: &mut SqliteConnection, sums: &[(i64, i64, Uuid, String)]) -> Result<(), sqlx::Error> {
    let list: Vec<_> = sums.iter().map(|(s, t, id, sum)| (s, t, id.simple().to_string(), sum)).collect();
    sqlx::query(
        "UPDATE scope_entry SET tao_md5 = unhex(j.value ->> 3) FROM json_each($1) j
         WHERE scope_entry.scope = j.value ->> 0 AND scope_entry.type = j.value ->> 1
           AND scope_entry.entity = unhex(j.value ->> 2)",
    )
    .bind(serde_json::to_string(&list).unwrap_or_default())
    .execute(conn)
    .await?;
    Ok(())
}
