//! Rebuilding every scope from nothing and comparing: what `verify` does at central, and what tests hold the
//! incremental way against.
//!
//! It goes in slices, each with a short picture of the database of its own: memory does not grow with what is stored,
//! and the log of the database can be folded in between. What a slice compares stands in one picture, so a change
//! between two slices is never taken for damage. Each slice trusts what another one proves: a body proves the digests
//! of its row, these the words of the orgs, these the sums.

mod entities;
mod entries;
mod links;
mod sums;

use std::collections::VecDeque;

use taosync_model::{EntityType, OrgId};
use uuid::Uuid;

use super::register;
use crate::intact::Slice;
use crate::{Store, StoreError};

/// Rows of a slice.
const ROWS: i64 = 500;
/// Bytes of bodies in a slice, about.
const BYTES: usize = 1024 * 1024;

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

/// A check of all scopes on its way.
pub struct ScopeCheck<'a> {
    store: &'a Store,
    todo: VecDeque<Step>,
}

/// Key of a link, in the order of its table.
type LinkPlace = (Uuid, i64, Uuid);

/// A scope that is looked at.
#[derive(Clone, Debug)]
struct Seat {
    scope: i64,
    org: OrgId,
}

/// What one slice looks at.
#[derive(Debug)]
enum Step {
    /// Entities after this one: their digests, and who sees them.
    Entities { after: Uuid },
    /// Relations that travel as links, after this one: whether all who should see them do.
    Relations { after: LinkPlace },
    /// Literal links after this one: whether they open, and all who should see them do.
    Literals { after: LinkPlace },
    /// A scope: classes, words about entities, links, sums.
    Scope(Seat),
    /// Classes of a scope.
    Classes(Seat),
    /// Words about entities after this one.
    Entries { seat: Seat, entity_type: EntityType, after: Uuid },
    /// Links of a scope after this one: whether something true stands behind them.
    Links { seat: Seat, after: LinkPlace },
    /// The sum and the counts of a type.
    Sums { seat: Seat, entity_type: EntityType },
}

/// What a slice gave, and where it goes on.
struct Looked {
    slice: Slice<ScopeProblem>,
    next: Option<Step>,
}

impl Store {
    /// Recomputes digests from stored bodies, membership from relations, and the sums; names every difference.
    pub async fn scopes_check(&self) -> Result<Vec<ScopeProblem>, StoreError> {
        let mut problems = Vec::new();
        let mut check = self.scopes_check_begin().await?;
        while let Some(slice) = check.next().await? {
            problems.extend(slice.problems);
        }
        Ok(problems)
    }

    /// The same in slices, so that others can work and rest between them.
    pub async fn scopes_check_begin(&self) -> Result<ScopeCheck<'_>, StoreError> {
        let mut snapshot = self.read("scopes_check_begin").await?;
        let sql = snapshot.sql();
        let first = (Uuid::nil(), 0, Uuid::nil());
        let mut todo = VecDeque::from([
            Step::Entities { after: Uuid::nil() },
            Step::Relations { after: first },
            Step::Literals { after: first },
        ]);
        let scopes = register::all(snapshot.conn()).await.map_err(sql)?;
        let mut seats: Vec<Seat> = scopes.orgs.into_iter().map(|(scope, org)| Seat { scope, org }).collect();
        seats.sort_by_key(|seat| seat.scope);
        todo.extend(seats.into_iter().map(Step::Scope));
        Ok(ScopeCheck { store: self, todo })
    }
}

impl ScopeCheck<'_> {
    /// Looks at the next slice; none at the end.
    pub async fn next(&mut self) -> Result<Option<Slice<ScopeProblem>>, StoreError> {
        loop {
            let Some(step) = self.todo.pop_front() else { return Ok(None) };
            let looked = match step {
                Step::Scope(seat) => {
                    seat.steps().into_iter().rev().for_each(|step| self.todo.push_front(step));
                    continue;
                }
                Step::Entities { after } => self.store.check_entities(after).await?,
                Step::Relations { after } => self.store.check_relations(after).await?,
                Step::Literals { after } => self.store.check_literals(after).await?,
                Step::Classes(seat) => self.store.check_classes(&seat).await?,
                Step::Entries { seat, entity_type, after } => {
                    self.store.check_entries(seat, entity_type, after).await?
                }
                Step::Links { seat, after } => self.store.check_links(seat, after).await?,
                Step::Sums { seat, entity_type } => self.store.check_sums(&seat, entity_type).await?,
            };
            if let Some(next) = looked.next {
                self.todo.push_front(next);
            }
            return Ok(Some(looked.slice));
        }
    }
}

impl Seat {
    fn steps(self) -> Vec<Step> {
        let mut steps = vec![Step::Classes(self.clone())];
        steps.extend(EntityType::FEED.map(|entity_type| Step::Entries {
            seat: self.clone(),
            entity_type,
            after: Uuid::nil(),
        }));
        steps.push(Step::Links { seat: self.clone(), after: (Uuid::nil(), 0, Uuid::nil()) });
        steps.extend(EntityType::FEED.map(|entity_type| Step::Sums { seat: self.clone(), entity_type }));
        steps
    }

    fn problem(&self, what: impl Into<String>, problem: impl Into<String>) -> ScopeProblem {
        ScopeProblem { org: Some(self.org.clone()), what: what.into(), problem: problem.into() }
    }
}
