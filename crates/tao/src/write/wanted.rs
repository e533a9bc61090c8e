//! What `statements` should hold of an entity, as TAO writes it (WIRE §3), worked out before anything is read.

use std::collections::BTreeSet;

use taosync_model::scope::FieldChoice;
use taosync_model::tao::{Properties, loosely_equal};
use taosync_model::{Entity, EntityType, Value};

/// In which language TAO writes what has none of its own.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Languages {
    /// The language data are in, such as `en-US`.
    pub data: String,
    /// Predicates that are declared language dependent.
    pub dependent: BTreeSet<String>,
}

impl Languages {
    /// The language of a statement: the value's own; else that of the data where the predicate depends on one.
    fn of<'a>(&'a self, predicate: &str, value: &'a Value) -> &'a str {
        match &value.lang {
            Some(own) => own,
            None if self.dependent.contains(predicate) => &self.data,
            None => "",
        }
    }
}

/// Object and language of a statement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Literal {
    /// Text or URI.
    pub object: String,
    /// Language, empty without one.
    pub language: String,
}

/// What is wanted of one predicate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedPredicate {
    /// URI.
    pub predicate: String,
    /// Objects in order.
    pub literals: Vec<Literal>,
}

/// What is wanted of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// URI.
    pub subject: String,
    /// Predicates in order; none twice.
    pub predicates: Vec<WantedPredicate>,
    /// Predicates that central sends or once sent: what TAO holds of them is ours to replace, everything else is the
    /// local TAO's own and stays.
    pub ours: BTreeSet<String>,
}

impl Wanted {
    /// What TAO is to hold of an entity of a type. `given` are the predicates that were given before.
    ///
    /// Two equal values of a predicate become one statement, as PHP merges them; values in different languages stay two.
    pub fn of(
        entity: &Entity,
        entity_type: EntityType,
        choice: &FieldChoice,
        languages: &Languages,
        given: &BTreeSet<String>,
    ) -> Self {
        let shown = Properties::of(entity, &[], entity_type, choice);
        let predicates: Vec<WantedPredicate> = shown
            .iter()
            .map(|(predicate, merged)| {
                let own = entity.values(predicate);
                let added: Vec<Value> = merged.texts().iter().map(Value::plain).collect();
                let values = if own.is_empty() { &added } else { own };
                WantedPredicate { predicate: predicate.to_owned(), literals: literals(predicate, values, languages) }
            })
            .collect();
        let sent = predicates.iter().map(|wanted| wanted.predicate.clone());
        let ours = given.iter().filter(|predicate| choice.carries(predicate)).cloned().chain(sent).collect();
        Self { subject: entity.uri.clone(), predicates, ours }
    }

    /// The same without a predicate: what TAO holds of it stays as it is.
    #[must_use]
    pub fn leaving(mut self, predicate: &str) -> Self {
        self.predicates.retain(|wanted| wanted.predicate != predicate);
        self.ours.remove(predicate);
        self
    }

    /// What is wanted of a predicate.
    pub fn literals(&self, predicate: &str) -> &[Literal] {
        self.predicates.iter().find(|wanted| wanted.predicate == predicate).map_or(&[], |wanted| &wanted.literals)
    }
}

fn literals(predicate: &str, values: &[Value], languages: &Languages) -> Vec<Literal> {
    let mut literals: Vec<Literal> = Vec::with_capacity(values.len());
    for value in values {
        let literal = Literal { object: value.text.clone(), language: languages.of(predicate, value).to_owned() };
        let is_merged = matches!(literals.as_slice(), [first]
            if first.language == literal.language && loosely_equal(&first.object, &literal.object));
        if !is_merged {
            literals.push(literal);
        }
    }
    literals
}

#[cfg(test)]
mod tests {
    use taosync_model::vocabulary as v;

    use super::*;

    fn languages() -> Languages {
        Languages { data: "en-US".into(), dependent: [v::RDFS_LABEL.to_owned()].into() }
    }

    fn pairs<'a>(wanted: &'a Wanted, predicate: &str) -> Vec<(&'a str, &'a str)> {
        wanted.literals(predicate).iter().map(|l| (l.object.as_str(), l.language.as_str())).collect()
    }

    #[test]
    fn languages_are_the_values_own_or_that_of_the_data() {
        let mut entity = Entity::new("u", v::CLASS_SUBJECT).with(v::RDFS_LABEL, "Anna").with(v::USER_LOGIN, "anna");
        entity.push(v::RDFS_LABEL, Value { text: "Anna".into(), lang: Some("fr-FR".into()) });
        let choice = FieldChoice::default_for(EntityType::TestTaker);
        let wanted = Wanted::of(&entity, EntityType::TestTaker, &choice, &languages(), &BTreeSet::new());
        assert_eq!(pairs(&wanted, v::RDFS_LABEL), [("Anna", "en-US"), ("Anna", "fr-FR")]);
        assert_eq!(pairs(&wanted, v::USER_LOGIN), [("anna", "")]);
        assert_eq!(pairs(&wanted, v::RDF_TYPE), [(v::CLASS_SUBJECT, "")], "the class is a type, once");
    }

    #[test]
    fn equal_values_are_one_statement_as_php_merges_them() {
        let mut entity = Entity::new("u", v::CLASS_SUBJECT);
        for (predicate, texts) in [("one", ["1", "01", "1.0"]), ("three", ["a", "b", "a"])] {
            for text in texts {
                entity.push(predicate, Value::plain(text));
            }
        }
        let choice = FieldChoice::default_for(EntityType::TestTaker);
        let wanted = Wanted::of(&entity, EntityType::TestTaker, &choice, &languages(), &BTreeSet::new());
        assert_eq!(pairs(&wanted, "one"), [("1", "")]);
        assert_eq!(pairs(&wanted, "three"), [("a", ""), ("b", ""), ("a", "")]);
    }

    #[test]
    fn what_was_given_once_is_ours_and_what_does_not_travel_is_not() {
        let entity = Entity::new("u", v::CLASS_DELIVERY).with(v::DELIVERY_RUNTIME, "theirs");
        let choice = FieldChoice::default_for(EntityType::Delivery);
        let given = ["gone".to_owned(), v::DELIVERY_CONTAINER.to_owned()].into();
        let wanted = Wanted::of(&entity, EntityType::Delivery, &choice, &languages(), &given);
        assert!(wanted.ours.contains("gone") && wanted.ours.contains(v::RDF_TYPE));
        assert!(!wanted.ours.contains(v::DELIVERY_CONTAINER) && wanted.literals(v::DELIVERY_RUNTIME).is_empty());
        let wanted = wanted.leaving(v::RDF_TYPE);
        assert!(!wanted.ours.contains(v::RDF_TYPE) && wanted.literals(v::RDF_TYPE).is_empty());
    }
}
