//! What a box says about itself and its sync with every request (WIRE §6.1).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::query::Query;
use super::text_of;

/// The parameters, in JSON bodies under `params` or `sync_params`. Fields a form of the box adds are in `other`; `Debug`
/// shows their names only: one can be a key.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub struct SyncParams {
    /// Organisation id; absent where scopes are not set up.
    pub organisation_id: Option<String>,
    /// Number of the sync, counted by the box.
    pub sync_id: Option<String>,
    /// What the box calls itself.
    pub box_id: Option<String>,
    /// Version of TAO on the box.
    pub tao_version: Option<String>,
    /// Whether a listing is to show properties too, or details none.
    pub with_properties: Option<bool>,
    /// State of the machine: a report, in confirmations.
    pub client_state: Option<Value>,
    /// Everything else.
    pub other: Map<String, Value>,
}

impl fmt::Debug for SyncParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let other: Vec<&String> = self.other.keys().collect();
        f.debug_struct("SyncParams")
            .field("organisation_id", &self.organisation_id)
            .field("sync_id", &self.sync_id)
            .field("box_id", &self.box_id)
            .field("tao_version", &self.tao_version)
            .field("other", &other)
            .finish_non_exhaustive()
    }
}

impl SyncParams {
    /// The parameters of an address.
    pub fn of_query(query: &Query) -> Self {
        let text = |name: &str| query.param(name).map(str::to_owned);
        Self {
            organisation_id: text("organisation_id").filter(|org| !org.is_empty()),
            sync_id: text("sync_id"),
            box_id: text("box_id"),
            tao_version: text("tao_version"),
            with_properties: text("withProperties").map(|text| is_true(&text)),
            ..Self::default()
        }
    }
}

/// What PHP takes for true in a text.
fn is_true(text: &str) -> bool {
    !text.is_empty() && text != "0"
}

impl From<Value> for SyncParams {
    /// Anything but an object has no parameters, as in PHP.
    fn from(value: Value) -> Self {
        let Value::Object(mut other) = value else { return Self::default() };
        let mut take = |name: &str| {
            let value = other.remove(name)?;
            text_of(&value).or_else(|| value.as_bool().map(|is| u8::from(is).to_string()))
        };
        let params = Self {
            organisation_id: take("organisation_id").filter(|org| !org.is_empty()),
            sync_id: take("sync_id"),
            box_id: take("box_id"),
            tao_version: take("tao_version"),
            with_properties: take("withProperties").map(|text| is_true(&text)),
            ..Self::default()
        };
        let client_state = other.remove("client_state");
        Self { client_state, other, ..params }
    }
}

impl From<SyncParams> for Value {
    fn from(params: SyncParams) -> Self {
        let mut object = params.other;
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(name.to_owned(), value);
            }
        };
        put("organisation_id", params.organisation_id.map(Value::from));
        // A number for the box that counts with numbers.
        put("sync_id", params.sync_id.map(|id| id.parse::<i64>().map_or_else(|_| Value::from(id), Value::from)));
        put("box_id", params.box_id.map(Value::from));
        put("tao_version", params.tao_version.map(Value::from));
        put("withProperties", params.with_properties.map(|with| Value::from(u8::from(with))));
        put("client_state", params.client_state);
        Self::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_and_texts_are_both_read_and_the_rest_is_kept() {
        let params: SyncParams =
            serde_json::from_value(json!({"sync_id": 12, "box_id": "b", "tao_version": 3.4, "x": [1]})).unwrap();
        assert_eq!((params.sync_id.as_deref(), params.tao_version.as_deref()), (Some("12"), Some("3.4")));
        assert_eq!(serde_json::to_value(&params).unwrap()["x"], json!([1]));
        for nothing in [json!([]), json!(null), json!("x")] {
            assert_eq!(SyncParams::from(nothing), SyncParams::default());
        }
        let query = Query::parse("params[tao_version]=1&params[withProperties]=0&params[organisation_id]=");
        let params = SyncParams::of_query(&query);
        assert_eq!((params.with_properties, params.organisation_id), (Some(false), None));
    }
}
