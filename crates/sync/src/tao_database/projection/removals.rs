//! What central has no more: out of TAO's database too, but never while an attempt needs it, and only what a sync had
//! brought (DESIGN §4).

use std::collections::BTreeSet;

use taosync_model::{Digest, EntityType, vocabulary as v};
use taosync_store::projection::PAGE;
use taosync_store::scopes::Turnover;
use taosync_tao::read::open_attempts::{Hold, Holds, attempts_of, holds};
use taosync_tao::schema::History;
use taosync_tao::write::entities;
use taosync_tao::write::history::{self, Action, Entry};
use taosync_tao::{Change, Statement, TaoError};

use super::outcome::Waiting;
use super::{ProjectionError, Run};
use crate::down::guard::Removals;
use crate::session::Mode;

/// Eligibilities first: after them nothing new starts on test takers and deliveries that go.
const ORDER: [EntityType; 7] = [
    EntityType::Eligibility,
    EntityType::TestTaker,
    EntityType::Delivery,
    EntityType::Proctor,
    EntityType::Administrator,
    EntityType::TestCenter,
    EntityType::Class,
];

/// What is known of removals of a type before any of them.
struct Leaving {
    entity_type: EntityType,
    /// Of these, those that a sync had brought may be deleted.
    uris: Vec<String>,
    brought: BTreeSet<String>,
}

impl Run<'_> {
    pub(super) async fn removals(&mut self) -> Result<(), ProjectionError> {
        let unsent = self.plan.store.outbox_names().await?;
        for entity_type in ORDER {
            let leaving = self.leaving(entity_type).await?;
            for part in leaving.uris.chunks(PAGE) {
                self.remove_page(&leaving, part, &unsent).await?;
            }
        }
        Ok(())
    }

    /// What was given and is gone, and, when TAO's data are met anew, what `taoSync` had brought and central does not
    /// have.
    async fn leaving(&mut self, entity_type: EntityType) -> Result<Leaving, ProjectionError> {
        let gone = self.plan.store.projection_gone(entity_type).await?;
        let mut brought: BTreeSet<String> = BTreeSet::new();
        for part in gone.chunks(PAGE) {
            let part: Vec<&str> = part.iter().map(String::as_str).collect();
            let given = self.plan.store.projection_given(entity_type, &part).await?;
            brought.extend(given.into_iter().filter(|given| given.brought).map(|given| given.uri));
            let mut reading = self.reading().await?;
            brought.extend(history::brought_among(&mut reading, self.plan.schema, entity_type, &part).await?);
        }
        let mut uris: BTreeSet<String> = gone.into_iter().collect();
        let strangers = self.strangers(entity_type, &uris).await?;
        brought.extend(strangers.iter().cloned());
        uris.extend(strangers);
        Ok(Leaving { entity_type, uris: uris.into_iter().collect(), brought })
    }

    /// Entities of `taoSync`'s history that are neither here nor `known` to be gone. Many of them at once wait for a
    /// person's word: this TAO may have been another school's.
    async fn strangers(
        &mut self,
        entity_type: EntityType,
        known: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, ProjectionError> {
        let (mut all, mut strangers, mut after) = (BTreeSet::new(), BTreeSet::new(), 0);
        if entity_type == EntityType::Class || !self.is_doubted || !self.is_complete {
            return Ok(strangers);
        }
        let mut reading = self.reading().await?;
        loop {
            let schema = self.plan.schema;
            let page = history::brought(&mut reading, schema, entity_type, after, PAGE as i64).await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            let uris: Vec<&str> = page.iter().map(|(_, uri)| uri.as_str()).collect();
            let here = self.plan.store.replica_holds(entity_type, &uris).await?;
            all.extend(page.iter().map(|(_, uri)| Digest::of(uri.as_bytes())));
            let is_stranger = |uri: &String| !here.contains(uri) && !known.contains(uri);
            strangers.extend(page.into_iter().map(|(_, uri)| uri).filter(is_stranger));
        }
        let all = all.len() as u64;
        let left = strangers.len() as u64;
        let is_large = left > 0 && Turnover { entered: 0, left, before: all }.is_large_removal(entity_type);
        if is_large && self.plan.removals == Removals::Guarded {
            self.outcome.held.insert(entity_type, left);
            return Ok(BTreeSet::new());
        }
        Ok(strangers)
    }

    async fn remove_page(
        &mut self,
        leaving: &Leaving,
        uris: &[String],
        unsent: &BTreeSet<String>,
    ) -> Result<(), ProjectionError> {
        let uris: Vec<&str> = uris.iter().map(String::as_str).collect();
        let elsewhere = self.held_otherwise(leaving.entity_type, &uris).await?;
        let (deletable, others): (Vec<&str>, Vec<&str>) =
            uris.iter().partition(|uri| leaving.brought.contains(**uri) && !elsewhere.contains(**uri));
        if self.plan.mode == Mode::DryRun {
            let mut rows = Vec::new();
            let mut reading = self.reading().await?;
            for statement in self.questions(leaving.entity_type, &deletable) {
                rows.extend(reading.rows(&statement).await?);
            }
            let going = self.going(leaving.entity_type, &deletable, &rows, unsent)?;
            self.outcome.tally(leaving.entity_type).removed += going.len() as u64;
            return Ok(());
        }
        let mut change = self.change().await?;
        let mut rows = Vec::new();
        for statement in self.questions(leaving.entity_type, &deletable) {
            rows.extend(change.rows(&statement).await?);
        }
        let going = self.going(leaving.entity_type, &deletable, &rows, unsent)?;
        if going.is_empty() && others.is_empty() {
            return Ok(change.rollback().await?);
        }
        let sync = self.delete(&mut change, leaving.entity_type, &going, &others).await?;
        change.commit().await?;
        self.outcome.sync = Some(sync);
        self.outcome.tally(leaving.entity_type).removed += going.len() as u64;
        let forgotten: Vec<&str> = going.into_iter().chain(others).collect();
        Ok(self.plan.store.projection_forget(leaving.entity_type, &forgotten).await?)
    }

    /// What an org here holds under another type: a proctor who is no administrator any more stays.
    async fn held_otherwise(
        &self,
        entity_type: EntityType,
        uris: &[&str],
    ) -> Result<BTreeSet<String>, ProjectionError> {
        let mut held = BTreeSet::new();
        for other in EntityType::FEED.into_iter().filter(|other| *other != entity_type) {
            held.extend(self.plan.store.replica_holds(other, uris).await?);
        }
        Ok(held)
    }

    /// What has to be asked of TAO before anything of a type goes.
    fn questions(&self, entity_type: EntityType, uris: &[&str]) -> Vec<Statement> {
        match entity_type {
            _ if uris.is_empty() => Vec::new(),
            EntityType::TestTaker | EntityType::Delivery => attempts_of(self.plan.schema, uris),
            EntityType::Class => vec![
                Statement::new("SELECT object FROM statements WHERE predicate IN ")
                    .list([v::RDF_TYPE, v::RDFS_SUB_CLASS_OF])
                    .push(" AND ")
                    .among("object", uris.iter().copied())
                    .push(" GROUP BY object"),
            ],
            _ => Vec::new(),
        }
    }

    /// Those that nothing needs; the others are noted as waiting.
    fn going<'u>(
        &mut self,
        entity_type: EntityType,
        uris: &[&'u str],
        rows: &[taosync_tao::Row],
        unsent: &BTreeSet<String>,
    ) -> Result<Vec<&'u str>, TaoError> {
        let asked: BTreeSet<&str> = uris.iter().copied().collect();
        let is_exam = matches!(entity_type, EntityType::TestTaker | EntityType::Delivery);
        let attempts = if is_exam { holds(&asked, rows)? } else { Holds::new() };
        let mut used = BTreeSet::new();
        if entity_type == EntityType::Class {
            for row in rows {
                used.insert(row.text(0)?.to_owned());
            }
        }
        let mut going = Vec::new();
        for uri in uris {
            let reason = match attempts.get(*uri) {
                Some(Hold::Open) => "an attempt is open in TAO",
                Some(Hold::Unsent) => "an attempt in TAO has not been handed in",
                None if is_exam && unsent.contains(*uri) => "a result waits to be handed in",
                None if used.contains(*uri) => "TAO has something of this class",
                None => {
                    going.push(*uri);
                    continue;
                }
            };
            let (uri, reason) = ((*uri).to_owned(), reason.to_owned());
            self.outcome.waiting.push(Waiting { entity_type, uri, reason });
        }
        Ok(going)
    }

    async fn delete(
        &self,
        change: &mut Change,
        entity_type: EntityType,
        going: &[&str],
        others: &[&str],
    ) -> Result<i64, ProjectionError> {
        let schema = self.plan.schema;
        let sync = self.sync(change).await?;
        if !going.is_empty() {
            entities::remove(change, going.iter().copied()).await?;
        }
        if entity_type == EntityType::Class {
            return Ok(sync);
        }
        history::checksums_forget(change, schema, going.iter().copied()).await?;
        let entry = |uri: &&str| match schema.history {
            History::ByOrganisation => {
                self.orgs.iter().map(|org| Entry { uri: (*uri).to_owned(), org: org.clone() }).collect()
            }
            History::ByEntity | History::Absent => vec![Entry { uri: (*uri).to_owned(), org: String::new() }],
        };
        let entries: BTreeSet<Entry> = going.iter().chain(others).flat_map(entry).collect();
        history::note(change, schema, sync, (entity_type, Action::Deleted), &entries, &self.moment).await?;
        Ok(sync)
    }
}
