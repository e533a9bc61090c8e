//! Who may use the runner's interface: whoever holds a runner key, for the organisations that the key opens. What
//! belongs to another one is answered like what does not exist.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use taosync_model::{Entity, OrgId};
use taosync_store::StoreError;
use taosync_store::executions::{self, Execution};
use taosync_store::runner_keys::RunnerScope;
use taosync_sync::runner::Runner;
use taosync_vault::tokens::TokenHash;
use uuid::Uuid;

use crate::oauth::authorization::{Scheme, authorization};
use crate::problem::ApiError;
use crate::state::Local;

/// Lets requests with a valid key through. The key is looked up each time, so that revocation bites at once.
pub(super) async fn check(
    State(local): State<Arc<Local>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let refused = |detail: &str| {
        ApiError::unauthorized("runner_key_invalid", detail, "make a key on this server and give it to the test runner")
    };
    let key = match authorization(request.headers()).map_err(refused)? {
        (Scheme::Bearer, key) => key,
        (Scheme::Dpop, _) => return Err(refused("send 'Authorization: Bearer …'")),
    };
    match local.store.runner_key_check(&TokenHash::of(&key)).await? {
        Some((label, scope)) => {
            tracing::Span::current().record("consumer", label.as_str());
            request.extensions_mut().insert(Reach(scope));
            Ok(next.run(request).await)
        }
        None => Err(refused("the runner key is unknown or revoked")),
    }
}

/// What the key of a request opens.
#[derive(Clone)]
pub(super) struct Reach(RunnerScope);

impl Reach {
    /// Whether an organisation is open.
    pub fn has(&self, org: &OrgId) -> bool {
        self.0.has(org)
    }

    /// The runner, for these organisations only.
    pub fn runner(&self, local: &Local) -> Runner {
        local.runner.within(self.0.clone())
    }

    /// Deliveries of these organisations.
    pub async fn deliveries(&self, local: &Local) -> Result<BTreeMap<String, Entity>, StoreError> {
        let Some(orgs) = self.0.orgs() else { return local.store.replica_deliveries().await };
        let mut deliveries = BTreeMap::new();
        for org in orgs {
            deliveries.extend(local.store.replica_deliveries_of(Some(org)).await?);
        }
        Ok(deliveries)
    }

    /// Whether tests of a delivery may be read.
    pub async fn may_read(&self, local: &Local, delivery: &str) -> Result<bool, StoreError> {
        local.store.runner_may_read(&self.0, delivery).await
    }

    /// Gives the id of an attempt back when it is one of these organisations. A key for all asks nothing.
    pub async fn check(&self, local: &Local, id: Uuid) -> Result<Uuid, StoreError> {
        if self.0 != RunnerScope::All {
            self.execution(local, id).await?;
        }
        Ok(id)
    }

    /// An attempt of these organisations.
    pub async fn execution(&self, local: &Local, id: Uuid) -> Result<Execution, StoreError> {
        let found = local.store.execution_get(id).await?;
        if self.has(&found.org) { Ok(found) } else { Err(executions::unknown(id)) }
    }
}
