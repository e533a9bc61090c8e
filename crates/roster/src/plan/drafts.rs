//! Entities on their way to being written, each once, however many rows speak of it.

use std::collections::HashMap;

use taosync_model::vocabulary::{RDF_TYPE, root_class};
use taosync_model::{Entity, EntityType, Value};

use super::Plan;
use crate::lookup::FoundEntity;

/// An entity as it will be, beside what it was.
pub(super) struct Draft<'f> {
    before: Option<&'f FoundEntity>,
    pub(super) entity: Entity,
    types: Vec<EntityType>,
    /// The line of the row that speaks of this very entity.
    line: Option<u64>,
}

impl Draft<'_> {
    /// Gives the entity one more type.
    pub(super) fn be(&mut self, entity_type: EntityType) {
        if !self.types.contains(&entity_type) {
            self.types.push(entity_type);
            self.types.sort_unstable();
        }
    }

    /// Makes a text the only value, unless it is one already, in whatever language.
    pub(super) fn set(&mut self, predicate: &str, text: &str) {
        if !self.has(predicate, text) {
            self.entity.set(predicate, vec![Value::plain(text)]);
        }
    }

    /// Like [`Draft::set`] when the file says something.
    pub(super) fn set_if_said(&mut self, predicate: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.set(predicate, text);
        }
    }

    /// Adds a value that is not there yet.
    pub(super) fn add(&mut self, predicate: &str, text: &str) {
        if !self.has(predicate, text) {
            self.entity.push(predicate, Value::plain(text));
        }
    }

    /// Takes a value away.
    pub(super) fn remove(&mut self, predicate: &str, text: &str) {
        if self.has(predicate, text) {
            let kept = self.entity.values(predicate).iter().filter(|v| v.text != text).cloned().collect();
            self.entity.set(predicate, kept);
        }
    }

    fn has(&self, predicate: &str, text: &str) -> bool {
        self.entity.values(predicate).iter().any(|v| v.text == text)
    }

    fn is_changed(&self) -> bool {
        self.before.is_none_or(|b| b.entity != self.entity || self.types.iter().any(|t| !b.types.contains(t)))
    }
}

/// All drafts of a plan, in the order in which they were opened.
#[derive(Default)]
pub(super) struct Drafts<'f> {
    list: Vec<Draft<'f>>,
    by_uri: HashMap<String, usize>,
}

impl<'f> Drafts<'f> {
    /// The draft of an entity that exists.
    pub(super) fn of(&mut self, found: &'f FoundEntity) -> &mut Draft<'f> {
        let at = *self.by_uri.entry(found.entity.uri.clone()).or_insert(self.list.len());
        if at == self.list.len() {
            let (entity, types) = (found.entity.clone(), found.types.clone());
            self.list.push(Draft { before: Some(found), entity, types, line: None });
        }
        &mut self.list[at]
    }

    /// The draft of an entity that a row speaks of: the existing one, or a new one. `Err` gives the line of an earlier
    /// row that speaks of the same.
    pub(super) fn claim(
        &mut self,
        line: u64,
        existing: Option<&'f FoundEntity>,
        uri: &str,
        entity_type: EntityType,
    ) -> Result<&mut Draft<'f>, u64> {
        let draft = match existing {
            Some(found) => self.of(found),
            None => self.create(uri, entity_type),
        };
        if let Some(first) = draft.line.replace(line) {
            draft.line = Some(first);
            return Err(first);
        }
        draft.be(entity_type);
        Ok(draft)
    }

    /// A draft that was opened before.
    pub(super) fn by_uri(&mut self, uri: &str) -> Option<&mut Draft<'f>> {
        self.by_uri.get(uri).map(|at| &mut self.list[*at])
    }

    fn create(&mut self, uri: &str, entity_type: EntityType) -> &mut Draft<'f> {
        let at = *self.by_uri.entry(uri.to_owned()).or_insert(self.list.len());
        if at == self.list.len() {
            let class = root_class(entity_type);
            let entity = Entity::new(uri, class).with(RDF_TYPE, class);
            self.list.push(Draft { before: None, entity, types: vec![entity_type], line: None });
        }
        &mut self.list[at]
    }

    /// The plan: what changed, types in the order of a sync.
    pub(super) fn finish(self) -> Plan {
        let mut plan = Plan::default();
        for draft in self.list {
            let changed = draft.is_changed();
            match (draft.line, draft.before) {
                (None, _) => plan.related += usize::from(changed),
                (Some(_), None) => plan.created += 1,
                (Some(_), Some(_)) if changed => plan.updated += 1,
                (Some(_), Some(_)) => plan.unchanged += 1,
            }
            if changed {
                let Draft { entity, types, .. } = draft;
                if let Some((last, others)) = types.split_last() {
                    plan.upserts.extend(others.iter().map(|t| (*t, entity.clone())));
                    plan.upserts.push((*last, entity));
                }
            }
        }
        plan.upserts.sort_by_key(|(t, _)| *t);
        plan
    }
}
