//! A whole list of a type. Where something that is here is missing from it, it is read once more: only what two equal
//! lists leave out may go.

use taosync_model::EntityType;
use taosync_model::tao::{Properties, TaoChecksum};
use taosync_wire::Problem;

use super::TaoLink;
use super::walk::{Checksums, End, Step, Walk};
use crate::link::{LinkError, Request};

/// A list of a type.
#[derive(Clone, Debug)]
pub struct Listing {
    /// What central has.
    pub entities: Checksums,
    /// Whether it was read to its end beyond doubt.
    pub is_whole: bool,
}

/// Reads the list of a type. `is_here` says whether something that is held is missing from a list.
pub async fn read(
    link: &TaoLink,
    entity_type: EntityType,
    lacks: impl Fn(&Checksums) -> bool,
) -> Result<Listing, LinkError> {
    let (first, end) = once(link, entity_type).await?;
    match end {
        End::Endless => return Ok(Listing { entities: first, is_whole: false }),
        End::Whole if !lacks(&first) => return Ok(Listing { entities: first, is_whole: true }),
        End::Whole | End::Moved => {}
    }
    let (second, end) = once(link, entity_type).await?;
    let is_whole = end != End::Endless && first.keys().eq(second.keys());
    Ok(Listing { entities: second, is_whole })
}

async fn once(link: &TaoLink, entity_type: EntityType) -> Result<(Checksums, End), LinkError> {
    let params = link.caller().params();
    let mut walk = Walk::new(entity_type, &params);
    let mut path = walk.begin();
    let end = loop {
        let page = link.ask(&Request::get(path)).await.map_err(no_org)?;
        match walk.take(page)? {
            Step::Ask(next) => path = next,
            Step::Ended(end) => break end,
        }
    };
    // What others still name, but central has not any more, is listed with the checksum of nothing (WIRE §2).
    let nothing = TaoChecksum::of(&Properties::default());
    let mut entities = walk.seen;
    entities.retain(|_, checksum| *checksum != nothing);
    Ok((entities, end))
}

/// TAO's words do not say what it lacks.
fn no_org(error: LinkError) -> LinkError {
    match error {
        LinkError::Problem(problem) if problem.status == 404 => {
            let advice = "its data are kept by organisation: import it again with --organisation-id".to_owned();
            LinkError::Problem(Problem { advice, ..problem })
        }
        other => other,
    }
}
