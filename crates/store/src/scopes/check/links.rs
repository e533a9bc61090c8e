//! Links: every org that sees both ends has them, and nobody has one without both ends.

use std::collections::BTreeSet;

use taosync_model::OrgId;
use uuid::Uuid;

use super::{LinkPlace, Looked, ROWS, ScopeProblem, Seat, Step};
use crate::intact::Slice;
use crate::predicates;
use crate::scopes::links;
use crate::tx::Snapshot;
use crate::{Store, StoreError, rows};

const WRONG_LIST: &str = "has another list in this org than its relations give";

/// Orgs that see the owner and (of a relation) the target of a link, and do not have it.
const MISSING: &str = "SELECT DISTINCT s.org, o.uri, o.types, j.value ->> 1 FROM json_each($1) j
     CROSS JOIN entity o ON o.id = unhex(j.value ->> 0)
     CROSS JOIN scope_entry so ON so.entity = o.id AND so.present = 1
     CROSS JOIN scope s ON s.id = so.scope
     WHERE ($2 = 0 OR s.org = $3 OR EXISTS (SELECT 1 FROM scope_entry st
         WHERE st.entity = unhex(j.value ->> 2) AND st.scope = so.scope AND st.present = 1))
     AND NOT EXISTS (SELECT 1 FROM scope_link l WHERE l.scope = so.scope AND l.owner = o.id
         AND l.predicate = j.value ->> 1 AND l.value_id = unhex(j.value ->> 2) AND l.present = 1)";

/// Links of an org, and whether something true stands behind each.
const STANDING: &str = "SELECT l.owner, l.predicate, l.value_id, o.uri, o.types,
       EXISTS (SELECT 1 FROM scope_entry so WHERE so.entity = l.owner AND so.scope = l.scope AND so.present = 1)
       AND (EXISTS (SELECT 1 FROM literal_link v WHERE v.owner = l.owner AND v.predicate = l.predicate
           AND v.value_id = l.value_id AND v.gone = 0)
         OR EXISTS (SELECT 1 FROM relation r WHERE r.owner = l.owner AND r.predicate = l.predicate
           AND r.target = l.value_id AND r.linked = 1)
         AND ($6 OR EXISTS (SELECT 1 FROM scope_entry st WHERE st.entity = l.value_id AND st.scope = l.scope
           AND st.present = 1)))
     FROM scope_link l LEFT JOIN entity o ON o.id = l.owner
     WHERE l.scope = $1 AND l.present = 1 AND (l.owner, l.predicate, l.value_id) > ($2, $3, $4)
     ORDER BY l.owner, l.predicate, l.value_id LIMIT $5";

type Standing = (Uuid, i64, Uuid, Option<String>, Option<i64>, bool);

/// Which ends of a link an org has to see.
#[derive(Clone, Copy)]
enum Ends {
    Both,
    Owner,
}

impl Store {
    pub(super) async fn check_relations(&self, after: LinkPlace) -> Result<Looked, StoreError> {
        let mut snapshot = self.read("check_relations").await?;
        let sql = snapshot.sql();
        let found: Vec<LinkPlace> = sqlx::query_as(
            "SELECT owner, predicate, target FROM relation
             WHERE linked = 1 AND (owner, predicate, target) > ($1, $2, $3)
             ORDER BY owner, predicate, target LIMIT $4",
        )
        .bind(after.0)
        .bind(after.1)
        .bind(after.2)
        .bind(ROWS)
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        let problems = self.missing_links(&mut snapshot, &found, Ends::Both).await?;
        let slice = Slice { rows: found.len() as u64, problems };
        Ok(Looked { slice, next: found.last().map(|&after| Step::Relations { after }) })
    }

    pub(super) async fn check_literals(&self, after: LinkPlace) -> Result<Looked, StoreError> {
        let mut snapshot = self.read("check_literals").await?;
        let sql = snapshot.sql();
        let found: Vec<(Uuid, i64, Uuid, Vec<u8>, Option<String>)> = sqlx::query_as(
            "SELECT l.owner, l.predicate, l.value_id, l.value, o.uri FROM literal_link l
             LEFT JOIN entity o ON o.id = l.owner
             WHERE l.gone = 0 AND (l.owner, l.predicate, l.value_id) > ($1, $2, $3)
             ORDER BY l.owner, l.predicate, l.value_id LIMIT $4",
        )
        .bind(after.0)
        .bind(after.1)
        .bind(after.2)
        .bind(ROWS)
        .fetch_all(snapshot.conn())
        .await
        .map_err(&sql)?;
        let keys: Vec<LinkPlace> = found.iter().map(|row| (row.0, row.1, row.2)).collect();
        let mut problems = self.missing_links(&mut snapshot, &keys, Ends::Owner).await?;
        for (owner, _, value_id, sealed, uri) in found {
            if self.open_literal(value_id, &sealed).is_err() {
                let what = uri.unwrap_or_else(|| owner.to_string());
                let problem = "one of its values is damaged or sealed with another key".to_owned();
                problems.push(ScopeProblem { org: None, what, problem });
            }
        }
        let slice = Slice { rows: keys.len() as u64, problems };
        Ok(Looked { slice, next: keys.last().map(|&after| Step::Literals { after }) })
    }

    pub(super) async fn check_links(&self, seat: Seat, after: LinkPlace) -> Result<Looked, StoreError> {
        let mut snapshot = self.read("check_links").await?;
        let sql = snapshot.sql();
        let found: Vec<Standing> = sqlx::query_as(STANDING)
            .bind(seat.scope)
            .bind(after.0)
            .bind(after.1)
            .bind(after.2)
            .bind(ROWS)
            .bind(seat.org.is_everything())
            .fetch_all(snapshot.conn())
            .await
            .map_err(&sql)?;
        let names = predicates::names(snapshot.conn()).await.map_err(&sql)?;
        let travels = |types: Option<i64>, code: &i64| {
            let name = names.get(code);
            name.is_some_and(|name| links::is_chosen(self.fields(), types.unwrap_or(0), name))
        };
        let wrong: BTreeSet<String> = found
            .iter()
            .filter(|(_, code, _, _, types, stands)| !stands || !travels(*types, code))
            .map(|row| row.3.clone().unwrap_or_else(|| row.0.to_string()))
            .collect();
        let problems = wrong.into_iter().map(|what| seat.problem(what, WRONG_LIST)).collect();
        let slice = Slice { rows: found.len() as u64, problems };
        let next = found.last().map(|row| Step::Links { seat, after: (row.0, row.1, row.2) });
        Ok(Looked { slice, next })
    }

    async fn missing_links(
        &self,
        snapshot: &mut Snapshot,
        keys: &[LinkPlace],
        ends: Ends,
    ) -> Result<Vec<ScopeProblem>, StoreError> {
        let sql = snapshot.sql();
        let found: Vec<(String, String, i64, i64)> = sqlx::query_as(MISSING)
            .bind(rows::key_array(keys.iter().copied()))
            .bind(matches!(ends, Ends::Both))
            .bind(OrgId::everything().as_str())
            .fetch_all(snapshot.conn())
            .await
            .map_err(&sql)?;
        let names = predicates::names(snapshot.conn()).await.map_err(&sql)?;
        let travels =
            |types: i64, code: i64| names.get(&code).is_some_and(|name| links::is_chosen(self.fields(), types, name));
        let wrong: BTreeSet<(String, String)> = found
            .into_iter()
            .filter(|(_, _, types, code)| travels(*types, *code))
            .map(|(org, uri, ..)| (org, uri))
            .collect();
        let problem = |(org, what): (String, String)| ScopeProblem {
            org: OrgId::new(org).ok(),
            what,
            problem: WRONG_LIST.to_owned(),
        };
        Ok(wrong.into_iter().map(problem).collect())
    }
}
