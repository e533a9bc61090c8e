//! From QTI Results Reporting to TAO's variables: the way back of what central does with them (`tao::results`).

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use taosync_model::assessment::{Attempt, ItemResult, Variable, VariableKind, VariableValue};
use taosync_model::execution::ExecutionState;
use taosync_model::item::Envelope;
use taosync_wire::tao::epoch_text;
use taosync_wire::tao::results::{Details, OUTCOME, RESPONSE, TEMPLATE, TRACE, TaoResult, TaoVariable};

use crate::tao::names;

/// An attempt as TAO takes it. What a TAO itself once said of it (`tao` beside the result) is said again as it was.
pub(crate) fn result_of(envelope: &Envelope, attempt: &Attempt, label: &str) -> TaoResult {
    let about = About(attempt.other.get("tao"));
    let name = names::of_attempt(attempt, envelope.item);
    let delivery = envelope.delivery.clone().unwrap_or_default();
    let variables = variables_of(&Call { name: &name, delivery: &delivery, about }, envelope, attempt);
    let time = |said: &str, known: Option<Timestamp>| about.text(said).or_else(|| known.map(epoch_text));
    let details = Details {
        identifier: Some(name.clone()),
        label: Some(about.text("label").unwrap_or_else(|| label.to_owned())),
        test_taker: envelope.test_taker.clone(),
        starttime: time("started", envelope.started_at),
        finishtime: time("finished", envelope.finished_at),
        state: about.text("state").or_else(|| envelope.state.map(ExecutionState::uri)),
    };
    TaoResult { delivery_id: delivery, delivery_execution_id: name, details, variables }
}

/// What a TAO said of an attempt that it ran.
#[derive(Clone, Copy)]
struct About<'a>(Option<&'a Value>);

impl<'a> About<'a> {
    fn text(self, field: &str) -> Option<String> {
        self.0?.get(field)?.as_str().map(str::to_owned)
    }

    fn text_in(self, map: &str, name: &str) -> Option<String> {
        self.0?.get(map)?.get(name)?.as_str().map(str::to_owned)
    }

    fn exact(self, place: usize) -> Option<&'a Map<String, Value>> {
        self.0?.get("exact")?.get(place.to_string())?.as_object()
    }
}

/// Whose variables they are.
struct Call<'a> {
    name: &'a str,
    delivery: &'a str,
    about: About<'a>,
}

/// First those of the test, then item by item.
fn variables_of(call: &Call<'_>, envelope: &Envelope, attempt: &Attempt) -> Vec<TaoVariable> {
    let Call { name, delivery, about } = call;
    let at = envelope.finished_at.or(envelope.started_at).unwrap_or_default();
    let test = about.text("test").unwrap_or_else(|| (*delivery).to_owned());
    let variable = |variable: &Variable| TaoVariable {
        kind: class_of(variable),
        call_id_test: None,
        call_id_item: None,
        test: Some(test.clone()),
        item: None,
        data: data_of(variable, &epoch_text(variable.at.unwrap_or(at))),
    };
    let of_test = attempt.result.test.iter().flat_map(|test| &test.variables);
    let of_test = of_test.map(|v| TaoVariable { call_id_test: Some((*name).to_owned()), ..variable(v) });
    let mut variables: Vec<TaoVariable> = of_test.collect();
    let usual = calls_of(name, &attempt.result.items);
    for (place, (item, usual)) in attempt.result.items.iter().zip(usual).enumerate() {
        let call = about.text_in("calls", &place.to_string()).unwrap_or(usual);
        let uri = about.text_in("items", &item.identifier).unwrap_or_else(|| beside(delivery, &item.identifier));
        let of_item = item.variables.iter().map(|v| TaoVariable {
            call_id_item: Some(call.clone()),
            item: Some(uri.clone()),
            ..variable(v)
        });
        variables.extend(of_item);
    }
    for (place, variable) in variables.iter_mut().enumerate() {
        if let Some(data) = about.exact(place) {
            variable.data = data.clone();
        }
    }
    variables
}

/// The call id of each item: execution, item and try, with points between. An item that comes twice in an attempt counts
/// its tries.
pub(crate) fn calls_of(name: &str, items: &[ItemResult]) -> Vec<String> {
    let mut tries: HashMap<&str, usize> = HashMap::new();
    let mut calls = Vec::with_capacity(items.len());
    for item in items {
        let tried = tries.entry(&item.identifier).or_default();
        calls.push(format!("{name}.{}.{tried}", item.identifier));
        *tried += 1;
    }
    calls
}

/// TAO names items by the address of the delivery and the QTI identifier (WIRE §9.2).
fn beside(delivery: &str, identifier: &str) -> String {
    format!("{}#{identifier}", delivery.split('#').next().unwrap_or_default())
}

/// The PHP class; one that was not known when it came stands in an attribute.
fn class_of(variable: &Variable) -> String {
    let class = match variable.kind {
        VariableKind::Response => RESPONSE,
        VariableKind::Outcome => OUTCOME,
        VariableKind::Template => TEMPLATE,
        VariableKind::Trace => TRACE,
    };
    attribute(variable, "class").unwrap_or(class).to_owned()
}

fn attribute<'v>(variable: &'v Variable, name: &str) -> Option<&'v str> {
    variable.attributes.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
}

/// A variable as TAO writes it.
pub(crate) fn data_of(variable: &Variable, epoch: &str) -> Map<String, Value> {
    let text = text_of(variable);
    // What is kept in base64, or as it came, goes as it is.
    let coded = || if attribute(variable, "encoding").is_some() { text.clone() } else { STANDARD.encode(&text) };
    let flag = |name: &str| attribute(variable, name).and_then(|text| text.parse::<bool>().ok());
    let mut data = Map::new();
    let mut put = |name: &str, value: Value| drop(data.insert(name.to_owned(), value));
    put("identifier", json!(variable.identifier));
    put("cardinality", json!(variable.cardinality));
    // Newer TAOs give up the whole request at a variable without a type (WIRE §9.2).
    put("baseType", json!(variable.base_type.as_deref().unwrap_or("string")));
    put("epoch", json!(epoch));
    put("externallyGraded", json!(flag("externallyGraded").unwrap_or(false)));
    match variable.kind {
        VariableKind::Response => {
            put("type", json!("responseVariable"));
            put("correctResponse", json!(flag("correctResponse")));
            put("candidateResponse", json!(coded()));
        }
        VariableKind::Outcome | VariableKind::Template => {
            let is_outcome = variable.kind == VariableKind::Outcome;
            put("type", json!(if is_outcome { "outcomeVariable" } else { "templateVariable" }));
            for name in ["normalMinimum", "normalMaximum"] {
                put(name, attribute(variable, name).and_then(number_of).unwrap_or_default());
            }
            put("value", json!(coded()));
        }
        VariableKind::Trace => {
            put("type", json!("traceVariable"));
            put("trace", json!(text));
        }
    }
    data
}

/// A number as it was written: whole ones stay whole.
fn number_of(text: &str) -> Option<Value> {
    let whole = text.parse::<i64>().ok().map(Value::from);
    whole.or_else(|| text.parse::<f64>().ok().map(Value::from))
}

/// The values as TAO writes them: one as it is, `[a; b]`, `<a; b>`; a record as JSON.
fn text_of(variable: &Variable) -> String {
    let values: &[VariableValue] = variable.values.as_deref().unwrap_or_default();
    let joined = || values.iter().map(|value| value.text.as_str()).collect::<Vec<_>>().join("; ");
    if variable.values.is_none() {
        return String::new();
    }
    match variable.cardinality.as_str() {
        "multiple" => format!("[{}]", joined()),
        "ordered" => format!("<{}>", joined()),
        "record" => {
            let fields = values.iter().map(|value| (value.field.clone().unwrap_or_default(), json!(value.text)));
            Value::Object(fields.collect()).to_string()
        }
        _ => joined(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(cardinality: &str, values: Option<&[&str]>) -> Variable {
        let value = |text: &&str| VariableValue { text: (*text).to_owned(), ..VariableValue::default() };
        Variable {
            kind: VariableKind::Response,
            identifier: "RESPONSE".into(),
            cardinality: cardinality.into(),
            base_type: None,
            values: values.map(|values| values.iter().map(value).collect()),
            correct: None,
            attributes: vec![("correctResponse".into(), "true".into())],
            at: None,
        }
    }

    #[test]
    fn values_are_written_as_tao_does() {
        assert_eq!(text_of(&variable("single", Some(&["é"]))), "é");
        assert_eq!(text_of(&variable("multiple", Some(&["a", "b"]))), "[a; b]");
        assert_eq!(text_of(&variable("ordered", Some(&["a", "b"]))), "<a; b>");
        assert_eq!(text_of(&variable("multiple", Some(&[]))), "[]");
        assert_eq!(text_of(&variable("multiple", None)), "");
    }

    #[test]
    fn nothing_that_a_newer_tao_wants_is_missing() {
        let data = Value::Object(data_of(&variable("single", Some(&["choice_0 é"])), "0.5 1"));
        assert_eq!(data["candidateResponse"], "Y2hvaWNlXzAgw6k=");
        assert_eq!(
            (&data["baseType"], &data["correctResponse"], &data["epoch"]),
            (&json!("string"), &json!(true), &json!("0.5 1"))
        );
    }
}
