//! Eligibilities: the two sides of who may sit what (WIRE §1.2).

use std::collections::{HashMap, HashSet};

use taosync_model::vocabulary as v;
use taosync_model::{EntityType, Value};

use super::references::{Place, candidates};
use super::{Noted, Open, Planner};
use crate::columns::Column;
use crate::lookup::{Found, FoundEntity, Target, eligibilities_of, own_uri};
use crate::rows::{EligibilityRow, Proctoring};

pub(super) fn ask(rows: &[EligibilityRow], open: &mut Open<'_>) {
    for row in rows {
        open.ask_all(Target::Center.lookups(&row.test_center));
        open.ask_all(Target::Delivery.lookups(&row.delivery));
        for taker in &row.test_takers {
            open.ask_all(Target::TestTaker.lookups(taker));
        }
        if let Some(uri) = &row.uri {
            open.ask(own_uri(uri));
        }
    }
    if open.lookups.is_empty() {
        for row in rows {
            ask_further(row, open);
        }
    }
}

/// Once center and delivery are known: the eligibility they have now, then those who lose it.
fn ask_further(row: &EligibilityRow, open: &mut Open<'_>) {
    let found = open.found;
    let centers = candidates(found, Target::Center, &row.test_center);
    let deliveries = candidates(found, Target::Delivery, &row.delivery);
    let ([center], [delivery]) = (centers.as_slice(), deliveries.as_slice()) else {
        return; // The plan will say why.
    };
    open.ask(eligibilities_of(&center.entity.uri));
    let own = row.uri.iter().flat_map(|uri| found.get(&own_uri(uri)));
    for eligibility in pair(found, center, delivery).chain(own) {
        for taker in eligibility.entity.values(v::ELIGIBLE_TEST_TAKER) {
            if found.uri(&taker.text).is_none() {
                open.ask_all(Target::TestTaker.lookups(&taker.text));
            }
        }
    }
}

/// Eligibilities of a center for a delivery; there should be one at most.
fn pair<'f>(
    found: &'f Found,
    center: &FoundEntity,
    delivery: &FoundEntity,
) -> impl Iterator<Item = &'f FoundEntity> + use<'f> {
    let delivery = delivery.entity.uri.clone();
    let is_of = move |e: &&FoundEntity| e.entity.values(v::ELIGIBLE_DELIVERY).iter().any(|d| d.text == delivery);
    found.get(&eligibilities_of(&center.entity.uri)).filter(is_of)
}

impl<'f> Planner<'f> {
    pub(super) fn eligibilities(&mut self, rows: &[EligibilityRow]) {
        let mut pairs: HashMap<(&str, &str), u64> = HashMap::new();
        for row in rows {
            if self.problems.is_full() {
                return;
            }
            let place = |column: Column| Place { line: row.line, column: column.name(), entry: None };
            let center = self.resolve(Target::Center, &row.test_center, place(Column::TestCenter));
            let delivery = self.resolve(Target::Delivery, &row.delivery, place(Column::Delivery));
            let takers = self.resolve_list(Target::TestTaker, &row.test_takers, row.line, Column::TestTakers.name());
            let (Some(center), Some(delivery)) = (center, delivery) else { continue };
            let first = *pairs.entry((&center.entity.uri, &delivery.entity.uri)).or_insert(row.line);
            if first != row.line {
                let message = format!("line {first} is about the same test center and delivery");
                self.problems.line(row.line, message, "name all test takers in one row, separated by |");
                continue;
            }
            self.eligibility(row, center, delivery, &takers);
        }
    }

    fn eligibility(
        &mut self,
        row: &EligibilityRow,
        center: &FoundEntity,
        delivery: &FoundEntity,
        takers: &[&'f FoundEntity],
    ) {
        let Ok(existing) = self.existing_eligibility(row, center, delivery) else { return };
        let uri = match (existing, &row.uri) {
            (Some(found), _) => found.entity.uri.clone(),
            (None, Some(uri)) => uri.clone(),
            (None, None) => self.naming.fresh(),
        };
        let draft = match self.drafts.claim(row.line, existing, &uri, EntityType::Eligibility) {
            Ok(draft) => draft,
            Err(first) => return self.same_as(row.line, first),
        };
        match &row.label {
            Some(label) => draft.set(v::RDFS_LABEL, label),
            None if existing.is_none() => {
                let label = format!("{} – {}", delivery.entity.label(), center.entity.label());
                draft.set(v::RDFS_LABEL, &label);
            }
            None => {}
        }
        draft.set(v::ELIGIBLE_TEST_CENTER, &center.entity.uri);
        draft.set(v::ELIGIBLE_DELIVERY, &delivery.entity.uri);
        match row.proctored {
            Some(Proctoring::Needed) => draft.set(v::BY_PASS_PROCTOR, v::GENERIS_FALSE),
            Some(Proctoring::ByPassed) => draft.set(v::BY_PASS_PROCTOR, v::GENERIS_TRUE),
            None => {}
        }
        let wanted: HashSet<&str> = takers.iter().map(|t| t.entity.uri.as_str()).collect();
        let before = draft.values(v::ELIGIBLE_TEST_TAKER).to_vec();
        let dropped: Vec<&str> = before.iter().map(|t| t.text.as_str()).filter(|t| !wanted.contains(t)).collect();
        draft.replace(v::ELIGIBLE_TEST_TAKER, replaced(&before, takers, &wanted));
        for taker in takers {
            self.drafts.of(taker).add(v::USER_ASSIGNMENT, &uri);
        }
        for taker in dropped.into_iter().filter_map(|t| self.found.uri(t)) {
            self.drafts.of(taker).remove(v::USER_ASSIGNMENT, &uri);
        }
    }

    /// The eligibility the row speaks of: by its URI, or by center and delivery.
    fn existing_eligibility(
        &mut self,
        row: &EligibilityRow,
        center: &FoundEntity,
        delivery: &FoundEntity,
    ) -> Result<Option<&'f FoundEntity>, Noted> {
        let same: Vec<_> = pair(self.found, center, delivery).collect();
        let own = row.uri.as_ref().and_then(|uri| self.found.get(&own_uri(uri)).next());
        let uris = || same.iter().map(|e| e.entity.uri.as_str()).collect::<Vec<_>>().join(", ");
        let is_other = |t: &&EntityType| **t != EntityType::Eligibility;
        if let Some(other) = own.and_then(|found| found.types.iter().find(is_other)) {
            let message = format!("this is the URI of a {other}");
            self.problems.cell(row.line, Column::Uri.name(), message, "correct it, or leave it empty");
            return Err(Noted);
        }
        match (&row.uri, same.as_slice()) {
            (Some(uri), same) if same.iter().any(|e| e.entity.uri != *uri) => {
                let message = format!("this test center and delivery have an eligibility already: {}", uris());
                self.problems.cell(row.line, Column::Uri.name(), message, "use its URI, or leave the cell empty");
                Err(Noted)
            }
            (Some(_), _) => Ok(own),
            (None, []) => Ok(None),
            (None, [one]) => Ok(Some(one)),
            (None, _) => {
                let message = format!("this test center and delivery have several eligibilities: {}", uris());
                self.problems.line(row.line, message, "remove all but one, or say which in a column uri");
                Err(Noted)
            }
        }
    }
}

/// The new list of test takers: who stays keeps the place they had, so that an equal list is an equal entity.
fn replaced(before: &[Value], takers: &[&FoundEntity], wanted: &HashSet<&str>) -> Vec<Value> {
    let mut seen = HashSet::new();
    let stay = before.iter().filter(|t| wanted.contains(t.text.as_str())).cloned();
    let come = takers.iter().map(|t| Value::plain(&*t.entity.uri));
    stay.chain(come).filter(|t| seen.insert(t.text.clone())).collect()
}
