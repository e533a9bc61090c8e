//! TAO's tree of classes.

use std::collections::{HashMap, HashSet};

use taosync_model::vocabulary as v;

use crate::{Reading, Statement, TaoError};

/// Classes and their parents; a class may have several, and a hostile tree rings.
#[derive(Debug, Default)]
pub struct ClassTree {
    parents: HashMap<String, Vec<String>>,
    children: HashMap<String, Vec<String>>,
}

impl ClassTree {
    /// Reads all of it: some hundred rows.
    pub async fn read(reading: &mut Reading) -> Result<Self, TaoError> {
        let statement = Statement::new("SELECT subject, object FROM statements WHERE ")
            .equals("predicate", v::RDFS_SUB_CLASS_OF)
            .push(" AND object IS NOT NULL ORDER BY id");
        let mut tree = Self::default();
        for mut row in reading.rows(&statement).await? {
            tree.add(row.take_text(0)?, row.take_text(1)?);
        }
        Ok(tree)
    }

    fn add(&mut self, class: String, parent: String) {
        self.children.entry(parent.clone()).or_default().push(class.clone());
        self.parents.entry(class).or_default().push(parent);
    }

    /// A class with everything below it.
    pub fn below(&self, root: &str) -> HashSet<String> {
        reached(&self.children, [root])
    }

    /// These classes with everything above them.
    pub fn above<'a>(&self, classes: impl IntoIterator<Item = &'a str>) -> HashSet<String> {
        reached(&self.parents, classes)
    }

    /// Its first parent among these.
    pub fn parent_among(&self, class: &str, among: &HashSet<String>) -> Option<&str> {
        self.parents.get(class)?.iter().find(|parent| among.contains(*parent)).map(String::as_str)
    }
}

fn reached<'a>(steps: &HashMap<String, Vec<String>>, from: impl IntoIterator<Item = &'a str>) -> HashSet<String> {
    let mut reached: HashSet<String> = HashSet::new();
    let mut open: Vec<String> = from.into_iter().map(str::to_owned).collect();
    while let Some(class) = open.pop() {
        if !reached.contains(&class) {
            open.extend(steps.get(&class).into_iter().flatten().cloned());
            reached.insert(class);
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_walked_down_and_up_and_a_ring_ends() {
        let mut tree = ClassTree::default();
        for (class, parent) in [("b", "a"), ("c", "b"), ("d", "x"), ("a", "c"), ("c", "x")] {
            tree.add(class.into(), parent.into());
        }
        let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<HashSet<_>>();
        assert_eq!(tree.below("a"), set(&["a", "b", "c"]));
        assert_eq!(tree.above(["d"]), set(&["d", "x"]));
        assert_eq!(tree.parent_among("c", &set(&["x"])), Some("x"));
        assert_eq!(tree.parent_among("c", &set(&["y"])), None);
    }
}
