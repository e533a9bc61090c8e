//! From rows and the store's answers to the entities to write.

mod centers;
mod drafts;
mod eligibilities;
mod people;
mod references;

use std::collections::{BTreeSet, HashMap};

use taosync_model::{Clock, Entity, EntityType};

use crate::lookup::{Found, Lookup};
use crate::parse::short_hash;
use crate::problem::{Problems, RosterProblem};
use crate::rows::Rows;
use crate::{Roster, RosterKind};
use drafts::Drafts;

/// How new entities are named.
#[derive(Clone, Copy, Debug)]
pub struct Naming<'a> {
    /// What every new URI begins with, such as `https://central.example/taosync.rdf#`.
    pub base: &'a str,
    /// Where identifiers come from.
    pub clock: &'a dyn Clock,
}

impl Naming<'_> {
    fn fresh(&self) -> String {
        format!("{}i{}", self.base, self.clock.new_id().simple())
    }
}

/// What an import writes: everything, or nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// New and changed entities, whole. Somebody with two types (administrator and proctor) is there once for each.
    pub upserts: Vec<(EntityType, Entity)>,
    /// Rows that make something new.
    pub created: usize,
    /// Rows that change what is there.
    pub updated: usize,
    /// Rows that say what is there already.
    pub unchanged: usize,
    /// Other entities that change with them: people given a center, test takers given or losing an eligibility.
    pub related: usize,
}

impl Roster {
    /// What the store has yet to be asked, each thing once. Answer all of it into `found` and ask again, until this is
    /// empty: later questions follow from earlier answers (an eligibility is found by its center).
    pub fn lookups(&self, found: &Found) -> Vec<Lookup> {
        let mut open = Open { found, lookups: BTreeSet::new() };
        match &self.rows {
            Rows::Centers(rows) => centers::ask(rows, &mut open),
            Rows::People(rows) => people::ask(rows, &mut open),
            Rows::Eligibilities(rows) => eligibilities::ask(rows, &mut open),
        }
        open.lookups.into_iter().collect()
    }

    /// The entities to write. Problems here are references to nothing or to several things, and rows that contradict
    /// what is stored.
    pub fn plan(self, found: &Found, naming: &Naming<'_>) -> Result<Plan, Vec<RosterProblem>> {
        self.plan_part(found, naming, &mut Claims::default())
    }

    /// As [`Roster::plan`], for a part of a file: `claims` is what the parts before it spoke of.
    pub fn plan_part(
        self,
        found: &Found,
        naming: &Naming<'_>,
        claims: &mut Claims,
    ) -> Result<Plan, Vec<RosterProblem>> {
        let (kind, drafts, problems) = (self.kind, Drafts::default(), Problems::of(&self.file));
        let mut planner = Planner { kind, found, naming, drafts, problems, claims };
        match &self.rows {
            Rows::Centers(rows) => planner.centers(rows),
            Rows::People(rows) => planner.people(rows),
            Rows::Eligibilities(rows) => planner.eligibilities(rows),
        }
        let Planner { drafts, problems, .. } = planner;
        problems.or(()).map(|()| drafts.finish())
    }
}

/// Collects questions that have no answer yet.
struct Open<'f> {
    found: &'f Found,
    lookups: BTreeSet<Lookup>,
}

impl Open<'_> {
    fn ask(&mut self, lookup: Lookup) {
        if !self.found.knows(&lookup) {
            self.lookups.insert(lookup);
        }
    }

    fn ask_all(&mut self, lookups: impl Iterator<Item = Lookup>) {
        lookups.for_each(|lookup| self.ask(lookup));
    }
}

/// People that rows of a file spoke of, by hash of their URIs, with the line that did.
#[derive(Debug, Default)]
pub struct Claims(HashMap<[u8; 16], u64>);

impl Claims {
    /// The line that spoke of this one before.
    fn claim(&mut self, uri: &str, line: u64) -> Option<u64> {
        let first = *self.0.entry(short_hash(&[uri])).or_insert(line);
        (first != line).then_some(first)
    }
}

/// A row is left out, because a problem with it was noted.
struct Noted;

/// What all kinds of rows need while their entities are drafted.
struct Planner<'f> {
    kind: RosterKind,
    found: &'f Found,
    naming: &'f Naming<'f>,
    drafts: Drafts<'f>,
    problems: Problems,
    claims: &'f mut Claims,
}
