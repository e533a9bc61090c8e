//! Entities on their way to being written, each once, however many rows speak of it.

use std::collections::{HashMap, HashSet};

use taosync_model::vocabulary::{RDF_TYPE, root_class};
use taosync_model::{Entity, EntityType, Value};

use super::Plan;
use crate::lookup::FoundEntity;

/// Values up to which looking through them is cheaper than keeping a set of them.
const FEW: usize = 32;

/// An entity as it will be, beside what it was.
pub(super) struct Draft<'f> {
    before: Option<&'f FoundEntity>,
    entity: Entity,
    /// The texts of predicates with many values: a center's list can have hundreds of thousands.
    texts: HashMap<String, HashSet<String>>,
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
            self.replace(predicate, vec![Value::plain(text)]);
        }
    }

    /// All values of a predicate.
    pub(super) fn values(&self, predicate: &str) -> &[Value] {
        self.entity.values(predicate)
    }

    /// Replaces all values of a predicate.
    pub(super) fn replace(&mut self, predicate: &str, values: Vec<Value>) {
        self.texts.remove(predicate);
        self.entity.set(predicate, values);
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
            if let Some(texts) = self.texts.get_mut(predicate) {
                texts.insert(text.to_owned());
            }
        }
    }

    /// Takes a value away.
    pub(super) fn remove(&mut self, predicate: &str, text: &str) {
        if self.has(predicate, text) {
            let kept = self.values(predicate).iter().filter(|v| v.text != text).cloned().collect();
            self.entity.set(predicate, kept);
            if let Some(texts) = self.texts.get_mut(predicate) {
                texts.remove(text);
            }
        }
    }

    fn has(&mut self, predicate: &str, text: &str) -> bool {
        if let Some(texts) = self.texts.get(predicate) {
            return texts.contains(text);
        }
        let values = self.entity.values(predicate);
        let has = values.iter().any(|v| v.text == text);
        if values.len() > FEW {
            let texts = values.iter().map(|v| v.text.clone()).collect();
            self.texts.insert(predicate.to_owned(), texts);
        }
        has
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
            self.list.push(Draft { before: Some(found), entity, texts: HashMap::new(), types, line: None });
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
            let types = vec![entity_type];
            self.list.push(Draft { before: None, entity, texts: HashMap::new(), types, line: None });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(draft: &Draft<'_>) -> Vec<String> {
        draft.values("p").iter().map(|value| value.text.clone()).collect()
    }

    #[test]
    fn many_values_stay_each_once_whatever_happens_between() {
        let mut drafts = Drafts::default();
        let draft = drafts.create("http://example/1", EntityType::TestTaker);
        let names: Vec<String> = (0..3 * FEW).map(|n| format!("v{n}")).collect();
        for name in names.iter().chain(&names) {
            draft.add("p", name);
        }
        assert_eq!(texts(draft), names);
        draft.remove("p", "v50");
        assert!(!texts(draft).contains(&"v50".to_owned()));
        draft.add("p", "v50");
        draft.add("p", "v50");
        assert_eq!(texts(draft).len(), names.len());
        draft.set("p", "v7");
        assert_eq!(texts(draft).len(), names.len(), "it is one of the values already");
        draft.set("p", "alone");
        draft.add("p", "v1");
        draft.add("p", "alone");
        assert_eq!(texts(draft), ["alone", "v1"]);
    }

    #[test]
    fn a_very_long_list_costs_no_more_each_than_a_short_one() {
        let mut drafts = Drafts::default();
        let draft = drafts.create("http://example/1", EntityType::TestTaker);
        // Looked through one by one these would be twenty thousand million comparisons.
        for n in 0..200_000 {
            draft.add("p", &format!("http://example/{n}"));
        }
        assert_eq!(draft.values("p").len(), 200_000);
    }
}
