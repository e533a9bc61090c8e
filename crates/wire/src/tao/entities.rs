//! Listings, details and classes (WIRE §3, §6.3 to §6.5).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use taosync_model::tao::Properties;

use super::{PhpMap, SyncParams};

/// An entity. A listing shows no properties, nor does `Debug`: the hash of a password is one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaoEntity {
    /// URI.
    pub id: String,
    /// 32 hexadecimal characters; kept as text, since another side may send anything.
    pub checksum: String,
    /// Properties.
    #[serde(default)]
    pub properties: Properties,
}

impl std::fmt::Debug for TaoEntity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaoEntity").field("id", &self.id).field("checksum", &self.checksum).finish_non_exhaustive()
    }
}

/// A page of a listing, by URI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksumPage {
    /// The type.
    #[serde(rename = "type")]
    pub entity_type: String,
    /// Path and query of the next page; absent on the last one.
    #[serde(rename = "nextCallUrl", default, skip_serializing_if = "Option::is_none")]
    pub next_call_url: Option<String>,
    /// The entities.
    pub entities: PhpMap<TaoEntity>,
}

/// Entities by URI: the answer with details or classes.
pub type Details = PhpMap<TaoEntity>;

/// A request for details. Its parts are looked at one by one, as PHP does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DetailsRequest {
    /// The type.
    #[serde(rename = "type")]
    pub entity_type: String,
    /// A list of URIs, or one.
    #[serde(rename = "entityIds")]
    pub entity_ids: Value,
    /// About the box.
    #[serde(default)]
    pub params: SyncParams,
}

impl DetailsRequest {
    /// The URIs; none when something in the list is none.
    pub fn uris(&self) -> Option<Vec<String>> {
        let texts: Vec<Value> = match &self.entity_ids {
            Value::Array(list) => list.clone(),
            Value::Object(map) => map.values().cloned().collect(),
            other => vec![other.clone()],
        };
        texts.iter().map(|value| value.as_str().filter(|text| is_uri(text)).map(str::to_owned)).collect()
    }
}

/// A request for classes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClassesRequest {
    /// The type the classes are of.
    #[serde(rename = "type")]
    pub entity_type: String,
    /// A list of URIs.
    #[serde(rename = "requested-classes")]
    pub requested_classes: Value,
}

/// Whether a text can be the URI of a resource.
pub fn is_uri(text: &str) -> bool {
    let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    !scheme.is_empty() && scheme.bytes().all(is_scheme) && !rest.is_empty() && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_are_a_list_or_one() {
        let uris = |ids: Value| {
            let request = json!({"type": "test-taker", "entityIds": ids, "params": []});
            serde_json::from_value::<DetailsRequest>(request).unwrap().uris()
        };
        assert_eq!(uris(json!("http://x/#1")).unwrap(), ["http://x/#1"]);
        assert_eq!(uris(json!([])).unwrap().len(), 0);
        for wrong in [json!([5]), json!(["not a uri", ""]), json!([""]), json!(null), json!([["http://x/#1"]])] {
            assert_eq!(uris(wrong.clone()), None, "{wrong}");
        }
    }
}
