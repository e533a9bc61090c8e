//! PHP's arrays in JSON.

use std::collections::HashMap;
use std::marker::PhantomData;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Names and values in the order they came; `[]` in JSON when empty. A JSON list is read with its places as names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhpMap<T>(pub Vec<(String, T)>);

impl<T> Default for PhpMap<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> PhpMap<T> {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

impl<T> FromIterator<(String, T)> for PhpMap<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(list: I) -> Self {
        Self(list.into_iter().collect())
    }
}

impl<T: Serialize> Serialize for PhpMap<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() {
            return serializer.collect_seq(std::iter::empty::<()>());
        }
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for PhpMap<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Array<T> {
            type Value = PhpMap<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object or a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<PhpMap<T>, A::Error> {
                let mut map = Vec::new();
                while let Some(value) = list.next_element()? {
                    map.push((map.len().to_string(), value));
                }
                Ok(PhpMap(map))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<PhpMap<T>, A::Error> {
                let mut places: HashMap<String, usize> = HashMap::new();
                let mut map: Vec<(String, T)> = Vec::new();
                while let Some((name, value)) = object.next_entry::<String, T>()? {
                    // In PHP the last of equal names counts.
                    match places.get(&name) {
                        Some(&place) => map[place].1 = value,
                        None => {
                            places.insert(name.clone(), map.len());
                            map.push((name, value));
                        }
                    }
                }
                Ok(PhpMap(map))
            }
        }
        deserializer.deserialize_any(Array(PhantomData))
    }
}

/// A text or number as text; nothing else has one.
pub fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_a_list_and_both_are_read() {
        let map: PhpMap<i32> = serde_json::from_str(r#"{"b":1,"a":2,"b":3}"#).unwrap();
        assert_eq!(map.0, [("b".to_owned(), 3), ("a".to_owned(), 2)]);
        assert_eq!(serde_json::to_string(&map).unwrap(), r#"{"b":3,"a":2}"#);
        assert_eq!(serde_json::from_str::<PhpMap<i32>>("[7]").unwrap().get("0"), Some(&7));
        for empty in ["[]", "{}"] {
            let map: PhpMap<i32> = serde_json::from_str(empty).unwrap();
            assert_eq!(serde_json::to_string(&map).unwrap(), "[]");
        }
        assert!(serde_json::from_str::<PhpMap<i32>>("null").is_err());
    }
}
