//! Administrators, proctors, test takers and sync managers.

use taosync_model::EntityType;
use taosync_model::vocabulary as v;
use taosync_vault::passwords::{tao_hash, tao_verify};

use super::drafts::Draft;
use super::{Noted, Open, Planner};
use crate::RosterKind;
use crate::columns::Column;
use crate::lookup::{FoundEntity, Target, holder_of_login, own_uri};
use crate::rows::PersonRow;

pub(super) fn ask(rows: &[PersonRow], open: &mut Open<'_>) {
    for row in rows {
        open.ask(holder_of_login(&row.login));
        if let Some(uri) = &row.uri {
            open.ask(own_uri(uri));
        }
        for center in &row.test_centers {
            open.ask_all(Target::Center.lookups(center));
        }
    }
}

impl<'f> Planner<'f> {
    pub(super) fn people(&mut self, rows: &[PersonRow]) {
        for row in rows {
            if self.problems.is_full() {
                return;
            }
            let centers = self.resolve_list(Target::Center, &row.test_centers, row.line, Column::TestCenters.name());
            let Ok(existing) = self.existing_person(row) else { continue };
            let uri = row.uri.clone().unwrap_or_else(|| self.naming.fresh());
            if let Some(first) = self.claims.claim(existing.map_or(&uri, |found| &found.entity.uri), row.line) {
                self.same_as(row.line, first);
                continue;
            }
            match self.drafts.claim(row.line, existing, &uri, self.kind.entity_type()) {
                Ok(draft) => {
                    write(self.kind, row, draft);
                    for center in centers {
                        draft.add(center_relation(self.kind), &center.entity.uri);
                    }
                }
                Err(first) => self.same_as(row.line, first),
            }
        }
    }

    /// Who the row speaks of: `None` is somebody new.
    fn existing_person(&mut self, row: &PersonRow) -> Result<Option<&'f FoundEntity>, Noted> {
        let holders: Vec<_> = self.found.get(&holder_of_login(&row.login)).collect();
        let existing = match &row.uri {
            Some(uri) => {
                if let Some(other) = holders.iter().find(|h| h.entity.uri != *uri) {
                    let message = format!("the login belongs to {}", other.entity.uri);
                    let advice = "logins are unique: choose another one, or correct the uri";
                    self.problems.cell(row.line, Column::Login.name(), message, advice);
                    return Err(Noted);
                }
                self.found.get(&own_uri(uri)).next()
            }
            None if holders.len() > 1 => {
                let uris: Vec<_> = holders.iter().map(|h| h.entity.uri.as_str()).collect();
                let message = format!("several people have this login: {}", uris.join(", "));
                self.problems.cell(row.line, Column::Login.name(), message, "say which one in a column uri");
                return Err(Noted);
            }
            None => holders.first().copied(),
        };
        match existing.and_then(|found| found.types.iter().find(|t| !go_together(self.kind, **t))) {
            Some(other) => {
                let message = format!("this is a {other} already, and cannot become a {} too", self.kind.entity_type());
                self.problems.cell(row.line, Column::Login.name(), message, "choose another login (and uri)");
                Err(Noted)
            }
            None => Ok(existing),
        }
    }

    /// Notes that two rows speak of one entity.
    pub(super) fn same_as(&mut self, line: u64, first: u64) {
        let message = format!("this is the same {} as on line {first}", self.kind.entity_type());
        self.problems.line(line, message, "keep one of the two rows");
    }
}

/// Staff may have several types under one login. Test takers live in another class, and someone who watches an exam
/// does not sit it.
fn go_together(kind: RosterKind, other: EntityType) -> bool {
    match kind {
        RosterKind::TestTakers => other == EntityType::TestTaker,
        _ => matches!(other, EntityType::Administrator | EntityType::Proctor | EntityType::SyncManager),
    }
}

/// How somebody of this kind is tied to a center.
fn center_relation(kind: RosterKind) -> &'static str {
    if kind == RosterKind::Administrators { v::ADMINISTRATOR_OF } else { v::ASSIGNED_PROCTOR }
}

fn role(kind: RosterKind) -> &'static str {
    match kind {
        RosterKind::Administrators => v::ROLE_ADMINISTRATOR,
        RosterKind::Proctors => v::ROLE_PROCTOR,
        RosterKind::SyncManagers => v::ROLE_SYNC_MANAGER,
        RosterKind::TestTakers | RosterKind::TestCenters | RosterKind::Eligibilities => v::ROLE_TEST_TAKER,
    }
}

fn write(kind: RosterKind, row: &PersonRow, draft: &mut Draft<'_>) {
    draft.set(v::RDFS_LABEL, &row.label);
    draft.set(v::USER_LOGIN, &row.login);
    // A fresh salt would change everybody at every import.
    let is_known = draft.values(v::USER_PASSWORD).first().is_some_and(|stored| tao_verify(&row.password, &stored.text));
    if !is_known {
        draft.set(v::USER_PASSWORD, &tao_hash(&row.password));
    }
    draft.add(v::USER_ROLES, role(kind));
    draft.set(v::USER_INTERFACE_LANGUAGE, &row.interface_language);
    draft.set_if_said(v::USER_DEFAULT_LANGUAGE, row.default_language.as_deref());
    draft.set_if_said(v::USER_FIRST_NAME, row.first_name.as_deref());
    draft.set_if_said(v::USER_LAST_NAME, row.last_name.as_deref());
    draft.set_if_said(v::USER_MAIL, row.mail.as_deref());
    draft.set_if_said(v::ORGANISATION_ID, row.organisation_id.as_deref());
}
