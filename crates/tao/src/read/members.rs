//! Who is what in a TAO: class trees, role tests and relations, as TAO itself selects (WIRE §2).

use std::collections::{BTreeSet, HashMap, HashSet};

use taosync_model::{EntityType, vocabulary as v};

use super::classes::ClassTree;
use crate::{Reading, Row, Statement, TaoError};

/// Entities read at most: one installation has some ten thousands. Bounds memory.
pub const MAX_ENTITIES: usize = 500_000;
/// Subjects that are asked for at once.
const AT_ONCE: usize = 1_000;

/// The members of the types.
#[derive(Debug)]
pub(super) struct Members {
    /// By URI, the types as bits.
    pub types: HashMap<String, i64>,
    /// Classes they are of.
    pub classes: BTreeSet<String>,
    /// Per root class, itself and everything below.
    pub roots: HashMap<&'static str, HashSet<String>>,
}

impl Members {
    pub async fn read(reading: &mut Reading, tree: &ClassTree) -> Result<Self, TaoError> {
        let roots =
            [v::CLASS_TEST_CENTER, v::CLASS_TAO_USER, v::CLASS_SUBJECT, v::CLASS_ELIGIBILITY, v::CLASS_DELIVERY];
        let roots: HashMap<_, _> = roots.into_iter().map(|root| (root, tree.below(root))).collect();
        let mut members = Self { types: HashMap::new(), classes: BTreeSet::new(), roots };
        members.add_named(reading).await?;
        let mut unseen: HashSet<String> = members.types.keys().cloned().collect();
        members.add_instances(reading, &mut unseen).await?;
        members.drop_missing(reading, unseen).await?;
        Ok(members)
    }

    /// Named by an eligibility is enough: TAO checks neither role nor class there. (MySQL's `DISTINCT` would take names that
    /// differ in case for one.)
    async fn add_named(&mut self, reading: &mut Reading) -> Result<(), TaoError> {
        for (predicate, entity_type) in
            [(v::ELIGIBLE_TEST_TAKER, EntityType::TestTaker), (v::ELIGIBLE_DELIVERY, EntityType::Delivery)]
        {
            let statement = Statement::new("SELECT object FROM statements WHERE ")
                .equals("predicate", predicate)
                .push(" AND object IS NOT NULL");
            for mut row in reading.rows(&statement).await? {
                self.add(row.take_text(0)?, entity_type.bit())?;
            }
        }
        Ok(())
    }

    /// Instances of the classes, where their roles fit. Of those `unseen` until then the ones that exist are taken out.
    async fn add_instances(&mut self, reading: &mut Reading, unseen: &mut HashSet<String>) -> Result<(), TaoError> {
        let roles = self.roles(reading).await?;
        let mut others = Vec::new();
        for mut row in self.instances(reading).await? {
            let (uri, class) = (row.take_text(0)?, row.take_text(1)?);
            let types = self.types_of(&class, roles.get(&uri).copied().unwrap_or_default());
            unseen.remove(&uri);
            if types == 0 && !self.types.contains_key(&uri) {
                others.push((uri, class));
                continue;
            }
            self.add(uri, types)?;
            self.note_class(class);
        }
        // Of another of its classes it may have become one.
        for (uri, class) in others {
            if self.types.contains_key(&uri) {
                self.note_class(class);
            }
        }
        Ok(())
    }

    /// One of whom nothing is said does not exist: only others name it.
    async fn drop_missing(&mut self, reading: &mut Reading, unseen: HashSet<String>) -> Result<(), TaoError> {
        let mut missing: Vec<String> = unseen.into_iter().collect();
        missing.sort_unstable();
        for part in missing.chunks(AT_ONCE) {
            let statement = Statement::new("SELECT subject FROM statements WHERE subject IN ")
                .list(part)
                .push(" AND object IS NOT NULL");
            let mut there = HashSet::new();
            for mut row in reading.rows(&statement).await? {
                there.insert(row.take_text(0)?);
            }
            for uri in part.iter().filter(|uri| !there.contains(*uri)) {
                self.types.remove(uri);
            }
        }
        Ok(())
    }

    fn note_class(&mut self, class: String) {
        if !self.classes.contains(&class) {
            self.classes.insert(class);
        }
    }

    async fn instances(&self, reading: &mut Reading) -> Result<Vec<Row>, TaoError> {
        let classes: BTreeSet<&String> = self.roots.values().flatten().collect();
        let statement = Statement::new("SELECT subject, object FROM statements WHERE ")
            .equals("predicate", v::RDF_TYPE)
            .push(" AND ")
            .among("object", classes);
        reading.rows(&statement).await
    }

    /// The types that somebody's roles would make of them, as bits; included roles are not expanded, as in TAO.
    async fn roles(&self, reading: &mut Reading) -> Result<HashMap<String, i64>, TaoError> {
        let mut roles: HashMap<String, i64> = HashMap::new();
        for (role, entity_type) in [
            (v::ROLE_ADMINISTRATOR, EntityType::Administrator),
            (v::ROLE_PROCTOR, EntityType::Proctor),
            (v::ROLE_TEST_TAKER, EntityType::TestTaker),
            (v::ROLE_SYNC_MANAGER, EntityType::SyncManager),
        ] {
            let statement = Statement::new("SELECT subject FROM statements WHERE ")
                .equals("predicate", v::USER_ROLES)
                .push(" AND ")
                .equals("object", role);
            for mut row in reading.rows(&statement).await? {
                *roles.entry(row.take_text(0)?).or_default() |= entity_type.bit();
            }
        }
        Ok(roles)
    }

    fn types_of(&self, class: &str, roles: i64) -> i64 {
        let is_instance = |entity_type: &EntityType| {
            self.roots.get(v::root_class(*entity_type)).is_some_and(|below| below.contains(class))
        };
        let has_role = |entity_type: &EntityType| match entity_type {
            entity_type if entity_type.is_person() => roles & entity_type.bit() != 0,
            _ => true,
        };
        // Users of consumers have the role of sync managers too; they are of another class.
        let types = EntityType::SYNCED.into_iter().chain([EntityType::SyncManager]);
        types.filter(is_instance).filter(has_role).map(EntityType::bit).sum()
    }

    fn add(&mut self, uri: String, types: i64) -> Result<(), TaoError> {
        if types != 0 {
            *self.types.entry(uri).or_default() |= types;
        }
        if self.types.len() > MAX_ENTITIES {
            return Err(TaoError::Damaged { what: format!("there are more than {MAX_ENTITIES} entities") });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_entities_are_held_and_no_more() {
        let mut members = Members { types: HashMap::new(), classes: BTreeSet::new(), roots: HashMap::new() };
        for number in 0..MAX_ENTITIES {
            members.add(number.to_string(), EntityType::TestTaker.bit()).unwrap();
        }
        members.add("0".to_owned(), EntityType::Proctor.bit()).unwrap();
        assert!(members.add("one more".to_owned(), 0).is_ok(), "of no type: not held");
        assert!(matches!(members.add("one more".to_owned(), EntityType::Proctor.bit()), Err(TaoError::Damaged { .. })));
    }
}
