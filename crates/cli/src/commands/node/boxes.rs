//! The boxes of TAO that sync with this central, as far as TAO's protocol lets them be known: by the name each gives itself.

use serde_json::{Value, json};
use taosync_store::tao::TaoBox;

use crate::output;

pub(super) fn to_json(tao_box: &TaoBox) -> Value {
    json!({
        "box_id": tao_box.box_id, "node": tao_box.node, "org": tao_box.org, "key": tao_box.actor,
        "tao_version": tao_box.version, "last_seen": tao_box.last_seen, "outcome": tao_box.outcome.as_str(),
        "last_success": tao_box.last_success,
    })
}

/// A table; nothing when there are none.
pub(super) fn to_text(boxes: &[TaoBox]) -> String {
    if boxes.is_empty() {
        return String::new();
    }
    let rows = boxes.iter().map(|tao_box| {
        // A box may call itself anything.
        let plain = |text: &str| text.escape_debug().to_string();
        let version = tao_box.version.as_deref().map_or_else(|| "unknown".to_owned(), plain);
        let success = tao_box.last_success.map_or_else(|| "never".to_owned(), output::time);
        let (org, outcome) = (tao_box.org.to_string(), tao_box.outcome.as_str().to_owned());
        vec![plain(&tao_box.box_id), version, output::time(tao_box.last_seen), org, outcome, success]
    });
    let table = output::table(&["TAO box", "version", "last seen", "org", "last sync", "last success"], rows);
    format!("\n{table}")
}
