//! Local asks by name for what differs.

use std::collections::{BTreeMap, HashSet};

use taosync_model::EntityType;
use taosync_store::replica::HeldMembers;
use taosync_wire::frame::FrameWriter;
use taosync_wire::v1;
use taosync_wire::v1::compare::{AskFrame, PART_BYTES, Part, Stand, TypePart, encode_uri};

use crate::link::{LinkError, Request};
use crate::session::SyncError;

/// The request: entities that only local has are named, of what only central has there are the ids. What has changed
/// meanwhile comes too, as after `stand`.
pub(super) fn request(stand: &Stand, here: &HeldMembers, there: &HashSet<[u8; 32]>) -> Result<Request, SyncError> {
    let positions = stand.positions().ok_or_else(|| LinkError::Protocol("positions that cannot be read".into()))?;
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("epoch", &stand.epoch.simple().to_string());
    query.append_pair("after", &positions.to_text());
    let body = body(here, there).map_err(SyncError::Compress)?;
    Ok(Request::post(format!("{}?{}", v1::PATH_COMPARE, query.finish()), body))
}

fn body(here: &HeldMembers, there: &HashSet<[u8; 32]>) -> std::io::Result<Vec<u8>> {
    let mut writer = FrameWriter::new()?;
    let (mut uris, mut links): (BTreeMap<EntityType, Parts>, BTreeMap<EntityType, Parts>) = Default::default();
    for (entity_type, uri) in &here.entities {
        encode_uri(uris.entry(*entity_type).or_default().room(), uri);
    }
    for link in &here.links {
        links.entry(link.entity_type).or_default().room().extend_from_slice(&link.member.0);
    }
    let mut ids = Parts::default();
    for id in there {
        ids.room().extend_from_slice(id);
    }
    let head = |entity_type, part: &Vec<u8>| TypePart { entity_type, len: part.len() as u64 };
    for (entity_type, parts) in uris {
        for part in parts.0 {
            writer.push(&AskFrame::Entities(head(entity_type, &part)), &part)?;
        }
    }
    for (entity_type, parts) in links {
        for part in parts.0 {
            writer.push(&AskFrame::Links(head(entity_type, &part)), &part)?;
        }
    }
    for part in ids.0 {
        writer.push(&AskFrame::Items(Part { len: part.len() as u64 }), &part)?;
    }
    writer.push(&AskFrame::End, b"")?;
    writer.finish()
}

/// Bytes in parts of about [`PART_BYTES`].
#[derive(Default)]
struct Parts(Vec<Vec<u8>>);

impl Parts {
    /// The part that has room.
    fn room(&mut self) -> &mut Vec<u8> {
        if self.0.last().is_none_or(|part| part.len() >= PART_BYTES) {
            self.0.push(Vec::new());
        }
        self.0.last_mut().unwrap_or_else(|| unreachable!("a part was made"))
    }
}
