//! What an execution is called at a TAO: by the id a TAO gave it, where it came from one, else by a name made of ours.

use serde_json::Value;
use taosync_model::assessment::Attempt;
use uuid::Uuid;

/// The name of an execution that no TAO has named. It has no `.`, which TAO puts between execution, item and try.
pub(crate) fn made(execution: Uuid) -> String {
    format!("urn:uuid:{execution}")
}

/// The name of an attempt's execution.
pub(crate) fn of_attempt(attempt: &Attempt, execution: Uuid) -> String {
    given(attempt.other.get("tao")).map_or_else(|| made(execution), str::to_owned)
}

/// The name of the execution that a log or a session speaks of.
pub(crate) fn of_document(document: &Value, execution: Uuid) -> String {
    given(document.get("tao")).map_or_else(|| made(execution), str::to_owned)
}

fn given(about: Option<&Value>) -> Option<&str> {
    about?.get("execution")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_name_that_a_tao_gave_goes_before_ours() {
        let named = json!({"execution": Uuid::nil(), "tao": {"execution": "urn:e"}});
        assert_eq!(of_document(&named, Uuid::nil()), "urn:e");
        for unnamed in [json!({}), json!({"tao": {"execution": 1}}), json!({"tao": "urn:e"})] {
            assert_eq!(of_document(&unnamed, Uuid::nil()), made(Uuid::nil()));
        }
    }
}
