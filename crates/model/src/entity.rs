//! One thing of a type: a URI, a class URI, and properties.
//!
//! Names, logins and password hashes are properties, so `Debug` of an entity and of its parts shows no value: an entity
//! stands in many types that derive `Debug`, and what derives it ends in a log some day.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::delivery::PackageRef;

/// An entity as it is stored and as it travels.
///
/// JSON: `{"uri":…,"class":…,"properties":{predicate:[value…]},"package":{…}}`; a value is a string, or
/// `{"value":…,"lang":…}`. Fields a newer version adds are kept in [`Entity::other`], travel on, and are part of the
/// digest.
#[derive(Clone, Default, PartialEq)]
pub struct Entity {
    /// Subject URI.
    pub uri: String,
    /// URI of the class the entity is an instance of; for a class, of its parent.
    pub class: String,
    /// Properties in the order received.
    pub properties: Vec<Property>,
    /// On deliveries: the published package.
    pub package: Option<PackageRef>,
    /// Fields this version does not know.
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// All values of one predicate, in the order received, duplicates kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Property {
    /// Predicate URI.
    pub predicate: String,
    /// Values.
    pub values: Vec<Value>,
}

/// One value of a property.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value {
    /// The text: a literal or a URI; RDF in TAO does not tell them apart (WIRE §3).
    pub text: String,
    /// Language tag, when the statement has one.
    pub lang: Option<String>,
}

impl Value {
    /// A value without a language.
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), lang: None }
    }
}

impl Entity {
    /// An entity without properties.
    pub fn new(uri: impl Into<String>, class: impl Into<String>) -> Self {
        Self { uri: uri.into(), class: class.into(), ..Self::default() }
    }

    /// Adds a value after the values the predicate already has.
    pub fn push(&mut self, predicate: &str, value: Value) {
        match self.properties.iter_mut().find(|p| p.predicate == predicate) {
            Some(property) => property.values.push(value),
            None => self.properties.push(Property { predicate: predicate.to_owned(), values: vec![value] }),
        }
    }

    /// Adds a value without language and returns the entity, for building one in a row.
    #[must_use]
    pub fn with(mut self, predicate: &str, text: impl Into<String>) -> Self {
        self.push(predicate, Value::plain(text));
        self
    }

    /// All values of a predicate.
    pub fn values(&self, predicate: &str) -> &[Value] {
        self.properties.iter().find(|p| p.predicate == predicate).map_or(&[], |p| &p.values)
    }

    /// The first value of a predicate.
    pub fn first(&self, predicate: &str) -> Option<&str> {
        self.values(predicate).first().map(|v| v.text.as_str())
    }

    /// Replaces all values of a predicate; an empty list removes the predicate.
    pub fn set(&mut self, predicate: &str, values: Vec<Value>) {
        self.properties.retain(|p| p.predicate != predicate || !values.is_empty());
        match self.properties.iter_mut().find(|p| p.predicate == predicate) {
            Some(property) => property.values = values,
            None if values.is_empty() => {}
            None => self.properties.push(Property { predicate: predicate.to_owned(), values }),
        }
    }

    /// The label, for people.
    pub fn label(&self) -> &str {
        self.first(crate::vocabulary::RDFS_LABEL).unwrap_or("")
    }
}

impl fmt::Debug for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Entity");
        shown.field("uri", &self.uri).field("class", &self.class).field("properties", &self.properties);
        shown.field("package", &self.package).finish_non_exhaustive()
    }
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} values)", self.predicate, self.values.len())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("lang", &self.lang).finish_non_exhaustive()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.lang {
            None => serializer.serialize_str(&self.text),
            Some(lang) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("value", &self.text)?;
                map.serialize_entry("lang", lang)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;
        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = Value;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or {\"value\", \"lang\"}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value::plain(text))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
                Ok(Value::plain(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let (mut text, mut lang) = (None, None);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "value" => text = Some(map.next_value()?),
                        "lang" => lang = Some(map.next_value()?),
                        other => return Err(de::Error::unknown_field(other, &["value", "lang"])),
                    }
                }
                Ok(Value { text: text.ok_or_else(|| de::Error::missing_field("value"))?, lang })
            }
        }
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// Whether a predicate is in the list. Entities have a dozen, which are looked through; a hostile one can have millions,
/// so from some number on they are also `seen` in a set.
fn is_given(list: &[Property], seen: &mut HashSet<String>, predicate: &str) -> bool {
    const FEW: usize = 32;
    if list.len() < FEW {
        return list.iter().any(|property| property.predicate == predicate);
    }
    if seen.is_empty() {
        seen.extend(list.iter().map(|property| property.predicate.clone()));
    }
    !seen.insert(predicate.to_owned())
}

/// Properties as a JSON object, predicate → values, in order.
struct Properties<'a>(&'a [Property]);

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|p| (&p.predicate, &p.values)))
    }
}

struct PropertyList(Vec<Property>);

impl<'de> Deserialize<'de> for PropertyList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PropertiesVisitor;
        impl<'de> Visitor<'de> for PropertiesVisitor {
            type Value = PropertyList;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of predicate → list of values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PropertyList, A::Error> {
                let mut list: Vec<Property> = Vec::with_capacity(map.size_hint().unwrap_or(12));
                let mut seen = HashSet::new();
                while let Some((predicate, values)) = map.next_entry::<String, Vec<Value>>()? {
                    if is_given(&list, &mut seen, &predicate) {
                        // Not quoted: it comes from outside, and can be megabytes long.
                        return Err(de::Error::custom("a predicate is given twice"));
                    }
                    list.push(Property { predicate, values });
                }
                Ok(PropertyList(list))
            }
        }
        deserializer.deserialize_map(PropertiesVisitor)
    }
}

impl Serialize for Entity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("uri", &self.uri)?;
        map.serialize_entry("class", &self.class)?;
        map.serialize_entry("properties", &Properties(&self.properties))?;
        if let Some(package) = &self.package {
            map.serialize_entry("package", package)?;
        }
        for (key, value) in &self.other {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Entity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntityVisitor;
        impl<'de> Visitor<'de> for EntityVisitor {
            type Value = Entity;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an entity object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entity, A::Error> {
                let mut entity = Entity::default();
                let (mut uri, mut class) = (None, None);
                while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                    match key.as_ref() {
                        "uri" => uri = Some(map.next_value()?),
                        "class" => class = Some(map.next_value()?),
                        "properties" => entity.properties = map.next_value::<PropertyList>()?.0,
                        "package" => entity.package = map.next_value()?,
                        other => {
                            let key = other.to_owned();
                            entity.other.insert(key, map.next_value()?);
                        }
                    }
                }
                entity.uri = uri.ok_or_else(|| de::Error::missing_field("uri"))?;
                entity.class = class.ok_or_else(|| de::Error::missing_field("class"))?;
                Ok(entity)
            }
        }
        deserializer.deserialize_map(EntityVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_order_duplicates_languages_and_unknown_fields() {
        let text =
            r#"{"uri":"u","class":"c","properties":{"p":["b","a","b",{"value":"é","lang":"fr"}]},"later":{"x":1}}"#;
        let entity: Entity = serde_json::from_str(text).expect("valid");
        assert_eq!(entity.values("p").len(), 4);
        assert_eq!(entity.values("p")[3].lang.as_deref(), Some("fr"));
        assert_eq!(serde_json::to_string(&entity).expect("serialises"), text);
    }

    #[test]
    fn a_predicate_given_twice_is_refused() {
        let text = r#"{"uri":"u","class":"c","properties":{"p":["a"],"p":["b"]}}"#;
        let error = serde_json::from_str::<Entity>(text).expect_err("ambiguous").to_string();
        assert!(error.contains("given twice"), "{error}");
    }

    #[test]
    fn many_predicates_cost_no_more_each_than_few() {
        let text = |twice: &str| {
            let many: Vec<_> = (0..50_000).map(|n| format!("\"p{n}\":[]")).collect();
            format!("{{\"uri\":\"u\",\"class\":\"c\",\"properties\":{{{}{twice}}}}}", many.join(","))
        };
        // Comparing each with all others would take minutes here.
        assert_eq!(serde_json::from_str::<Entity>(&text("")).expect("valid").properties.len(), 50_000);
        for twice in [",\"p0\":[]", ",\"p31\":[]", ",\"p32\":[]", ",\"p49999\":[]"] {
            assert!(serde_json::from_str::<Entity>(&text(twice)).is_err(), "{twice}");
        }
    }

    #[test]
    fn debug_shows_what_it_is_about_and_no_value() {
        let mut entity = Entity::new("urn:x:anna", "urn:x:taker").with(crate::vocabulary::USER_PASSWORD, "planted");
        entity.push(crate::vocabulary::RDFS_LABEL, Value { text: "planted".into(), lang: Some("fr".into()) });
        entity.other.insert("planted".into(), "planted".into());
        let shown = format!("{entity:?} {entity:#?} {:?}", entity.values(crate::vocabulary::RDFS_LABEL));
        assert!(!shown.contains("planted"), "{shown}");
        for kept in ["urn:x:anna", "urn:x:taker", crate::vocabulary::USER_PASSWORD, "(1 values)", "fr"] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
    }

    #[test]
    fn setting_nothing_removes_the_predicate() {
        let mut entity = Entity::new("u", "c").with("p", "1");
        entity.set("p", vec![]);
        assert!(entity.properties.is_empty());
        entity.set("q", vec![Value::plain("2")]);
        assert_eq!(entity.first("q"), Some("2"));
    }
}
