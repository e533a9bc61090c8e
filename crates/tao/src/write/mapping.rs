//! Which execution here is which execution of a box (WIRE §9.4): TAO's own table, so that taoSync knows ours and we know
//! its.

use std::collections::{BTreeMap, HashMap};

use md5::{Digest as _, Md5};

use crate::key_value;
use crate::schema::Executions;
use crate::{Change, Schema, TaoError};

const PREFIX: &str = "mapOfflineResultToOnlineResult_";

/// The executions here of these executions of boxes, where they are known.
pub async fn read(change: &mut Change, offline: &[&str]) -> Result<HashMap<String, String>, TaoError> {
    let keys: Vec<String> = offline.iter().map(|id| format!("{PREFIX}{id}")).collect();
    let found = key_value::read(change, &keys).await?;
    let mapped = found.into_iter().filter_map(|(key, online)| Some((key.strip_prefix(PREFIX)?.to_owned(), online)));
    Ok(mapped.collect())
}

/// Notes new ones.
pub async fn write(change: &mut Change, pairs: &BTreeMap<String, String>) -> Result<(), TaoError> {
    let pairs = pairs.iter().map(|(offline, online)| (format!("{PREFIX}{offline}"), online.clone())).collect();
    key_value::write(change, &pairs).await
}

/// An id for a new execution, in the form of its storage, beside the delivery that was made here. Always the same for
/// the same execution of a box: a second writer makes no second execution.
pub fn made(schema: &Schema, delivery: &str, offline: &str) -> String {
    let digest = hex::encode(Md5::digest(format!("taosync execution {offline}").as_bytes()));
    let uri = format!("{}#i{digest}", delivery.split('#').next().unwrap_or_default());
    match schema.executions {
        Executions::Ontology => uri,
        Executions::Table => format!("rds_de_{uri}"),
        Executions::KeyValue => format!("kve_de_{uri}"),
    }
}
