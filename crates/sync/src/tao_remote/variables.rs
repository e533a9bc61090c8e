//! From QTI Results Reporting to TAO's variables: the way back of what central does with them (`tao::results`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use taosync_model::assessment::{Attempt, ItemResult, Variable, VariableKind, VariableValue};
use taosync_model::item::Envelope;
use taosync_wire::tao::epoch_text;
use taosync_wire::tao::results::{Details, OUTCOME, RESPONSE, TEMPLATE, TRACE, TaoResult, TaoVariable};

/// What an execution is called at a TAO central. It has no `.`, which TAO puts between execution, item and try.
pub(super) fn name_of(execution: uuid::Uuid) -> String {
    format!("urn:uuid:{execution}")
}

/// An attempt as TAO takes it.
pub(super) fn result_of(envelope: &Envelope, attempt: &Attempt, label: &str) -> TaoResult {
    let name = name_of(envelope.item);
    let delivery = envelope.delivery.clone().unwrap_or_default();
    let at = envelope.finished_at.or(envelope.started_at).unwrap_or_default();
    let variable = |variable: &Variable, call: Call<'_>| TaoVariable {
        kind: class_of(variable.kind).to_owned(),
        call_id_test: call.test.map(str::to_owned),
        call_id_item: call.item.map(|(call, _)| call.to_owned()),
        test: Some(delivery.clone()),
        item: call.item.map(|(_, item)| beside(&delivery, item)),
        data: data_of(variable, &epoch_text(variable.at.unwrap_or(at))),
    };
    let of_test = attempt.result.test.iter().flat_map(|test| &test.variables);
    let mut variables: Vec<TaoVariable> =
        of_test.map(|v| variable(v, Call { test: Some(&name), item: None })).collect();
    for (at, item) in attempt.result.items.iter().enumerate() {
        let call = format!("{name}.{}.{}", item.identifier, tries_before(&attempt.result.items, at));
        let calls = Call { test: None, item: Some((&call, &item.identifier)) };
        variables.extend(item.variables.iter().map(|v| variable(v, calls)));
    }
    let details = Details {
        identifier: Some(name.clone()),
        label: Some(label.to_owned()),
        test_taker: envelope.test_taker.clone(),
        starttime: envelope.started_at.map(epoch_text),
        finishtime: envelope.finished_at.map(epoch_text),
        state: envelope.state.map(taosync_model::execution::ExecutionState::uri),
    };
    TaoResult { delivery_id: delivery, delivery_execution_id: name, details, variables }
}

/// Whose variable it is.
#[derive(Clone, Copy)]
struct Call<'a> {
    test: Option<&'a str>,
    item: Option<(&'a str, &'a str)>,
}

/// An item that comes twice in an attempt counts its tries.
fn tries_before(items: &[ItemResult], at: usize) -> usize {
    items[..at].iter().filter(|item| item.identifier == items[at].identifier).count()
}

/// TAO names items by the address of the delivery and the QTI identifier (WIRE §9.2).
fn beside(delivery: &str, identifier: &str) -> String {
    format!("{}#{identifier}", delivery.split('#').next().unwrap_or_default())
}

const fn class_of(kind: VariableKind) -> &'static str {
    match kind {
        VariableKind::Response => RESPONSE,
        VariableKind::Outcome => OUTCOME,
        VariableKind::Template => TEMPLATE,
        VariableKind::Trace => TRACE,
    }
}

fn data_of(variable: &Variable, epoch: &str) -> Map<String, Value> {
    let text = text_of(variable);
    let mut data = Map::new();
    let mut put = |name: &str, value: Value| drop(data.insert(name.to_owned(), value));
    put("identifier", json!(variable.identifier));
    put("cardinality", json!(variable.cardinality));
    // Newer TAOs give up the whole request at a variable without a type (WIRE §9.2).
    put("baseType", json!(variable.base_type.as_deref().unwrap_or("string")));
    put("epoch", json!(epoch));
    put("externallyGraded", json!(false));
    let attribute = |name: &str| variable.attributes.iter().find(|(known, _)| known == name).map(|(_, text)| text);
    match variable.kind {
        VariableKind::Response => {
            put("type", json!("responseVariable"));
            let correct = attribute("correctResponse").and_then(|text| text.parse::<bool>().ok());
            put("correctResponse", json!(correct));
            put("candidateResponse", json!(STANDARD.encode(text)));
        }
        VariableKind::Outcome | VariableKind::Template => {
            let is_outcome = variable.kind == VariableKind::Outcome;
            put("type", json!(if is_outcome { "outcomeVariable" } else { "templateVariable" }));
            for name in ["normalMinimum", "normalMaximum"] {
                put(name, json!(attribute(name).and_then(|text| text.parse::<f64>().ok())));
            }
            put("value", json!(STANDARD.encode(text)));
        }
        VariableKind::Trace => {
            put("type", json!("traceVariable"));
            put("trace", json!(text));
        }
    }
    data
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
