//! Whose data a consumer may see. A request may name an organisation; the consumer decides whether that counts.

use taosync_model::OrgId;
use taosync_store::tao::TaoScope;
use taosync_store::{Store, StoreError};

use super::Compat;

/// The organisations of a consumer.
#[derive(Clone, Debug)]
pub struct Reach {
    orgs: Vec<OrgId>,
    trusts: bool,
}

impl Reach {
    /// What a consumer with these organisations may reach.
    pub fn new(orgs: Vec<OrgId>, compat: &Compat) -> Self {
        Self { orgs, trusts: compat.trust_requested_org }
    }

    /// The scope of a request that names an organisation, or none. `None`: there is nothing under that name for this
    /// consumer, or it has to say which of its organisations it means.
    pub fn scope(&self, named: Option<&str>) -> Option<TaoScope> {
        let everything = self.orgs.iter().find(|org| org.is_everything());
        let Some(named) = named else {
            let only = if let [only] = &self.orgs[..] { Some(only) } else { None };
            return everything.or(only).cloned().map(|org| self.view(org));
        };
        let named = OrgId::new(named).ok()?;
        if self.trusts && !named.is_everything() {
            return Some(TaoScope::Unfiltered(named));
        }
        // Where scopes are not set up, TAO does not look at the name: so it is for a consumer of everything.
        let known = self.orgs.iter().find(|org| **org == named).or(everything);
        known.cloned().map(|org| self.view(org))
    }

    /// All organisations it may reach, for requests that cannot name one.
    pub async fn all(&self, store: &Store) -> Result<Vec<OrgId>, StoreError> {
        if self.trusts { store.orgs_registered().await } else { Ok(self.orgs.clone()) }
    }

    fn view(&self, org: OrgId) -> TaoScope {
        if self.trusts && !org.is_everything() { TaoScope::Unfiltered(org) } else { TaoScope::Seen(org) }
    }
}
