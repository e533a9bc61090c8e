//! What a TAO central may answer to a local server: pages of lists, details, acknowledgements, versions and tokens.
//!
//! An input is one byte that says which, then lines: a page each; what was asked for and what came; what was sent and what
//! was said of it.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use taosync_model::canonical::entity_digest;
use taosync_model::item::ItemKind;
use taosync_model::tao::TaoChecksum;
use taosync_model::{Entity, EntityType};
use taosync_sync::tao_remote::details;
use taosync_sync::tao_remote::heard::Heard;
use taosync_sync::tao_remote::walk::{End, Step, Walk};
use taosync_wire::tao::access::TokenAnswer;
use taosync_wire::tao::entities::{ChecksumPage, Details};
use taosync_wire::tao::items::SupportedVersions;
use taosync_wire::tao::{PATH_CHECKSUMS, PhpMap, SyncParams};

use crate::shown;

/// Pages after which a list that brings nothing new must have ended.
const PATIENCE: usize = 40;
const KINDS: [ItemKind; 4] = [ItemKind::Attempt, ItemKind::Log, ItemKind::Session, ItemKind::LtiUser];

/// Reads it as a local server does.
pub fn check(input: &[u8]) {
    let [kind, rest @ ..] = input else { return };
    let lines: Vec<&[u8]> = rest.split(|byte| *byte == b'\n').collect();
    let entity_type = EntityType::SYNCED[usize::from(*kind >> 4) % EntityType::SYNCED.len()];
    match (kind % 4, lines.as_slice()) {
        (0, pages) => listing(entity_type, pages),
        (1, [asked, answer, ..]) => arrive(entity_type, asked, answer),
        (2, [sent, answer, ..]) => acknowledge(KINDS[usize::from(*kind >> 4) % KINDS.len()], sent, answer),
        (3, [answer, ..]) => {
            again::<SupportedVersions>(answer);
            token(answer);
        }
        _ => {}
    }
}

/// Every list ends, and what is called whole is everything that was on its pages.
fn listing(entity_type: EntityType, pages: &[&[u8]]) {
    let org = pages.len().is_multiple_of(2).then(|| "School-7".to_owned());
    let params = SyncParams { organisation_id: org, ..SyncParams::default() };
    let mut walk = Walk::new(entity_type, &params);
    let read = |line: &&[u8]| serde_json::from_slice::<ChecksumPage>(line).ok();
    let pages: Vec<ChecksumPage> = pages.iter().map_while(read).collect();
    let Some(last) = pages.last().cloned() else { return };
    let mut shown_uris = BTreeSet::new();
    for page in pages.into_iter().chain(std::iter::repeat_n(last, PATIENCE)) {
        shown_uris.extend(page.entities.0.iter().map(|(uri, _)| uri.clone()));
        match walk.take(page) {
            Err(error) => return drop(shown(&error)),
            Ok(Step::Ask(path)) => {
                assert!(path.starts_with(&format!("{PATH_CHECKSUMS}?")), "only lists are asked for: {path}");
            }
            Ok(Step::Ended(end)) => {
                let seen: BTreeSet<String> = walk.seen.keys().cloned().collect();
                assert!(end == End::Endless || seen == shown_uris, "{end:?}");
                return;
            }
        }
    }
    panic!("pages without anything new, and the list has not ended");
}

/// Only what was asked for is taken, and a checksum counts when its entity has it.
fn arrive(entity_type: EntityType, asked: &[u8], answer: &[u8]) {
    let (Ok(asked), Ok(answer)) =
        (serde_json::from_slice::<Vec<String>>(asked), serde_json::from_slice::<Details>(answer))
    else {
        return;
    };
    let given: Vec<_> = answer.0.clone();
    let arrivals = details::take(entity_type, answer, &asked);
    for (uri, arrived) in &arrivals {
        assert!(asked.contains(uri) && arrived.entity.uri == *uri);
        let (_, came) = given.iter().rev().find(|(name, _)| name == uri).expect("it was in the answer");
        if let Some(checksum) = arrived.checksum {
            assert_eq!(came.checksum.parse(), Ok(checksum));
        } else {
            assert_ne!(came.checksum.parse(), Ok(TaoChecksum::of(&came.properties)), "its own checksum counts");
        }
        assert!(details::bytes_of(&arrived.entity) >= uri.len());
        let written = serde_json::to_vec(&arrived.entity).expect("an entity is JSON");
        let back: Entity = serde_json::from_slice(&written).expect("what we write can be read");
        assert_eq!(entity_digest(&back), entity_digest(&arrived.entity));
    }
}

/// Nothing is called sent without a word that says so of this very thing.
fn acknowledge(kind: ItemKind, sent: &[u8], answer: &[u8]) {
    let (Ok(sent), Ok(answer)) =
        (serde_json::from_slice::<Value>(sent), serde_json::from_slice::<PhpMap<Value>>(answer))
    else {
        return;
    };
    assert_ne!(Heard::of(kind, &sent, None), Heard::Taken);
    for (_, entry) in &answer.0 {
        let heard = Heard::of(kind, &sent, Some(entry));
        assert_eq!(heard, Heard::of(kind, &sent, Some(entry)));
        let success = entry.get("success").map(Value::to_string);
        let says_so = success.as_deref().is_some_and(|word| ["1", "true", "\"1\""].contains(&word));
        assert!(heard != Heard::Taken || says_so, "{entry}");
        assert!(heard != Heard::Failed || success.is_some() && !says_so, "{entry}");
        if heard == Heard::Taken && kind == ItemKind::Log {
            let named = entry.get("logsSynced").and_then(Value::as_array).map_or(0, Vec::len);
            let rows: BTreeSet<String> =
                sent.as_array().into_iter().flatten().map(|row| row["id"].to_string()).collect();
            assert!(rows.is_empty() || named > 0, "{entry}");
        }
        if heard == Heard::Taken && kind == ItemKind::Attempt {
            let delivery = entry.get("deliveryId").filter(|delivery| !delivery.is_null());
            assert!(delivery.is_none_or(|delivery| *delivery == sent["deliveryId"]), "{entry}");
        }
    }
}

/// A token has no equality; what is written of it has.
fn token(text: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<TokenAnswer>(text) {
        let written = serde_json::to_vec(&read).expect("it is JSON");
        let again: TokenAnswer = serde_json::from_slice(&written).expect("what we write can be read");
        assert_eq!(serde_json::to_vec(&again).expect("it is JSON"), written);
    }
}

fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(text: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<T>(text) {
        let written = serde_json::to_vec(&read).expect("it is JSON");
        assert_eq!(serde_json::from_slice::<T>(&written).expect("what we write can be read"), read);
    }
}
