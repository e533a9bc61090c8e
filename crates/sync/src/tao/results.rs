//! From TAO's variables to QTI Results Reporting. Nothing is lost on the way: what has no place of its own becomes an
//! attribute of its variable, or stands under `tao` beside the result.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use taosync_model::assessment::{
    AssessmentResult, Attempt, Context, ItemResult, SessionIdentifier, TestResult, Variable, VariableKind,
    VariableValue,
};
use taosync_wire::tao::results::{OUTCOME, RESPONSE, TEMPLATE, TRACE, TaoResult, TaoVariable};
use taosync_wire::tao::{epoch_text, text_of, time_of};

use crate::runner::fold::{SOURCE_DELIVERY, STATUS_FINAL};
use crate::tao_remote::variables::{calls_of, data_of};

/// Who gave the identifier of the execution in `sessionIdentifier`.
const SOURCE_EXECUTION: &str = "tao:execution";
/// The number TAO gives the first try of an item.
const FIRST_TRY: &str = "0";

/// The attempt that a box hands in as `execution`.
pub(crate) fn attempt_of(execution: &str, result: &TaoResult) -> Attempt {
    let mut test: Vec<Variable> = Vec::new();
    let mut test_name: Option<&str> = None;
    let mut items: Vec<ItemResult> = Vec::new();
    let mut came = Came::default();
    let mut uris: Map<String, Value> = Map::new();
    let stamp = stamp_of(result);
    for variable in &result.variables {
        test_name = test_name.or(variable.test.as_deref());
        let Some(call) = variable.call_id_item.as_deref() else {
            test.push(variable_of(variable));
            came.of_test.push(variable);
            continue;
        };
        let place = came.place_of(call);
        if place == items.len() {
            let identifier = item_identifier(call, execution, result);
            if let Some(uri) = &variable.item {
                uris.insert(identifier.clone(), Value::from(uri.clone()));
            }
            items.push(ItemResult {
                identifier,
                sequence_index: None,
                datestamp: stamp.clone(),
                session_status: STATUS_FINAL.to_owned(),
                candidate_comment: None,
                variables: Vec::new(),
            });
        }
        items[place].variables.push(variable_of(variable));
        came.of_items[place].push(variable);
    }
    let identifier = test_name.unwrap_or(&result.delivery_id).to_owned();
    let test = (!test.is_empty()).then_some(TestResult { identifier, datestamp: stamp, variables: test });
    let session = |source: &str, identifier: &str| SessionIdentifier {
        source_id: source.to_owned(),
        identifier: identifier.to_owned(),
    };
    let context = Context {
        sourced_id: result.details.test_taker.clone(),
        sessions: vec![session(SOURCE_DELIVERY, &result.delivery_id), session(SOURCE_EXECUTION, execution)],
    };
    let (exact, named) = (came.exact(test.as_ref(), &items), came.named(execution, &items));
    let mut about = json!({
        "execution": execution,
        "inner_execution": result.delivery_execution_id,
        "label": result.details.label,
        "state": result.details.state,
        "started": result.details.starttime,
        "finished": result.details.finishtime,
        "test": test_name,
        "items": uris,
    });
    // Mostly there is nothing that our form cannot say.
    for (field, map) in [("exact", exact), ("calls", named)] {
        if !map.is_empty() {
            about[field] = Value::Object(map);
        }
    }
    let other = Map::from_iter([("tao".to_owned(), about)]);
    Attempt { result: AssessmentResult { context, test, items }, log: Vec::new(), session: None, other }
}

/// The variables of a result as they came, in the order in which our form has them.
#[derive(Default)]
struct Came<'r> {
    of_test: Vec<&'r TaoVariable>,
    of_items: Vec<Vec<&'r TaoVariable>>,
    places: HashMap<&'r str, usize>,
    calls: Vec<&'r str>,
}

impl<'r> Came<'r> {
    fn place_of(&mut self, call: &'r str) -> usize {
        *self.places.entry(call).or_insert_with(|| {
            self.calls.push(call);
            self.of_items.push(Vec::new());
            self.calls.len() - 1
        })
    }

    /// Call ids that are not made of execution, item and try, by the place of the item.
    fn named(&self, execution: &str, items: &[ItemResult]) -> Map<String, Value> {
        let usual = calls_of(execution, items);
        let odd = self.calls.iter().zip(&usual).enumerate().filter(|(_, (call, usual))| *call != usual);
        odd.map(|(place, (call, _))| (place.to_string(), Value::from(*call))).collect()
    }

    /// Variables that do not come back from our form as they were, whole, by their place.
    fn exact(&self, test: Option<&TestResult>, items: &[ItemResult]) -> Map<String, Value> {
        let came = self.of_test.iter().chain(self.of_items.iter().flatten());
        let kept = test.into_iter().flat_map(|test| &test.variables).chain(items.iter().flat_map(|i| &i.variables));
        let changed = came.zip(kept).enumerate().filter(|(_, (came, kept))| {
            let epoch = kept.at.map(epoch_text).unwrap_or_default();
            !says_the_same(&came.data, &data_of(kept, &epoch))
        });
        changed.map(|(place, (came, _))| (place.to_string(), Value::Object(came.data.clone()))).collect()
    }
}

/// Whether nothing is lost: a field that is null or absent says nothing, and a missing type is a text's.
fn says_the_same(came: &Map<String, Value>, comes_back: &Map<String, Value>) -> bool {
    came.iter().filter(|(_, value)| !value.is_null()).all(|(name, value)| comes_back.get(name) == Some(value))
        && comes_back.iter().all(|(name, value)| {
            let is_filled_in = matches!(name.as_str(), "baseType" | "externallyGraded" | "type" | "epoch");
            value.is_null() || is_filled_in || came.contains_key(name)
        })
}

/// When the execution ended, or else began.
fn stamp_of(result: &TaoResult) -> String {
    let times = [&result.details.finishtime, &result.details.starttime];
    times.into_iter().flatten().find_map(|text| time_of(text)).map(|time| time.to_string()).unwrap_or_default()
}

/// `<execution>.item-3.0` is the first try of `item-3`.
fn item_identifier(call: &str, execution: &str, result: &TaoResult) -> String {
    let executions = [execution, &result.delivery_execution_id];
    let rest = executions.iter().find_map(|id| call.strip_prefix(*id)?.strip_prefix('.')).unwrap_or(call);
    match rest.rsplit_once('.') {
        Some((item, FIRST_TRY)) => item.to_owned(),
        _ => rest.to_owned(),
    }
}

fn variable_of(variable: &TaoVariable) -> Variable {
    let kind = match variable.kind.as_str() {
        RESPONSE => VariableKind::Response,
        TRACE => VariableKind::Trace,
        TEMPLATE => VariableKind::Template,
        _ => VariableKind::Outcome,
    };
    let mut data = variable.data.clone();
    let mut take = |name: &str| data.remove(name).and_then(|value| text_of(&value));
    let identifier = take("identifier").unwrap_or_default();
    let cardinality = take("cardinality").unwrap_or_default();
    let base_type = take("baseType");
    let at = take("epoch").and_then(|text| time_of(&text));
    let value = match kind {
        VariableKind::Response => take("candidateResponse"),
        VariableKind::Trace => take("trace"),
        VariableKind::Outcome | VariableKind::Template => take("value"),
    };
    take("type");
    let mut attributes: Vec<(String, String)> = Vec::new();
    if ![RESPONSE, TRACE, TEMPLATE, OUTCOME].contains(&variable.kind.as_str()) {
        attributes.push(("class".to_owned(), variable.kind.clone()));
    }
    let values = value.map(|text| {
        let text = if kind == VariableKind::Trace { text } else { decoded(text, &mut attributes) };
        parts_of(&text, &cardinality, base_type.as_deref())
    });
    let rest = data.into_iter().filter(|(_, value)| !value.is_null());
    attributes.extend(rest.map(|(name, value)| (name, text_of(&value).unwrap_or_else(|| value.to_string()))));
    Variable { kind, identifier, cardinality, base_type, values, correct: None, attributes, at }
}

/// Values travel in base64. What is no text stays in it, and what is no base64 stays as it came; an attribute says so.
fn decoded(text: String, attributes: &mut Vec<(String, String)>) -> String {
    let mut keep = |encoding: &str| attributes.push(("encoding".to_owned(), encoding.to_owned()));
    match STANDARD.decode(&text).map(String::from_utf8) {
        Ok(Ok(plain)) => plain,
        Ok(Err(_)) => {
            keep("base64");
            text
        }
        Err(_) => {
            keep("as received");
            text
        }
    }
}

/// The values of a list such as `[a; b]` or `<a; b>`, where taking it apart and putting it together again gives the
/// same; texts may hold anything and stay whole.
fn parts_of(text: &str, cardinality: &str, base_type: Option<&str>) -> Vec<VariableValue> {
    let value = |text: &str| VariableValue { text: text.to_owned(), ..VariableValue::default() };
    let brackets = match cardinality {
        "multiple" => Some(('[', ']')),
        "ordered" => Some(('<', '>')),
        _ => None,
    };
    let is_plain = !matches!(base_type, None | Some("string" | "file"));
    let inner = brackets.filter(|_| is_plain).and_then(|(open, close)| text.strip_prefix(open)?.strip_suffix(close));
    match inner {
        Some("") => Vec::new(),
        Some(inner) if !inner.contains(['[', ']', '<', '>']) => inner.split("; ").map(value).collect(),
        _ => vec![value(text)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tao_remote::variables::result_of;
    use taosync_model::item::{Envelope, ItemKind};
    use taosync_wire::tao::results::ResultsRequest;
    use uuid::Uuid;

    fn result() -> TaoResult {
        let response = |call: &str, item: &str, text: &str, cardinality: &str| {
            json!({
                "type": RESPONSE, "callIdTest": null, "callIdItem": call, "test": "urn:test", "item": item,
                "data": {
                    "identifier": "RESPONSE", "cardinality": cardinality, "baseType": "identifier",
                    "epoch": "0.25000000 1767169200", "correctResponse": true, "candidateResponse": STANDARD.encode(text),
                },
            })
        };
        serde_json::from_value(json!({
            "deliveryId": "urn:delivery", "deliveryExecutionId": "urn:e",
            "details": {
                "identifier": "urn:e", "label": "Maths", "test-taker": "urn:anna",
                "starttime": "0.5 1767168000", "finishtime": null, "state": "urn:finished",
            },
            "variables": [
                {"type": "Unheard", "callIdTest": "urn:e", "data": {"identifier": "SUM", "value": "MC41", "normalMaximum": 1}},
                response("urn:e.item-1.0", "urn:i1", "[b; a]", "multiple"),
                response("urn:e.item-1.1", "urn:i1", "é", "single"),
                {"type": TRACE, "callIdItem": "urn:e.item-1.0", "data": {"identifier": "SHOWN", "trace": "{\"a\":1}"}},
                {"type": RESPONSE, "callIdItem": "elsewhere", "data": {"identifier": "R", "candidateResponse": "/w=="}},
                {"type": RESPONSE, "callIdItem": "elsewhere", "data": {"identifier": "S", "candidateResponse": "???"}},
                {"type": RESPONSE, "callIdItem": "elsewhere", "data": {"identifier": "N", "candidateResponse": null}},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn variables_find_their_items_and_keep_everything() {
        let attempt = attempt_of("urn:e", &result());
        let result = &attempt.result;
        assert_eq!(result.context.sourced_id.as_deref(), Some("urn:anna"));
        let names: Vec<_> = result.items.iter().map(|item| item.identifier.as_str()).collect();
        assert_eq!(names, ["item-1", "item-1.1", "elsewhere"]);
        let sum = &result.test.as_ref().unwrap().variables[0];
        assert_eq!((sum.kind, sum.values.as_ref().unwrap()[0].text.as_str()), (VariableKind::Outcome, "0.5"));
        assert!(sum.attributes.contains(&("class".into(), "Unheard".into())));
        assert!(sum.attributes.contains(&("normalMaximum".into(), "1".into())));
        let first = &result.items[0].variables[0];
        let texts: Vec<_> = first.values.as_ref().unwrap().iter().map(|value| value.text.as_str()).collect();
        assert_eq!(texts, ["b", "a"]);
        assert_eq!(first.at.unwrap().to_string(), "2025-12-31T08:20:00.25Z");
        assert_eq!(first.attributes, [("correctResponse".to_owned(), "true".to_owned())]);
        assert_eq!(result.items[0].variables[1].values.as_ref().unwrap()[0].text, "{\"a\":1}");
        let odd = &result.items[2].variables;
        assert_eq!(odd[0].attributes, [("encoding".to_owned(), "base64".to_owned())]);
        assert_eq!(odd[1].attributes, [("encoding".to_owned(), "as received".to_owned())]);
        assert_eq!(odd[2].values, None);
        assert_eq!(attempt.other["tao"]["items"]["item-1"], "urn:i1");
    }

    #[test]
    fn what_a_tao_handed_in_is_what_another_tao_is_given() {
        let mut came = result();
        came.variables[0].data.insert("identifier".to_owned(), json!("SUM"));
        let attempt = attempt_of("urn:e", &came);
        let envelope = Envelope {
            delivery: Some("urn:delivery".into()),
            test_taker: Some("urn:anna".into()),
            ..Envelope::first(ItemKind::Attempt, Uuid::nil(), "School".parse().unwrap(), Uuid::nil(), b"")
        };
        let given = result_of(&envelope, &attempt, "another label");
        assert!(given.details == came.details);
        // In our order: of the test, then item by item.
        let order = [0, 1, 3, 2, 4, 5, 6];
        for (given, came) in given.variables.iter().zip(order.map(|place| &came.variables[place])) {
            assert_eq!((&given.kind, &given.call_id_item), (&came.kind, &came.call_id_item));
            assert!(says_the_same(&came.data, &given.data), "{:?} {:?}", came.data, given.data);
        }
        assert_eq!(given.variables.len(), came.variables.len());
    }

    /// What a real TAO handed in, taken in and given to another TAO, is the same request, value by value.
    #[test]
    fn a_recorded_hand_in_comes_back_as_it_was() {
        let path = "../../../shared/tao/captures/flow_F4_results_09_syncResults.json";
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let Ok(recorded) = std::fs::read(path) else {
            println!("SKIPPED: the recordings of a real pair are not there");
            return;
        };
        let recorded: Value = serde_json::from_slice(&recorded).unwrap();
        let body = recorded["request"]["body"].as_str().unwrap();
        let request: ResultsRequest = serde_json::from_str(body).unwrap();
        assert!(request.results.0.len() > 2);
        for (execution, value) in &request.results.0 {
            let came = TaoResult::read(value).unwrap();
            let attempt = attempt_of(execution, &came);
            assert!(attempt.other["tao"].get("exact").is_none(), "our form says all of it");
            let envelope = Envelope {
                delivery: Some(came.delivery_id.clone()),
                test_taker: came.details.test_taker.clone(),
                ..Envelope::first(ItemKind::Attempt, Uuid::nil(), "School".parse().unwrap(), Uuid::nil(), b"")
            };
            let given = serde_json::to_value(result_of(&envelope, &attempt, "another")).unwrap();
            let sorted = |value: &Value| {
                let mut texts: Vec<String> =
                    value["variables"].as_array().unwrap().iter().map(ToString::to_string).collect();
                texts.sort();
                texts
            };
            assert_eq!(sorted(&given), sorted(value));
            for field in ["deliveryId", "deliveryExecutionId", "details"] {
                assert_eq!(given[field], value[field]);
            }
        }
    }

    #[test]
    fn what_our_form_cannot_say_is_kept_whole() {
        let mut came = result();
        came.variables[1].data.insert("normalMinimum".to_owned(), json!({"odd": 1}));
        let attempt = attempt_of("urn:e", &came);
        assert_eq!(attempt.other["tao"]["exact"]["1"], Value::Object(came.variables[1].data.clone()));
        assert_eq!(attempt.other["tao"]["calls"], json!({"1": "urn:e.item-1.1", "2": "elsewhere"}));
    }

    #[test]
    fn lists_are_taken_apart_only_where_nothing_is_lost() {
        let parts = |text: &str, cardinality: &str, base_type: Option<&str>| {
            parts_of(text, cardinality, base_type).into_iter().map(|value| value.text).collect::<Vec<_>>()
        };
        assert_eq!(parts("[a; b]", "multiple", Some("identifier")), ["a", "b"]);
        assert_eq!(parts("<1; 2>", "ordered", Some("integer")), ["1", "2"]);
        assert_eq!(parts("[]", "multiple", Some("pair")), [""; 0]);
        assert_eq!(parts("[a; b]", "single", Some("identifier")), ["[a; b]"]);
        assert_eq!(parts("['a; b']", "multiple", Some("string")), ["['a; b']"]);
        assert_eq!(parts("a; b", "multiple", Some("identifier")), ["a; b"]);
    }
}
