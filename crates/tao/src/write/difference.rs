//! What has to go and what has to come so that `statements` holds what is wanted of a subject.

use std::collections::HashMap;

use super::wanted::{Literal, Wanted, WantedPredicate};
use crate::Value;

/// Longer lists have no order (as links of the feed have none): only what differs is touched.
const ORDERED: usize = 256;

/// A row of `statements` of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The row's id: a number, or a text in newer TAOs.
    pub id: Value,
    /// Predicate URI.
    pub predicate: String,
    /// Object and language.
    pub literal: Literal,
}

/// A statement to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Triple {
    /// Predicate URI.
    pub predicate: String,
    /// Object and language.
    pub literal: Literal,
}

/// What has to be done with one subject.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Rows that go.
    pub gone: Vec<Value>,
    /// Statements that come, in order.
    pub come: Vec<Triple>,
}

impl Difference {
    /// Whether nothing has to be done.
    pub const fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.come.is_empty()
    }

    /// What has to be done with a subject of which these rows were read. Rows of predicates that are not ours are never
    /// touched. A predicate that holds what is wanted, in whatever order, stays as it is.
    pub fn of(wanted: &Wanted, stored: &[Stored]) -> Self {
        let mut difference = Self::default();
        for predicate in &wanted.ours {
            let held: Vec<&Stored> = stored.iter().filter(|row| row.predicate == *predicate).collect();
            difference.add(predicate, wanted.literals(predicate), &held);
        }
        // In the order of the entity, not of the set above.
        let place = |triple: &Triple| wanted.predicates.iter().position(|w| w.predicate == triple.predicate);
        difference.come.sort_by_key(place);
        difference
    }

    fn add(&mut self, predicate: &str, literals: &[Literal], held: &[&Stored]) {
        let mut missing: HashMap<&Literal, i64> = HashMap::new();
        for literal in literals {
            *missing.entry(literal).or_default() += 1;
        }
        let mut surplus = Vec::new();
        for row in held {
            match missing.get_mut(&row.literal) {
                Some(left) if *left > 0 => *left -= 1,
                _ => surplus.push(row.id.clone()),
            }
        }
        if surplus.is_empty() && missing.values().all(|left| *left == 0) {
            return;
        }
        let triple = |literal: &Literal| Triple { predicate: predicate.to_owned(), literal: literal.clone() };
        if literals.len().max(held.len()) <= ORDERED {
            self.gone.extend(held.iter().map(|row| row.id.clone()));
            self.come.extend(literals.iter().map(triple));
            return;
        }
        self.gone.extend(surplus);
        for literal in literals.iter().rev() {
            if let Some(left) = missing.get_mut(literal).filter(|left| **left > 0) {
                *left -= 1;
                self.come.push(triple(literal));
            }
        }
    }
}

/// Whether a subject that nobody of us has written holds what is wanted, by TAO's own rule: values compared as PHP merges
/// them, languages not looked at, and `taoSync`'s doubled `rdf:type` is one. Predicates that central never sent are not
/// looked at.
pub fn is_held(wanted: &Wanted, stored: &[Stored]) -> bool {
    let is_surplus = |row: &Stored| wanted.ours.contains(&row.predicate) && wanted.literals(&row.predicate).is_empty();
    !stored.iter().any(is_surplus)
        && wanted.predicates.iter().all(|predicate| {
            let held = stored.iter().filter(|row| row.predicate == predicate.predicate);
            let (wanted, held) = (merged(&predicate.literals), merged(held.map(|row| &row.literal)));
            !held.is_empty() && wanted == held
        })
}

/// Objects as TAO's checksum sees them: a second one that is loosely equal to the first is none; sorted.
fn merged<'a>(literals: impl IntoIterator<Item = &'a Literal>) -> Vec<&'a str> {
    let mut objects: Vec<&str> = Vec::new();
    for literal in literals {
        let is_merged = matches!(objects.as_slice(), [first]
            if taosync_model::tao::loosely_equal(first, &literal.object));
        if !is_merged {
            objects.push(&literal.object);
        }
    }
    objects.sort_unstable();
    objects
}

impl WantedPredicate {
    /// A predicate with one object without language.
    pub fn plain(predicate: &str, object: impl Into<String>) -> Self {
        let literals = vec![Literal { object: object.into(), language: String::new() }];
        Self { predicate: predicate.to_owned(), literals }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Literal {
        let (object, language) = text.split_once('@').unwrap_or((text, ""));
        Literal { object: object.into(), language: language.into() }
    }

    fn wanted(predicates: &[(&str, &[&str])], given: &[&str]) -> Wanted {
        let predicates: Vec<WantedPredicate> = predicates
            .iter()
            .map(|(predicate, texts)| WantedPredicate {
                predicate: (*predicate).into(),
                literals: texts.iter().map(|text| literal(text)).collect(),
            })
            .collect();
        let sent = predicates.iter().map(|w| w.predicate.clone());
        let ours = given.iter().map(|p| (*p).to_owned()).chain(sent).collect();
        Wanted { subject: "s".into(), predicates, ours }
    }

    fn stored(rows: &[(i64, &str, &str)]) -> Vec<Stored> {
        let row = |(id, predicate, text): &(i64, &str, &str)| Stored {
            id: Value::Integer(*id),
            predicate: (*predicate).into(),
            literal: literal(text),
        };
        rows.iter().map(row).collect()
    }

    fn said(difference: &Difference) -> (Vec<i64>, Vec<String>) {
        let number = |id: &Value| if let Value::Integer(id) = id { *id } else { 0 };
        let text = |t: &Triple| format!("{} {}@{}", t.predicate, t.literal.object, t.literal.language);
        (difference.gone.iter().map(number).collect(), difference.come.iter().map(text).collect())
    }

    #[test]
    fn only_what_differs_is_touched_and_what_is_local_stays() {
        let held = stored(&[(1, "label", "old@en"), (2, "login", "a"), (3, "CreatedAt", "1.5"), (4, "mail", "x")]);
        let difference = Difference::of(&wanted(&[("login", &["a"]), ("label", &["new@en"])], &["mail"]), &held);
        assert_eq!(said(&difference), (vec![1, 4], vec!["label new@en".into()]), "mail was given once and is no more");
        assert!(Difference::of(&wanted(&[("login", &["a"])], &[]), &held).is_empty());
    }

    #[test]
    fn another_order_is_no_difference_and_a_changed_list_keeps_the_order_wanted() {
        let held = stored(&[(1, "mail", "b"), (2, "mail", "a")]);
        assert!(Difference::of(&wanted(&[("mail", &["a", "b"])], &[]), &held).is_empty());
        let difference = Difference::of(&wanted(&[("mail", &["a", "c", "b"])], &[]), &held);
        assert_eq!(said(&difference), (vec![1, 2], vec!["mail a@".into(), "mail c@".into(), "mail b@".into()]));
    }

    #[test]
    fn of_a_long_list_one_row_goes_and_one_comes() {
        let texts: Vec<String> = (0..1_000).map(|n| format!("t{n}")).collect();
        let rows: Vec<_> = texts.iter().enumerate().map(|(n, text)| (n as i64, "taker", text.as_str())).collect();
        let mut now: Vec<&str> = texts.iter().map(String::as_str).collect();
        now[7] = "new";
        let difference = Difference::of(&wanted(&[("taker", &now)], &[]), &stored(&rows));
        assert_eq!(said(&difference), (vec![7], vec!["taker new@".into()]));
    }

    #[test]
    fn a_doubled_statement_is_one_too_many() {
        let held = stored(&[(1, "type", "c"), (2, "type", "c")]);
        assert_eq!(said(&Difference::of(&wanted(&[("type", &["c"])], &[]), &held)).0, [1, 2]);
    }

    #[test]
    fn what_tao_sync_wrote_is_recognised() {
        let held = stored(&[
            (1, "type", "c"),
            (2, "type", "c"),
            (3, "comment", "un@en"),
            (4, "comment", "deux@en"),
            (5, "CreatedAt", "1"),
        ]);
        let comments: &[&str] = &["deux@fr", "un@en"];
        assert!(is_held(&wanted(&[("type", &["c"]), ("comment", comments)], &[]), &held));
        assert!(!is_held(&wanted(&[("type", &["c"]), ("comment", &["un@en"])], &[]), &held), "another number");
        assert!(!is_held(&wanted(&[("type", &["c"]), ("login", &["a"])], &[]), &held), "one is missing");
        assert!(!is_held(&wanted(&[("type", &["c"])], &["comment"]), &held), "central sends it no more");
    }
}
