//! `GET /api/v1/time`: what time it is here, signed with the node key, for machines whose clock is wrong.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use taosync_wire::v1::time::{NONCE_BYTES, SignedTime, TimeQuery, signed_bytes};

use crate::problem::ApiError;
use crate::state::Central;

pub(crate) async fn time(
    State(central): State<Arc<Central>>,
    query: Result<Query<TimeQuery>, QueryRejection>,
) -> Result<Json<SignedTime>, ApiError> {
    let malformed = || ApiError::bad_request("the query needs a nonce of 32 hexadecimal characters");
    let Query(TimeQuery { nonce: text }) = query.map_err(|_| malformed())?;
    let mut nonce = [0; NONCE_BYTES];
    hex::decode_to_slice(text, &mut nonce).map_err(|_| malformed())?;
    let (now, id) = (central.store.clock().now(), central.identity.node);
    // Whole seconds are what is signed.
    let time = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now);
    let signature = hex::encode(central.store.keyring().node_key().sign(&signed_bytes(id, &nonce, time)));
    Ok(Json(SignedTime { central: id, time, signature }))
}
