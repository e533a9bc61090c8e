//! What an acknowledgement says of one thing that was handed in. TAO's word is not signed, and known to be wrong at times:
//! only what is said of this very thing counts.

use std::collections::HashSet;

use serde_json::{Value, json};
use taosync_model::item::ItemKind;
use taosync_wire::tao::text_of;

/// What is known after central's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Central has it.
    Taken,
    /// Central says that it does not take it.
    Failed,
    /// Nothing that could be relied upon.
    Unproven,
}

impl Heard {
    /// Reads the entry about something that was sent with this body, if there is one.
    pub fn of(kind: ItemKind, body: &Value, entry: Option<&Value>) -> Self {
        let word = entry.and_then(|entry| entry.get("success"));
        let is_one = word.is_some_and(|word| *word == json!(1) || *word == json!(true) || *word == json!("1"));
        match (is_one, word) {
            (true, _) if is_about_it(kind, body, entry) => Self::Taken,
            (true, _) | (false, None) => Self::Unproven,
            (false, Some(_)) => Self::Failed,
        }
    }
}

fn is_about_it(kind: ItemKind, body: &Value, entry: Option<&Value>) -> bool {
    let field = |name: &str| entry.and_then(|entry| entry.get(name));
    match kind {
        ItemKind::Attempt => {
            field("deliveryId").is_none_or(|delivery| delivery.is_null() || *delivery == body["deliveryId"])
        }
        ItemKind::Log => are_all_rows(body, field("logsSynced")),
        ItemKind::Session | ItemKind::LtiUser => true,
    }
}

/// Whether every row of a log is named: numbers and texts of them are the same.
fn are_all_rows(body: &Value, synced: Option<&Value>) -> bool {
    let synced: HashSet<String> = synced.and_then(Value::as_array).into_iter().flatten().filter_map(text_of).collect();
    body.as_array().into_iter().flatten().all(|row| text_of(&row["id"]).is_some_and(|id| synced.contains(&id)))
}
