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
    pub async fn scope(&self, store: &Store, named: Option<&str>) -> Result<Option<TaoScope>, StoreError> {
        let everything = self.orgs.iter().find(|org| org.is_everything());
        let Some(named) = named else {
            let only = everything.or(match &self.orgs[..] {
                [only] => Some(only),
                _ => None,
            });
            return Ok(only.cloned().map(|org| self.view(org)));
        };
        let Ok(named) = OrgId::new(named) else { return Ok(None) };
        if self.trusts && !named.is_everything() {
            return Ok(Some(TaoScope::Unfiltered(named)));
        }
        let is_part = everything.is_some() && store.scope_show(&named).await?.is_some();
        Ok((is_part || self.orgs.contains(&named)).then(|| self.view(named)))
    }

    /// All organisations it may reach, for requests that cannot name one.
    pub async fn all(&self, store: &Store) -> Result<Vec<OrgId>, StoreError> {
        if self.trusts { store.orgs_registered().await } else { Ok(self.orgs.clone()) }
    }

    fn view(&self, org: OrgId) -> TaoScope {
        if self.trusts && !org.is_everything() { TaoScope::Unfiltered(org) } else { TaoScope::Seen(org) }
    }
}
