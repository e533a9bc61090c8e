//! Taking a key of a TAO central: a token and the list of versions prove that it works.

use serde_json::json;
use taosync_model::OrgId;
use taosync_store::remotes::RemoteKind;
use taosync_sync::link::patience::Patience;
use taosync_sync::link::{Link, Request};
use taosync_sync::tao_remote::TaoLink;
use taosync_sync::tao_remote::link::Caller;
use taosync_wire::tao::{Failure as TaoFailure, PATH_SUPPORTED_VM};
use taosync_wire::v1;

use super::{NewRemote, Options, Speaks, address_of};
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;

/// Bytes of an answer that are read to know who gives it.
const MAX_ANSWER: usize = 64 * 1024;

/// What a TAO central must be told, as it knows nothing of a key's organisations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    org: Option<OrgId>,
    version: Option<String>,
}

impl Choice {
    /// What was said.
    pub const fn new(org: Option<OrgId>, version: Option<String>) -> Self {
        Self { org, version }
    }

    /// The organisation, unless one was said.
    #[must_use]
    pub fn or_org(self, org: Option<OrgId>) -> Self {
        Self { org: self.org.or(org), ..self }
    }

    pub(super) fn of(options: &Options) -> Self {
        Self { org: options.organisation_id.clone(), version: options.tao_version.clone() }
    }
}

/// What a central speaks whose token URL does not tell: both answer a question without a token, each in its own way. A
/// central of ours is known first, since it may speak TAO's protocol too. The secret is not sent.
pub async fn probe(node: &Node, new: &NewRemote) -> Result<Speaks, Failure> {
    let link = Link::new(address_of(node, new)?, node.caller())?;
    let question = Request::get(PATH_SUPPORTED_VM).header("accept", "application/json");
    let answer = link.send_foreign(&question, None).await?;
    if answer.headers.contains_key(v1::REQUEST_ID) {
        return Ok(Speaks::Taosync);
    }
    let body = answer.bytes(MAX_ANSWER).await?;
    let is_tao = serde_json::from_slice::<TaoFailure>(&body).is_ok_and(|failure| !failure.success);
    Ok(if is_tao { Speaks::Tao } else { Speaks::Taosync })
}

/// Keeps a key of a TAO central that lets this server in.
pub async fn import(context: &Context, node: &Node, new: NewRemote, choice: Choice) -> Result<(), Failure> {
    let (org, wanted) = (choice.org.unwrap_or_else(OrgId::everything), choice.version);
    let supported = versions(node, &new, &org).await?;
    let version = choose(wanted, &supported)?;
    let new = NewRemote { kind: RemoteKind::Tao { version: version.clone() }, ..new };
    let remote = node.store.remote_put(&new).await?;
    node.store.replica_open(remote, &org).await?;
    node.audit("remote.import", &new.client_key, json!({"kind": "tao", "orgs": [&org]})).await?;
    let document = json!({
        "remote": remote, "kind": "tao", "org": org, "orgs": [&org], "central": null,
        "tao_version": version, "supported_versions": supported,
    });
    context.output.answer(&document, || {
        let whose = if org.is_everything() { "everything it shows".to_owned() } else { org.to_string() };
        format!(
            "Connected with the TAO central at {} for {whose}, as TAO {version}.\nNext: taosync --dir {} sync all",
            new.root_url,
            node.place.dir().display()
        )
    })
}

/// The versions that central lets in; only who holds the secret is told.
async fn versions(node: &Node, new: &NewRemote, org: &OrgId) -> Result<Vec<String>, Failure> {
    let link = Link::new(address_of(node, new)?, node.caller())?;
    let caller = Caller::new(org, 0, node.identity.node, "");
    Ok(TaoLink::new(link, caller, Patience::none()).versions().await?)
}

fn choose(wanted: Option<String>, supported: &[String]) -> Result<String, Failure> {
    match wanted {
        Some(version) if supported.contains(&version) => Ok(version),
        Some(version) => Err(not_let_in(&format!("'{version}'"), supported)),
        None => supported
            .iter()
            .max_by_key(|version| numbers(version))
            .cloned()
            .ok_or_else(|| not_let_in("any version", supported)),
    }
}

fn not_let_in(version: &str, supported: &[String]) -> Failure {
    Failure::new(
        "TS-312",
        format!("the TAO central does not let in {version}; it lets in: {}", supported.join(", ")),
        "have a version added to its list of approved VMs, or choose one of the list with --tao-version",
    )
}

/// The numbers in a version, for an order: `2024.04 LTS` is newer than `2023.12`, `3.4.0-sprint125` older than both.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_chosen_unless_one_is_named() {
        let supported = ["3.4.0-sprint125", "2024.04 LTS", "2023.12"].map(str::to_owned);
        assert_eq!(choose(None, &supported).unwrap(), "2024.04 LTS");
        assert_eq!(choose(Some("2023.12".into()), &supported).unwrap(), "2023.12");
        for (wanted, supported) in [(Some("1".to_owned()), &supported[..]), (None, &[])] {
            assert_eq!(choose(wanted, supported).unwrap_err().code, "TS-312");
        }
    }
}
