//! `taosync entity show`: everything about one entity, on both roles.

use std::collections::BTreeSet;

use serde::Serialize;
use taosync_model::canonical::{self, MAX_INLINE_VALUES};
use taosync_model::delivery::PackageRef;
use taosync_model::tao::TaoChecksum;
use taosync_model::{Digest, Entity, EntityType, OrgId, Value, vocabulary};
use taosync_store::settings::Role;

use super::not_found;
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;
use crate::output;

/// The answer.
#[derive(Debug, Serialize)]
struct Shown {
    uri: String,
    types: BTreeSet<EntityType>,
    class: String,
    label: String,
    #[serde(serialize_with = "as_object")]
    properties: Entity,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<PackageRef>,
    /// Of the body without long lists, which have digests of their own.
    digest: Digest,
    /// TAO's checksum of all of it, in the view of nobody's org; at central only.
    #[serde(skip_serializing_if = "Option::is_none")]
    tao_checksum: Option<TaoChecksum>,
    orgs: BTreeSet<OrgId>,
}

fn as_object<S: serde::Serializer>(entity: &Entity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(entity.properties.iter().map(|p| (&p.predicate, &p.values)))
}

/// Prints one entity.
pub async fn show(context: &Context, uri: &str) -> Result<(), Failure> {
    let node = Node::open(context).await?;
    let shown = match node.identity.role {
        Role::Central => at_central(&node, uri).await?,
        Role::Local => at_local(&node, uri).await?,
    };
    context.output.answer(&shown, || to_text(&shown))
}

async fn at_central(node: &Node, uri: &str) -> Result<Shown, Failure> {
    let stored = node.store.entity_get(uri).await?.ok_or_else(|| not_found(uri))?;
    let (types, orgs) = (stored.types.into_iter().collect(), stored.orgs.into_iter().collect());
    let shown = Shown::new(stored.entity, types, orgs, Some(stored.digest));
    Ok(Shown { tao_checksum: stored.tao_checksum, ..shown })
}

/// The entity as the orgs of this server see it together: what one org does not see, another may.
async fn at_local(node: &Node, uri: &str) -> Result<Shown, Failure> {
    let views = node.store.replica_get(uri).await?;
    let mut types = BTreeSet::new();
    let mut orgs = BTreeSet::new();
    let mut together: Option<Entity> = None;
    for (org, entity_type, view) in views {
        types.insert(entity_type);
        orgs.insert(org);
        match &mut together {
            None => together = Some(view),
            Some(entity) => add_missing(entity, view),
        }
    }
    let entity = together.ok_or_else(|| not_found(uri))?;
    Ok(Shown::new(entity, types, orgs, None))
}

fn add_missing(entity: &mut Entity, view: Entity) {
    for property in view.properties {
        for value in property.values {
            if !entity.values(&property.predicate).contains(&value) {
                entity.push(&property.predicate, value);
            }
        }
    }
}

impl Shown {
    fn new(entity: Entity, types: BTreeSet<EntityType>, orgs: BTreeSet<OrgId>, digest: Option<Digest>) -> Self {
        Self {
            uri: entity.uri.clone(),
            types,
            class: entity.class.clone(),
            label: entity.label().to_owned(),
            package: entity.package.clone(),
            digest: digest.unwrap_or_else(|| body_digest(&entity)),
            tao_checksum: None,
            orgs,
            properties: entity,
        }
    }
}

/// The digest without the lists that are stored as links (DESIGN §4).
fn body_digest(entity: &Entity) -> Digest {
    let mut body = entity.clone();
    body.properties.retain(|p| p.predicate != vocabulary::ELIGIBLE_TEST_TAKER && p.values.len() <= MAX_INLINE_VALUES);
    canonical::entity_digest(&body)
}

fn to_text(shown: &Shown) -> String {
    let names = |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let types = names(shown.types.iter().map(ToString::to_string).collect());
    let orgs = names(shown.orgs.iter().map(ToString::to_string).collect());
    let mut text = format!(
        "{}\n  type    {types}\n  class   {}\n  orgs    {orgs}\n  digest  {}\n",
        shown.uri, shown.class, shown.digest
    );
    if let Some(package) = &shown.package {
        output::add(
            &mut text,
            format_args!("  test    version {}, {} files, {} bytes\n", package.version, package.files, package.bytes),
        );
    }
    for property in &shown.properties.properties {
        output::add(&mut text, format_args!("  {}\n", property.predicate));
        if property.predicate == vocabulary::USER_PASSWORD {
            text.push_str("    (a hash; shown with --json)\n");
            continue;
        }
        text.extend(property.values.iter().map(value_line));
    }
    text
}

fn value_line(value: &Value) -> String {
    let lang = value.lang.as_ref().map(|lang| format!(" @{lang}")).unwrap_or_default();
    format!("    {}{lang}\n", value.text.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> Shown {
        let entity = Entity::new("urn:anna", "urn:class")
            .with(vocabulary::RDFS_LABEL, "Anna")
            .with(vocabulary::USER_PASSWORD, "hash-of-a-password")
            .with(vocabulary::ELIGIBLE_TEST_TAKER, "urn:x");
        Shown::new(entity, [EntityType::TestTaker].into(), [OrgId::new("A").unwrap()].into(), None)
    }

    #[test]
    fn people_do_not_see_hashes_and_programs_see_everything() {
        let text = to_text(&shown());
        assert!(!text.contains("hash-of-a-password"), "{text}");
        insta::assert_snapshot!(text);
        let json = serde_json::to_value(shown()).unwrap();
        assert_eq!(json["properties"][vocabulary::USER_PASSWORD][0], "hash-of-a-password");
        assert_eq!(json["types"][0], "test-taker");
        assert_eq!(json["orgs"][0], "A");
    }

    #[test]
    fn links_are_not_in_the_digest_of_a_body() {
        let plain = Entity::new("u", "c").with("p", "1");
        let linked = plain.clone().with(vocabulary::ELIGIBLE_TEST_TAKER, "urn:x");
        assert_eq!(body_digest(&plain), body_digest(&linked));
        assert_ne!(body_digest(&plain), body_digest(&plain.clone().with("q", "1")));
    }

    #[test]
    fn two_views_are_shown_as_one() {
        let mut one = Entity::new("u", "c").with("p", "1").with("p", "2");
        add_missing(&mut one, Entity::new("u", "c").with("p", "2").with("p", "3"));
        let texts: Vec<_> = one.values("p").iter().map(|v| v.text.as_str()).collect();
        assert_eq!(texts, ["1", "2", "3"]);
    }
}
