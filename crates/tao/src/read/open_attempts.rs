//! Attempts that something still depends on: those that can go on, and those that ended and were not handed in. Test
//! takers and deliveries they name must stay (DESIGN §4).

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;

use crate::schema::Executions;
use crate::{Row, Schema, Statement, TaoError};

const SUBJECT: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecutionSubject";
const DELIVERY: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecutionDelivery";
const STATUS: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#StatusOfDeliveryExecution";

/// States in which an attempt can go on, without the part before that all share.
const OPEN: [&str; 4] = ["Active", "Paused", "Awaiting", "Authorized"];
const FINISHED: &str = "Finished";
/// What the URI of every state begins with.
const STATE: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecutionStatus";

/// Whether an attempt has variables, and whether `taoSync` or taosync has handed it in.
const HANDED_IN: &str = "CASE WHEN EXISTS (SELECT 1 FROM synchronisation_result r WHERE r.id = ";
const VARIABLES: &str = "CASE WHEN EXISTS (SELECT 1 FROM variables_storage v WHERE v.results_result_id = ";

/// Why something must stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// An attempt ended and was not handed in.
    Unsent,
    /// An attempt can go on.
    Open,
}

/// Test takers and deliveries that must stay, and why.
pub type Holds = BTreeMap<String, Hold>;

/// Asks for the attempts that name these test takers and deliveries; [`holds`] reads the answers.
pub fn attempts_of(schema: &Schema, uris: &[&str]) -> Vec<Statement> {
    let mut statements = vec![in_statements(schema, uris)];
    match schema.executions {
        Executions::Ontology => {}
        Executions::Table => {
            statements.push(in_table(schema, "user_id", uris));
            statements.push(in_table(schema, "delivery_id", uris));
        }
        Executions::KeyValue => statements.push(Statement::new(
            "SELECT kv_id, kv_value, 0, 0 FROM kv_store WHERE kv_id LIKE 'kve#_de#_%' ESCAPE '#'",
        )),
    }
    statements
}

/// What the answers say of these test takers and deliveries.
pub fn holds(uris: &BTreeSet<&str>, rows: &[Row]) -> Result<Holds, TaoError> {
    let mut holds = Holds::new();
    for row in rows {
        let (first, second) = (row.text(0)?, row.optional_text(1)?.unwrap_or_default());
        if first.starts_with("kve_de_") {
            holds_of_key_value(second, uris, &mut holds);
            continue;
        }
        let hold = hold(second, row.integer(2)? != 0, row.integer(3)? != 0);
        if let Some(hold) = hold.filter(|_| uris.contains(first)) {
            add(&mut holds, first, hold);
        }
    }
    Ok(holds)
}

/// Whether an attempt in a state holds on to those it names.
fn hold(state: &str, is_handed_in: bool, has_variables: bool) -> Option<Hold> {
    match state.strip_prefix(STATE)? {
        state if OPEN.contains(&state) => Some(Hold::Open),
        FINISHED if has_variables && !is_handed_in => Some(Hold::Unsent),
        _ => None,
    }
}

fn add(holds: &mut Holds, uri: &str, hold: Hold) {
    let known = holds.entry(uri.to_owned()).or_insert(hold);
    *known = (*known).max(hold);
}

/// An attempt as a JSON object under a key. Whether it was handed in cannot be asked along with it: an ended one holds
/// on to nobody here.
fn holds_of_key_value(value: &str, uris: &BTreeSet<&str>, holds: &mut Holds) {
    let decoded = base64::engine::general_purpose::STANDARD.decode(value).ok();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| value.to_owned());
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(&text) else { return };
    let texts: Vec<&str> = fields.values().filter_map(serde_json::Value::as_str).collect();
    if texts.iter().any(|text| text.strip_prefix(STATE).is_some_and(|state| OPEN.contains(&state))) {
        texts.iter().filter(|text| uris.contains(**text)).for_each(|uri| add(holds, uri, Hold::Open));
    }
}

fn in_statements(schema: &Schema, uris: &[&str]) -> Statement {
    let statement = Statement::new("SELECT n.object, s.object, ");
    facts(statement, schema, "n.subject")
        .push(" FROM statements n JOIN statements s ON s.subject = n.subject AND s.predicate = ")
        .bind(STATUS)
        .push(" WHERE n.predicate IN ")
        .list([SUBJECT, DELIVERY])
        .push(" AND ")
        .among("n.object", uris.iter().copied())
}

fn in_table(schema: &Schema, column: &'static str, uris: &[&str]) -> Statement {
    let statement = Statement::new("SELECT ").push(column).push(", status, ");
    facts(statement, schema, "d.id").push(" FROM delivery_executions d WHERE ").among(column, uris.iter().copied())
}

/// Adds whether the attempt in a column was handed in, and whether it has variables.
fn facts(statement: Statement, schema: &Schema, id: &'static str) -> Statement {
    let statement = if schema.has_table("synchronisation_result") {
        statement.push(HANDED_IN).push(id).push(" AND r.status = 'synchronized') THEN 1 ELSE 0 END, ")
    } else {
        statement.push("0, ")
    };
    if schema.has_table("variables_storage") {
        statement.push(VARIABLES).push(id).push(") THEN 1 ELSE 0 END")
    } else {
        statement.push("0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_can_go_on_or_was_not_handed_in_holds() {
        let state = |name: &str| format!("{STATE}{name}");
        for open in OPEN {
            assert_eq!(hold(&state(open), true, false), Some(Hold::Open));
        }
        assert_eq!(hold(&state(FINISHED), false, true), Some(Hold::Unsent));
        assert_eq!(hold(&state(FINISHED), true, true), None, "it was handed in");
        assert_eq!(hold(&state(FINISHED), false, false), None, "nothing was answered: TAO never sends it");
        assert_eq!(hold(&state("Terminated"), false, true), None);
        assert_eq!(hold("elsewhere", false, true), None);
    }

    #[test]
    fn attempts_under_keys_are_read() {
        let json = format!(r#"{{"a":"{STATE}Paused","b":"taker","c":"delivery"}}"#);
        let coded = base64::engine::general_purpose::STANDARD.encode(&json);
        for value in [json.as_str(), coded.as_str()] {
            let mut holds = Holds::new();
            holds_of_key_value(value, &["taker", "other"].into(), &mut holds);
            assert_eq!(holds, [("taker".to_owned(), Hold::Open)].into());
        }
    }
}
