//! Who may see what: per org and type the latest word about every entity, with sequence numbers, and the digest of
//! the whole (DESIGN §4). Everything here runs inside the transaction that caused it.
//!
//! A change of entities becomes a change of scopes in four steps: [`members`] finds who belongs where now, [`classes`]
//! the same for classes, [`views`] what each org sees of an entity, [`links`] the long lists; [`sequence`] gives every
//! difference its number and keeps the sums. TAO's checksums are written with the rows; those of owners of long lists
//! depend on what of the list an org sees, and come last ([`checksums`]).

mod approve;
mod check;
pub(crate) mod checksums;
mod classes;
mod forget;
mod guard;
mod links;
mod members;
mod mend;
mod register;
mod sees;
mod sequence;
pub(crate) mod views;

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::SqliteConnection;
use taosync_model::tao::TaoChecksum;
use taosync_model::{Digest, Entity, EntityType, OrgId};
use uuid::Uuid;

pub use check::{ScopeCheck, ScopeProblem};
pub(crate) use classes::read_tree;
pub use guard::Turnover;
pub use register::ScopeSummary;

use crate::predicates::relation_code;
use crate::{Store, StoreError, Tx, rows};

/// Members of an org that came or went.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OrgEffect {
    /// The org.
    pub org: OrgId,
    /// The type.
    #[serde(rename = "type")]
    pub entity_type: EntityType,
    /// Entities that are new in the org.
    pub entered: u64,
    /// Entities that left it.
    pub left: u64,
    /// Entities it had before.
    pub before: u64,
}

impl OrgEffect {
    /// Whether a person has to approve.
    pub const fn is_large_removal(&self) -> bool {
        let turnover = Turnover { entered: self.entered, left: self.left, before: self.before };
        turnover.is_large_removal(self.entity_type)
    }
}

/// An entity that changed, as the scopes need to know it.
pub(crate) struct Touched {
    pub id: Uuid,
    pub uri: String,
    pub old_types: i64,
    pub new_types: i64,
    pub old_class: Option<Uuid>,
    pub new_class: Option<Uuid>,
    /// The body without links; `None` when removed.
    pub body: Option<Entity>,
}

/// A link: for relation predicates `value` is the target's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LinkKey {
    pub owner: Uuid,
    pub predicate: i64,
    pub value: Uuid,
}

/// Everything a change of entities did that scopes depend on.
#[derive(Default)]
pub(crate) struct Effects {
    pub touched: Vec<Touched>,
    /// Centers whose organisation ids may have changed.
    pub centers: Vec<Uuid>,
    /// Organisation ids named by centers.
    pub orgs_named: BTreeSet<String>,
    /// Link rows that came or went.
    pub links: Vec<LinkKey>,
    /// Targets of eligibility relations that came or went: their membership may have changed.
    pub takers: HashSet<Uuid>,
    /// See `takers`.
    pub deliveries: HashSet<Uuid>,
    pub unreadable: Unreadable,
}

/// What happens to an entity that has to be looked at and whose body does not open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The change is refused: nothing may be said about what cannot be read.
    #[default]
    Refused,
    /// It stays as it is; `verify` names it.
    Kept,
}

impl Effects {
    /// Notes a relation row that came or went.
    pub fn note(&mut self, owner: Uuid, predicate: i64, target: Uuid, linked: bool) {
        if linked {
            self.links.push(LinkKey { owner, predicate, value: target });
        }
        if predicate == relation_code(taosync_model::vocabulary::ELIGIBLE_TEST_TAKER) {
            self.takers.insert(target);
        } else if predicate == relation_code(taosync_model::vocabulary::ELIGIBLE_DELIVERY) {
            self.deliveries.insert(target);
        }
    }
}

/// One org's place for an entity of a type.
pub(crate) type Place = (i64, EntityType, Uuid);

/// A stored word about an entity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    pub present: bool,
    pub filtered: bool,
    pub digest: Digest,
}

/// What is to be written about an entity in an org.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub place: Place,
    pub before: Option<Word>,
    pub now: Option<Seen>,
}

/// How an org sees an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub digest: Digest,
    pub filtered: bool,
    /// TAO's checksum where it is not simply the entity's, links aside.
    pub tao_md5: Option<TaoChecksum>,
}

impl Store {
    /// Brings every scope up to date after a change of entities.
    pub(crate) async fn scopes_follow(&self, tx: &mut Tx, effects: Effects) -> Result<Vec<OrgEffect>, StoreError> {
        let sql = tx.sql();
        for org in &effects.orgs_named {
            // Unwrap safety: center_org holds checked organisation ids only.
            if let Ok(org) = OrgId::new(org.clone()) {
                self.scope_ensure(tx, &org).await?;
            }
        }
        let conn = tx.conn();
        let scopes = register::all(conn).await.map_err(&sql)?;
        let touched: HashMap<Uuid, &Touched> = effects.touched.iter().map(|t| (t.id, t)).collect();
        let mut moves = members::find(conn, &scopes, &effects, &touched).await.map_err(&sql)?;
        classes::find(conn, &scopes, &touched, &mut moves).await.map_err(&sql)?;
        let verdicts = self.views_find(conn, &scopes, &touched, &moves, effects.unreadable).await?;
        let links = links::find(conn, &scopes, self.fields(), &effects.links, &moves).await.map_err(&sql)?;
        let uris: HashMap<Uuid, String> = effects.touched.iter().map(|t| (t.id, t.uri.clone())).collect();
        let owners = checksums::Owners::of(&effects.touched, &verdicts, &links);
        let orgs = self.sequence_write(conn, &scopes, verdicts, links, uris).await?;
        self.linked_checksums_write(conn, &scopes, &owners).await?;
        Ok(orgs)
    }
}

/// Who came to which org, who left, and who stayed but may look different.
#[derive(Default)]
pub(crate) struct Moves {
    pub known: HashMap<Place, Word>,
    pub entered: HashSet<Place>,
    pub left: HashSet<Place>,
    pub stayed: HashSet<Place>,
}

impl Moves {
    /// Compares who should be present with who is, for these candidates.
    fn compare(&mut self, entity_type: EntityType, known: HashMap<(i64, Uuid), Word>, desired: &HashSet<(i64, Uuid)>) {
        for (&(scope, entity), word) in &known {
            if word.present && !desired.contains(&(scope, entity)) {
                self.left.insert((scope, entity_type, entity));
            }
        }
        for &(scope, entity) in desired {
            let place = (scope, entity_type, entity);
            if known.get(&(scope, entity)).is_some_and(|w| w.present) {
                self.stayed.insert(place);
            } else {
                self.entered.insert(place);
            }
        }
        self.known.extend(known.into_iter().map(|((scope, entity), word)| ((scope, entity_type, entity), word)));
    }

    /// Which of these entities are members of which orgs, once these moves are made.
    async fn members_after(
        &self,
        conn: &mut SqliteConnection,
        entities: impl IntoIterator<Item = Uuid>,
    ) -> Result<HashSet<(i64, Uuid)>, sqlx::Error> {
        let ids: Vec<Uuid> = entities.into_iter().collect();
        let mut members = HashSet::new();
        for part in ids.chunks(20_000) {
            let found: Vec<(i64, i64, Uuid)> = sqlx::query_as(
                "SELECT s.scope, s.type, s.entity FROM json_each($1) j
                 CROSS JOIN scope_entry s ON s.entity = unhex(j.value) AND s.present = 1",
            )
            .bind(rows::id_array(part))
            .fetch_all(&mut *conn)
            .await?;
            members.extend(found.into_iter().filter_map(|(scope, code, id)| {
                let place = (scope, EntityType::from_code(code)?, id);
                (!self.left.contains(&place)).then_some((scope, id))
            }));
        }
        members.extend(self.entered.iter().map(|&(scope, _, id)| (scope, id)));
        Ok(members)
    }
}
