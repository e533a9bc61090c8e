//! The word at the end of a sync: TAO keeps it in its history. It is for people there; nothing here depends on it.

use serde_json::{Value, json};
use taosync_store::Store;
use taosync_store::blobs::Blobs;
use taosync_wire::tao::items::{Confirmation, Confirmed};
use taosync_wire::tao::{PATH_CONFIRM_FAILED, PATH_CONFIRM_FINISHED, SyncParams};

use super::TaoLink;
use crate::link::Request;
use crate::session::Summary;

/// Tells central how the sync went. When it cannot be told, the log says so.
pub async fn tell(store: &Store, link: &TaoLink, summary: &Summary) {
    let params = link.caller().params();
    let (path, confirmation) = match &summary.reason {
        None => {
            let client_state = Some(state_of(store).await);
            (
                PATH_CONFIRM_FINISHED,
                Confirmation { params: SyncParams { client_state, ..params }, failure_reason: None },
            )
        }
        Some(reason) => {
            (PATH_CONFIRM_FAILED, Confirmation { params, failure_reason: Some(Value::from(reason.clone())) })
        }
    };
    if let Err(error) = link.once::<Confirmed>(&Request::post_json(path, &confirmation)).await {
        tracing::info!(%error, "central was not told how the sync went");
    }
}

/// A report as TAO's machine checks make one (WIRE §11.1, §12.4).
async fn state_of(store: &Store) -> Value {
    let free = match Blobs::open(store.dir()).await {
        Ok(blobs) => blobs.free_bytes().await.ok(),
        Err(_) => None,
    };
    let children: Vec<Value> = free
        .map(|free| {
            let data = json!({"disk_space_utilization": {"free": free}});
            json!({"type": "info", "message": format!("Disk space: {free} bytes free"), "data": data, "children": []})
        })
        .into_iter()
        .collect();
    json!({"type": "info", "message": "State of the local server", "data": null, "children": children})
}
