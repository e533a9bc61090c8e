//! Entities that came or changed: pages of them, each compared with TAO's rows in one statement and written in one
//! transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use taosync_model::tao::{Properties, TaoChecksum};
use taosync_model::{Digest, EntityType, vocabulary as v};
use taosync_store::projection::{Given, Mark, PAGE, Projectable};
use taosync_tao::Change;
use taosync_tao::schema::History;
use taosync_tao::write::difference::{Difference, Stored, is_held};
use taosync_tao::write::entities::{self, Edit, Novelty};
use taosync_tao::write::history::{self, Action, Entry};
use taosync_tao::write::wanted::Wanted;

use super::{ProjectionError, Run};
use crate::session::Mode;

/// Values of long lists that are in memory at once.
const LINKS: u64 = 50_000;

/// An entity that TAO's database was not given as it is.
struct Due {
    projectable: Projectable,
    mark: Digest,
    given: Option<Given>,
    wanted: Wanted,
}

/// What is done with an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Created,
    Updated,
    Recognised,
    Unchanged,
}

impl Run<'_> {
    /// Classes, parents first, then all types.
    pub(super) async fn types(&mut self) -> Result<(), ProjectionError> {
        let classes = self.all_classes().await?;
        let due = self.sift(EntityType::Class, &classes);
        let mut list = Vec::with_capacity(due.len());
        for part in parts(&due) {
            list.extend(self.due(EntityType::Class, part).await?);
        }
        for page in pages(parents_first(list)) {
            self.write_page(EntityType::Class, page).await?;
        }
        for entity_type in EntityType::SYNCED {
            let mut after = String::new();
            loop {
                let marks = self.plan.store.projection_marks(entity_type, &after).await?;
                let Some(last) = marks.last() else { break };
                after.clone_from(&last.uri);
                for part in parts(&self.sift(entity_type, &marks)) {
                    let due = self.due(entity_type, part).await?;
                    self.write_page(entity_type, due).await?;
                }
            }
        }
        Ok(())
    }

    /// All classes; there are few.
    async fn all_classes(&self) -> Result<Vec<Mark>, ProjectionError> {
        let mut all: Vec<Mark> = Vec::new();
        loop {
            let after = all.last().map_or("", |mark| mark.uri.as_str());
            let page = self.plan.store.projection_marks(EntityType::Class, after).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// Those that have to be looked at; the others are counted.
    fn sift(&mut self, entity_type: EntityType, marks: &[Mark]) -> Vec<Mark> {
        let due: Vec<Mark> = marks.iter().filter(|mark| self.is_doubted || !mark.is_given()).cloned().collect();
        self.outcome.tally(entity_type).unchanged += (marks.len() - due.len()) as u64;
        due
    }

    /// What is wanted of some entities.
    async fn due(&self, entity_type: EntityType, marks: &[Mark]) -> Result<Vec<Due>, ProjectionError> {
        let now: HashMap<&str, Digest> = marks.iter().map(|mark| (mark.uri.as_str(), mark.now)).collect();
        let uris: Vec<&str> = now.keys().copied().collect();
        let given = self.plan.store.projection_given(entity_type, &uris).await?;
        let mut given: HashMap<String, Given> = given.into_iter().map(|given| (given.uri.clone(), given)).collect();
        let mut list = Vec::with_capacity(uris.len());
        for projectable in self.plan.store.projection_bodies(entity_type, &uris).await? {
            let Some(mark) = now.get(projectable.entity.uri.as_str()).copied() else { continue };
            let given = given.remove(&projectable.entity.uri);
            let wanted = self.wanted(entity_type, &projectable, given.as_ref());
            list.push(Due { projectable, mark, given, wanted });
        }
        Ok(list)
    }

    /// What TAO is to hold of an entity. Whether a delivery is offered stands in its class, which is not touched here.
    pub(super) fn wanted(&self, entity_type: EntityType, projectable: &Projectable, given: Option<&Given>) -> Wanted {
        let none = BTreeSet::new();
        let given = given.map_or(&none, |given| &given.predicates);
        let choice = self.plan.store.fields().of(entity_type);
        let wanted = Wanted::of(&projectable.entity, entity_type, &choice, &self.languages, given);
        if entity_type == EntityType::Delivery { wanted.leaving(v::RDF_TYPE) } else { wanted }
    }

    /// The checksum a TAO central has said, or would say.
    pub(super) fn checksum(&self, entity_type: EntityType, projectable: &Projectable) -> TaoChecksum {
        let choice = self.plan.store.fields().of(entity_type);
        let computed = || TaoChecksum::of(&Properties::of(&projectable.entity, &[], entity_type, &choice));
        projectable.tao_checksum.unwrap_or_else(computed)
    }

    /// Entries of the history: one, or one an org where orgs are told apart.
    pub(super) fn entries(&self, projectable: &Projectable) -> Vec<Entry> {
        let uri = || projectable.entity.uri.clone();
        match self.plan.schema.history {
            History::ByOrganisation => {
                projectable.orgs.iter().map(|org| Entry { uri: uri(), org: org.to_string() }).collect()
            }
            History::ByEntity | History::Absent => vec![Entry { uri: uri(), org: String::new() }],
        }
    }

    async fn write_page(&mut self, entity_type: EntityType, due: Vec<Due>) -> Result<(), ProjectionError> {
        if due.is_empty() {
            return Ok(());
        }
        let statement = entities::statements_of(due.iter().map(|due| due.wanted.subject.as_str()));
        if self.plan.mode == Mode::DryRun {
            let rows = self.reading().await?.rows(&statement).await?;
            let stored = entities::stored(self.plan.schema, rows)?;
            for due in &due {
                self.count(entity_type, step(due, &edit(entity_type, due, &stored)));
            }
            return Ok(());
        }
        let mut change = self.change().await?;
        let stored = entities::stored(self.plan.schema, change.rows(&statement).await?)?;
        let edits: Vec<Edit> = due.iter().map(|due| edit(entity_type, due, &stored)).collect();
        let is_change = edits.iter().any(|edit| !edit.difference.is_empty());
        if is_change {
            let sync = self.write(&mut change, entity_type, &due, &edits).await?;
            change.commit().await?;
            self.outcome.sync = Some(sync);
        } else {
            change.rollback().await?;
        }
        for (due, edit) in due.iter().zip(&edits) {
            self.count(entity_type, step(due, edit));
        }
        let given: Vec<Given> = due.into_iter().zip(edits).map(|(due, edit)| given(due, &edit)).collect();
        Ok(self.plan.store.projection_note(entity_type, &given).await?)
    }

    async fn write(
        &self,
        change: &mut Change,
        entity_type: EntityType,
        due: &[Due],
        edits: &[Edit],
    ) -> Result<i64, ProjectionError> {
        let schema = self.plan.schema;
        let sync = self.sync(change).await?;
        let ids = || self.new_id();
        entities::apply(change, schema, edits, &self.moment, &ids).await?;
        if entity_type == EntityType::Class {
            return Ok(sync);
        }
        let (mut created, mut updated, mut checksums) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        for (due, edit) in due.iter().zip(edits).filter(|(_, edit)| !edit.difference.is_empty()) {
            let entity = &due.projectable.entity;
            if entity_type == EntityType::Delivery && !self.imported.contains(&entity.uri) {
                continue;
            }
            let list = if edit.novelty == Novelty::Known { &mut updated } else { &mut created };
            list.extend(self.entries(&due.projectable));
            checksums.insert(entity.uri.clone(), self.checksum(entity_type, &due.projectable));
        }
        history::checksums_note(change, schema, &checksums).await?;
        // Last: in MySQL this table has no transactions.
        for (action, entries) in [(Action::Created, created), (Action::Updated, updated)] {
            history::note(change, schema, sync, (entity_type, action), &entries, &self.moment).await?;
        }
        Ok(sync)
    }

    fn count(&mut self, entity_type: EntityType, step: Step) {
        let tally = self.outcome.tally(entity_type);
        *match step {
            Step::Created => &mut tally.created,
            Step::Updated => &mut tally.updated,
            Step::Recognised => &mut tally.recognised,
            Step::Unchanged => &mut tally.unchanged,
        } += 1;
    }
}

/// What is to be done with an entity, given what TAO holds of it. What is met anew and is as `taoSync` writes it
/// stays as it is.
fn edit(entity_type: EntityType, due: &Due, stored: &HashMap<String, Vec<Stored>>) -> Edit {
    let held = stored.get(&due.wanted.subject).map_or(&[][..], Vec::as_slice);
    let novelty = match (held.is_empty(), entity_type) {
        (false, _) => Novelty::Known,
        (true, EntityType::Class) => Novelty::NewClass,
        (true, _) => Novelty::NewEntity,
    };
    let is_met = due.given.as_ref().is_none_or(|given| given.mark == Digest::default());
    let is_recognised = is_met && is_held(&due.wanted, held);
    let difference = if is_recognised { Difference::default() } else { Difference::of(&due.wanted, held) };
    Edit { subject: due.wanted.subject.clone(), difference, novelty }
}

fn step(due: &Due, edit: &Edit) -> Step {
    match (edit.novelty, edit.difference.is_empty(), &due.given) {
        (Novelty::NewEntity | Novelty::NewClass, ..) => Step::Created,
        (Novelty::Known, false, _) => Step::Updated,
        (Novelty::Known, true, None) => Step::Recognised,
        (Novelty::Known, true, Some(_)) => Step::Unchanged,
    }
}

fn given(due: Due, edit: &Edit) -> Given {
    let sent = due.wanted.predicates.into_iter().map(|wanted| wanted.predicate);
    Given {
        uri: due.wanted.subject,
        mark: due.mark,
        predicates: sent.collect(),
        brought: edit.novelty != Novelty::Known || due.given.is_some_and(|given| given.brought),
    }
}

/// Cuts entities so that what is in memory at once is bounded: by their number, and by their long lists.
fn parts(marks: &[Mark]) -> Vec<&[Mark]> {
    let (mut parts, mut rest) = (Vec::new(), marks);
    while !rest.is_empty() {
        let mut links = 0;
        let fitting = rest.iter().take(PAGE).take_while(|mark| {
            links += mark.links;
            links <= LINKS
        });
        // One alone may be larger: it is written whole.
        let (part, others) = rest.split_at(fitting.count().max(1));
        parts.push(part);
        rest = others;
    }
    parts
}

fn pages(mut due: Vec<Due>) -> Vec<Vec<Due>> {
    let mut pages = Vec::new();
    while !due.is_empty() {
        let rest = due.split_off(due.len().min(PAGE));
        pages.push(due);
        due = rest;
    }
    pages
}

/// Classes so that a parent that is among them stands before its children.
fn parents_first(due: Vec<Due>) -> Vec<Due> {
    let parents: HashMap<String, String> =
        due.iter().map(|due| (due.projectable.entity.uri.clone(), due.projectable.entity.class.clone())).collect();
    let depth = |due: &Due| {
        let mut class = &due.projectable.entity.class;
        // A circle of parents ends too.
        (0..parents.len()).take_while(|_| parents.get(class).map(|parent| class = parent).is_some()).count()
    };
    let mut due: Vec<(usize, Due)> = due.into_iter().map(|due| (depth(&due), due)).collect();
    due.sort_by(|(a, x), (b, y)| (a, &x.wanted.subject).cmp(&(b, &y.wanted.subject)));
    due.into_iter().map(|(_, due)| due).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_cut_by_number_and_by_their_long_lists() {
        let mark = |links| Mark { uri: String::new(), now: Digest::default(), given: None, links };
        let sizes = |links: &[u64]| {
            let marks: Vec<Mark> = links.iter().copied().map(mark).collect();
            parts(&marks).iter().map(|part| part.len()).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[0; PAGE + 1]), [PAGE, 1]);
        assert_eq!(sizes(&[LINKS - 1, 1, 1, LINKS + 1, 1]), [2, 1, 1, 1]);
        assert!(sizes(&[]).is_empty());
    }
}
