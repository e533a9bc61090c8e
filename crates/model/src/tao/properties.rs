//! Properties as TAO shows them: one text, or several.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::number::loosely_equal;
use super::sort::sort_by_key;
use crate::scope::FieldChoice;
use crate::{Entity, EntityType, Property, vocabulary as v};

/// The value of one predicate. `Debug` shows how many texts there are: a password's hash can be one.
#[derive(Clone, PartialEq, Eq)]
pub enum Merged {
    /// One text.
    One(String),
    /// Several, in the order they were read.
    Many(Vec<String>),
}

impl std::fmt::Debug for Merged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({} texts)", self.texts().len())
    }
}

impl Merged {
    /// Adds a value the way PHP does: a second one that is loosely equal to the first is dropped, all later ones stay.
    fn push(&mut self, text: &str) {
        match self {
            Self::One(first) if loosely_equal(first, text) => {}
            Self::One(first) => *self = Self::Many(vec![std::mem::take(first), text.to_owned()]),
            Self::Many(list) => list.push(text.to_owned()),
        }
    }

    /// The texts.
    pub fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(list) => list,
        }
    }
}

/// Predicates and their merged values. JSON: an object, or `[]` when there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(Vec<(String, Merged)>);

impl Properties {
    /// What TAO shows of an entity of a type: what the choice carries, with the class as `rdf:type` (on a class the
    /// parent as `rdfs:subClassOf`), and on a delivery with a package the name TAO gives it.
    /// `links` are long lists that are kept apart from the entity.
    pub fn of(entity: &Entity, links: &[Property], entity_type: EntityType, choice: &FieldChoice) -> Self {
        let mut shown = Self::default();
        for property in entity.properties.iter().chain(links).filter(|p| choice.carries(&p.predicate)) {
            let mut values = property.values.iter();
            let Some(first) = values.next() else { continue };
            let mut merged = Merged::One(first.text.clone());
            values.for_each(|value| merged.push(&value.text));
            shown.0.push((property.predicate.clone(), merged));
        }
        match entity_type {
            EntityType::Class if entity.class != v::RDFS_CLASS => {
                shown.add_missing(v::RDFS_SUB_CLASS_OF, &entity.class);
            }
            EntityType::Class => {}
            _ if choice.carries(v::RDF_TYPE) => shown.add_missing(v::RDF_TYPE, &entity.class),
            _ => {}
        }
        if entity_type == EntityType::Delivery && entity.package.is_some() {
            shown.add_missing(v::ORIGIN_TEST_PACKAGE, &package_file(&entity.uri));
        }
        shown.0.sort_by(|(a, _), (b, _)| a.cmp(b));
        shown
    }

    /// Properties from what was merged already, as it came over the network.
    pub fn from_merged(list: Vec<(String, Merged)>) -> Self {
        Self(list)
    }

    /// Predicates and values, in the order they are shown.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Merged)> {
        self.0.iter().map(|(predicate, merged)| (predicate.as_str(), merged))
    }

    /// The texts of a predicate.
    pub fn texts(&self, predicate: &str) -> &[String] {
        self.0.iter().find(|(name, _)| name == predicate).map_or(&[], |(_, merged)| merged.texts())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a text to a predicate that has none.
    pub fn add_missing(&mut self, predicate: &str, text: &str) {
        if !text.is_empty() && self.texts(predicate).is_empty() {
            self.0.push((predicate.to_owned(), Merged::One(text.to_owned())));
        }
    }

    /// PHP's serialisation, with predicates and lists in PHP's order: the bytes that are hashed. Lengths are bytes,
    /// nothing is escaped. A predicate that is a whole number in its shortest form is a number for PHP.
    pub fn serialised(&self) -> Vec<u8> {
        let mut order: Vec<&(String, Merged)> = self.0.iter().collect();
        sort_by_key(&mut order, |(predicate, _)| predicate);
        let mut out = Bytes(Vec::with_capacity(64 + self.0.len() * 160));
        out.begin_list(order.len());
        for (predicate, merged) in order {
            match predicate.parse::<i64>() {
                Ok(number) if number.to_string() == *predicate => out.number(number),
                _ => out.text(predicate),
            }
            match merged {
                Merged::One(text) => out.text(text),
                Merged::Many(list) => {
                    let mut list: Vec<&str> = list.iter().map(String::as_str).collect();
                    sort_by_key(&mut list, |text| text);
                    out.begin_list(list.len());
                    for (place, text) in list.into_iter().enumerate() {
                        out.number(place as i64);
                        out.text(text);
                    }
                    out.0.push(b'}');
                }
            }
        }
        out.0.push(b'}');
        out.0
    }
}

/// Bytes of a PHP serialisation.
struct Bytes(Vec<u8>);

impl Bytes {
    fn begin_list(&mut self, length: usize) {
        self.plain(format_args!("a:{length}:{{"));
    }

    fn number(&mut self, number: i64) {
        self.plain(format_args!("i:{number};"));
    }

    fn text(&mut self, text: &str) {
        self.plain(format_args!("s:{}:\"{text}\";", text.len()));
    }

    fn plain(&mut self, arguments: std::fmt::Arguments<'_>) {
        // Writing into memory does not fail.
        let _ = self.write_fmt(arguments);
    }
}

impl std::fmt::Write for Bytes {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// The file name TAO uses for the package of a delivery; a client stores the package under it (WIRE §3). The name is
/// what stands after `#`; a URI without one, or with an unusual one, is named by its hash.
fn package_file(uri: &str) -> String {
    let local = uri.rsplit_once('#').map_or("", |(_, local)| local);
    let is_plain = !local.is_empty() && local.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let name = if is_plain { local.to_owned() } else { crate::Digest::of(uri.as_bytes()).to_hex()[..32].to_owned() };
    format!("file://synchronisation/{name}%2Fexport.zip")
}

impl Serialize for Merged {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(text) => serializer.serialize_str(text),
            Self::Many(list) => list.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Merged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            One(String),
            Many(Vec<String>),
        }
        Ok(match Form::deserialize(deserializer)? {
            Form::One(text) => Self::One(text),
            Form::Many(list) => Self::Many(list),
        })
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() {
            return serializer.collect_seq(std::iter::empty::<()>());
        }
        serializer.collect_map(self.0.iter().map(|(predicate, merged)| (predicate, merged)))
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectOrEmptyList;
        impl<'de> Visitor<'de> for ObjectOrEmptyList {
            type Value = Properties;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of properties, or an empty list")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Properties, E> {
                Ok(Properties::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Properties, A::Error> {
                match list.next_element::<de::IgnoredAny>()? {
                    None => Ok(Properties::default()),
                    Some(_) => Err(de::Error::custom("properties are a list with something in it")),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Properties, A::Error> {
                let mut places: HashMap<String, usize> = HashMap::new();
                let mut list: Vec<(String, Merged)> = Vec::new();
                while let Some((predicate, merged)) = map.next_entry::<String, Merged>()? {
                    // In PHP the last of equal names counts, in the place of the first.
                    match places.get(&predicate) {
                        Some(&place) => list[place].1 = merged,
                        None => {
                            places.insert(predicate.clone(), list.len());
                            list.push((predicate, merged));
                        }
                    }
                }
                Ok(Properties(list))
            }
        }
        deserializer.deserialize_any(ObjectOrEmptyList)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::PackageRef;
    use crate::{Digest, Value};

    fn properties(entity: &Entity) -> Properties {
        Properties::of(entity, &[], EntityType::TestTaker, &FieldChoice::default_for(EntityType::TestTaker))
    }

    #[test]
    fn values_are_merged_in_the_order_they_are_read() {
        let merged = |values: &[&str]| {
            let mut entity = Entity::new("u", "");
            entity.set("p", values.iter().map(|&text| Value::plain(text)).collect());
            properties(&entity).texts("p").to_vec()
        };
        assert_eq!(merged(&["x", "x"]), ["x"]);
        assert_eq!(merged(&["x", "x", "y"]), ["x", "y"]);
        assert_eq!(merged(&["x", "y", "x"]), ["x", "y", "x"]);
        assert_eq!(merged(&["10", "1e1", "9"]), ["10", "9"]);
    }

    #[test]
    fn the_class_is_the_type_and_excluded_predicates_are_not_shown() {
        let entity = Entity::new("u", v::CLASS_SUBJECT).with(v::CREATED_AT, "1").with(v::RDFS_LABEL, "x");
        let json = serde_json::to_value(properties(&entity)).unwrap();
        assert_eq!(json, serde_json::json!({v::RDF_TYPE: v::CLASS_SUBJECT, v::RDFS_LABEL: "x"}));
        let several = entity.with(v::RDF_TYPE, "a").with(v::RDF_TYPE, "b");
        assert_eq!(properties(&several).texts(v::RDF_TYPE), ["a", "b"]);
    }

    #[test]
    fn a_delivery_names_its_package() {
        let choice = FieldChoice::default_for(EntityType::Delivery);
        let file_of = |uri: &str| {
            let mut entity = Entity::new(uri, v::CLASS_DELIVERY);
            entity.package = Some(PackageRef {
                version: 1,
                tree_digest: Digest([1; 32]),
                compiled_digest: Digest([1; 32]),
                compiler: 1,
                sealed_tree: Digest([1; 32]),
                sealed_tree_bytes: 1,
                files: 1,
                bytes: 1,
            });
            Properties::of(&entity, &[], EntityType::Delivery, &choice).texts(v::ORIGIN_TEST_PACKAGE).to_vec()
        };
        assert_eq!(file_of("https://c.example/tao.rdf#i65f0c1"), ["file://synchronisation/i65f0c1%2Fexport.zip"]);
        assert_eq!(file_of("https://c.example/d#../../etc").len(), 1);
        assert!(!file_of("https://c.example/d#../../etc")[0].contains(".."), "a client uses it as a path");
    }

    #[test]
    fn json_without_properties_is_an_empty_list_both_ways() {
        let none = Properties::default();
        assert_eq!(serde_json::to_string(&none).unwrap(), "[]");
        for text in ["[]", "{}", "null"] {
            assert_eq!(serde_json::from_str::<Properties>(text).unwrap(), none, "{text}");
        }
        for text in ["[1]", "1", r#"{"p":1}"#, r#"{"p":{"a":"b"}}"#] {
            assert!(serde_json::from_str::<Properties>(text).is_err(), "{text}");
        }
        let twice: Properties = serde_json::from_str(r#"{"p":"a","q":"b","p":["c","d"]}"#).unwrap();
        assert_eq!(serde_json::to_string(&twice).unwrap(), r#"{"p":["c","d"],"q":"b"}"#);
    }
}
