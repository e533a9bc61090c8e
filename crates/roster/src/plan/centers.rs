//! Test centers, and the people and sub centers their rows name.

use std::collections::{HashMap, HashSet};

use taosync_model::EntityType;
use taosync_model::vocabulary as v;

use super::references::{Place, candidates};
use super::{Noted, Open, Planner};
use crate::columns::Column;
use crate::lookup::{FoundEntity, LookupBy, Target, centers_with, own_uri};
use crate::rows::CenterRow;

/// Centers of the file that one name is held against: more are only counted as several.
const MORE_THAN_SHOWN: usize = 10;

pub(super) fn ask(rows: &[CenterRow], open: &mut Open<'_>) {
    for row in rows {
        // Organisation id and label: by either the row itself may be known.
        open.ask(centers_with(LookupBy::OrganisationId, &row.organisation_id));
        open.ask(centers_with(LookupBy::Label, &row.label));
        if let Some(uri) = &row.uri {
            open.ask(own_uri(uri));
        }
        let lists = [
            (Target::Administrator, &row.administrators),
            (Target::Proctor, &row.proctors),
            (Target::Center, &row.sub_centers),
        ];
        for (target, texts) in lists {
            for text in texts {
                open.ask_all(target.lookups(text));
            }
        }
    }
}

impl<'f> Planner<'f> {
    pub(super) fn centers(&mut self, rows: &[CenterRow]) {
        let mut uris = Vec::with_capacity(rows.len());
        for row in rows {
            let Ok(existing) = self.existing_center(row) else { continue };
            let uri = match (existing, &row.uri) {
                (Some(found), _) => found.entity.uri.clone(),
                (None, Some(uri)) => uri.clone(),
                (None, None) => self.naming.fresh(),
            };
            match self.drafts.claim(row.line, existing, &uri, EntityType::TestCenter) {
                Ok(draft) => {
                    draft.set(v::RDFS_LABEL, &row.label);
                    draft.set(v::ORGANISATION_ID, &row.organisation_id);
                    uris.push((row, uri));
                }
                Err(first) => self.same_as(row.line, first),
            }
        }
        let names = NamesInFile::of(&uris);
        for (row, uri) in &uris {
            if self.problems.is_full() {
                return;
            }
            self.sub_centers(row, uri, &names);
            self.staff(row, uri);
        }
    }

    /// Which center the row speaks of: by its URI, or by its organisation id and label together, as several centers can
    /// share an organisation id; or by its label alone where no organisation id is kept yet.
    fn existing_center(&mut self, row: &CenterRow) -> Result<Option<&'f FoundEntity>, Noted> {
        if let Some(uri) = &row.uri {
            let existing = self.found.get(&own_uri(uri)).next();
            let other = existing.and_then(|found| found.types.iter().find(|t| **t != EntityType::TestCenter));
            if let Some(other) = other {
                let message = format!("this is the URI of a {other}");
                self.problems.cell(row.line, Column::Uri.name(), message, "correct it, or leave it empty");
                return Err(Noted);
            }
            return Ok(existing);
        }
        let of_org: Vec<_> = self
            .found
            .get(&centers_with(LookupBy::OrganisationId, &row.organisation_id))
            .filter(|c| c.entity.first(v::ORGANISATION_ID) == Some(&row.organisation_id))
            .collect();
        let labelled = |c: &&FoundEntity| c.entity.values(v::RDFS_LABEL).iter().any(|l| l.text == row.label);
        let same_label: Vec<_> = of_org.iter().copied().filter(labelled).collect();
        let without_org: Vec<_> = self
            .found
            .get(&centers_with(LookupBy::Label, &row.label))
            .filter(|c| c.entity.first(v::ORGANISATION_ID).is_none_or(str::is_empty))
            .collect();
        match (same_label.as_slice(), of_org.as_slice(), without_org.as_slice()) {
            ([one], _, _) | ([], [], [one]) => Ok(Some(one)),
            ([], [_, ..], _) | ([], [], []) => Ok(None),
            (several, _, others) => {
                let uris: Vec<_> = several.iter().chain(others).map(|c| c.entity.uri.as_str()).collect();
                let message = format!("several test centers match: {}", uris.join(", "));
                self.problems.cell(row.line, Column::OrganisationId.name(), message, "say which in a column uri");
                Err(Noted)
            }
        }
    }

    fn sub_centers(&mut self, row: &CenterRow, uri: &str, names: &NamesInFile<'_>) {
        for (at, text) in row.sub_centers.iter().enumerate() {
            let place = Place { line: row.line, column: Column::SubCenters.name(), entry: Some(at + 1) };
            let mut uris: Vec<&str> =
                candidates(self.found, Target::Center, text).iter().map(|c| c.entity.uri.as_str()).collect();
            let mut seen: HashSet<&str> = uris.iter().copied().collect();
            uris.extend(names.get(text).iter().filter(|known| seen.insert(known)).take(MORE_THAN_SHOWN));
            match uris.as_slice() {
                [one] if *one == uri => {
                    let message = format!("entry {}: a test center cannot be its own sub center", at + 1);
                    self.problems.cell(row.line, place.column, message, "remove the entry");
                }
                [one] => self.add_child(uri, one),
                _ => self.unresolved(Target::Center, text, place, &uris),
            }
        }
    }

    fn add_child(&mut self, center: &str, child: &str) {
        if let Some(draft) = self.drafts.by_uri(center) {
            draft.add(v::CENTER_CHILDREN, child);
        }
    }

    /// The relation sits on the people (WIRE §1.2).
    fn staff(&mut self, row: &CenterRow, uri: &str) {
        let lists = [
            (Target::Administrator, &row.administrators, Column::Administrators, v::ADMINISTRATOR_OF),
            (Target::Proctor, &row.proctors, Column::Proctors, v::ASSIGNED_PROCTOR),
        ];
        for (target, texts, column, relation) in lists {
            for person in self.resolve_list(target, texts, row.line, column.name()) {
                self.drafts.of(person).add(relation, uri);
            }
        }
    }
}

/// Centers of the file itself, by everything that can name them: a sub center may stand further down.
struct NamesInFile<'a>(HashMap<&'a str, Vec<&'a str>>);

impl<'a> NamesInFile<'a> {
    fn of(rows: &'a [(&CenterRow, String)]) -> Self {
        let mut names: HashMap<&str, Vec<&str>> = HashMap::new();
        for (row, uri) in rows {
            for name in [row.label.as_str(), row.organisation_id.as_str(), uri.as_str()] {
                let list = names.entry(name).or_default();
                // A whole region shares one organisation id: looking through the list would take for ever. What two
                // rows bring twice is told apart where it is used.
                if list.last() != Some(&uri.as_str()) {
                    list.push(uri);
                }
            }
        }
        Self(names)
    }

    fn get(&self, text: &str) -> &[&'a str] {
        self.0.get(text).map_or(&[], Vec::as_slice)
    }
}
