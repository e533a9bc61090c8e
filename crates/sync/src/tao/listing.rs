//! What there is: pages of checksums, details, classes.

use std::collections::HashSet;

use taosync_model::tao::{Properties, TaoChecksum};
use taosync_model::{EntityType, vocabulary as v};
use taosync_store::tao::{Listed, TaoScope};
use taosync_store::{Store, StoreError};
use taosync_wire::tao::entities::ChecksumPage;
use taosync_wire::tao::entities::{Details, TaoEntity};
use taosync_wire::tao::query::Query;
use taosync_wire::tao::{PATH_CHECKSUMS, PhpMap};

use super::Reach;
use super::walks::{Walk, Walks};

/// Roots of the ontology that every TAO has.
const ROOTS: [&str; 2] =
    ["http://www.tao.lu/Ontologies/generis.rdf#generis_Ressource", "http://www.w3.org/2000/01/rdf-schema#Resource"];
/// Above the root of user types.
const GENERIS_USER: &str = "http://www.tao.lu/Ontologies/generis.rdf#User";

/// Whether a page shows properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// Checksums alone.
    Checksums,
    /// Properties too.
    Properties,
}

/// A page of the members of a scope. The address of the next page is there exactly when there is more, so that paging
/// ends; it says after which number of the feed the next page begins, so that nobody is left out when data change.
pub async fn page(
    store: &Store,
    walks: &Walks,
    walk: Walk,
    query: &Query,
    size: u32,
    shows: Shows,
) -> Result<ChecksumPage, StoreError> {
    let (scope, entity_type) = (walk.scope.clone(), walk.entity_type);
    let offset: u64 = query.param("offset").and_then(|text| text.parse().ok()).unwrap_or(0);
    let named: Option<i64> = query.after().and_then(|text| text.parse().ok());
    // Whoever counts himself is served too, from where his last page ended.
    let after = named.or_else(|| walks.begins(&walk, offset).filter(|_| offset > 0));
    let skip = if after.is_some() { 0 } else { u32::try_from(offset).unwrap_or(u32::MAX) };
    let mut listed = store.tao_page(&scope, entity_type, after.unwrap_or(0), skip, size + 1).await?;
    let more = listed.len() > size as usize;
    listed.truncate(size as usize);
    if let (None, Some(last)) = (named, listed.last()) {
        // Asked for again, a page that was counted is counted again.
        let this = if skip == 0 { (offset, after.unwrap_or(0)) } else { (0, 0) };
        walks.given(walk, this, (offset + listed.len() as u64, last.seq));
    }
    let last = listed.last().map(|line| line.seq).filter(|_| more);
    let next_call_url = last.map(|last| {
        let next = query.next_page(offset + u64::from(size), &last.to_string());
        format!("/{PATH_CHECKSUMS}?{next}")
    });
    let entities = match shows {
        Shows::Checksums => listed.into_iter().map(without_properties).collect(),
        Shows::Properties => {
            let uris: Vec<&str> = listed.iter().map(|line| line.uri.as_str()).collect();
            details(store, &scope, entity_type, &uris).await?
        }
    };
    Ok(ChecksumPage { entity_type: entity_type.to_string(), next_call_url, entities })
}

fn without_properties(line: Listed) -> (String, TaoEntity) {
    let checksum = line.checksum.to_string();
    (line.uri.clone(), TaoEntity { id: line.uri, checksum, properties: Properties::default() })
}

/// Members of a scope with their properties, in the order asked for. Who is no member does not exist.
pub async fn details(
    store: &Store,
    scope: &TaoScope,
    entity_type: EntityType,
    uris: &[&str],
) -> Result<Details, StoreError> {
    let found = store.tao_entities(scope, entity_type, uris).await?;
    Ok(in_order(found, uris))
}

/// Classes and all above them, except what every TAO has. A class that is not there has no properties, as in TAO.
pub async fn classes(
    store: &Store,
    reach: &Reach,
    entity_type: EntityType,
    uris: &[&str],
) -> Result<Details, StoreError> {
    let mut found = store.tao_classes(&reach.all(store).await?, uris).await?;
    let known: HashSet<&str> = found.iter().map(|(uri, _)| uri.as_str()).collect();
    let unknown: Vec<String> = uris.iter().filter(|uri| !known.contains(*uri)).map(|&uri| uri.to_owned()).collect();
    found.extend(unknown.into_iter().map(|uri| (uri, Properties::default())));
    found.retain(|(uri, _)| !is_everywhere(entity_type, uri));
    Ok(in_order(found, uris))
}

fn is_everywhere(entity_type: EntityType, uri: &str) -> bool {
    let is_user = matches!(entity_type, EntityType::Administrator | EntityType::Proctor | EntityType::TestTaker);
    uri == v::root_class(entity_type)
        || ROOTS.contains(&uri)
        || is_user && [v::CLASS_TAO_USER, GENERIS_USER].contains(&uri)
}

fn in_order(found: Vec<(String, Properties)>, uris: &[&str]) -> Details {
    let place = |uri: &str| uris.iter().position(|known| *known == uri).unwrap_or(usize::MAX);
    let mut found: Vec<(usize, String, Properties)> =
        found.into_iter().map(|(uri, properties)| (place(&uri), uri, properties)).collect();
    found.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    let entity = |(_, uri, properties): (usize, String, Properties)| (uri.clone(), entity(uri, properties));
    PhpMap(found.into_iter().map(entity).collect())
}

/// An entity with its checksum.
pub(super) fn entity(uri: String, properties: Properties) -> TaoEntity {
    TaoEntity { id: uri, checksum: TaoChecksum::of(&properties).to_string(), properties }
}
