//! What a local server shows of itself when it asks for data.

use taosync_model::continuation::Shown;
use taosync_model::receipt_mark::ReceiptMark;
use taosync_store::replica::ReplicaScope;
use taosync_store::{Store, StoreError};
use taosync_wire::v1;

use crate::link::Request;

/// Continuation and newest receipt: with them central knows a copied or restored machine, and is known if it was put
/// back itself.
#[derive(Clone, Debug, Default)]
pub struct Showing {
    /// The continuation.
    pub continuation: Shown,
    /// The newest receipt held.
    pub receipt: Option<ReceiptMark>,
}

impl Showing {
    /// For a sync: the word for its step is on the disk when this returns.
    pub async fn prepare(store: &Store, replica: &ReplicaScope) -> Result<Self, StoreError> {
        let continuation = store.continuation_prepare(replica.id).await?;
        Ok(Self { continuation, receipt: store.receipt_newest(&replica.org).await? })
    }

    /// For a look that takes no step.
    pub async fn look(store: &Store, replica: &ReplicaScope) -> Result<Self, StoreError> {
        Ok(Self { continuation: replica.continuation.clone(), receipt: store.receipt_newest(&replica.org).await? })
    }

    /// The request with what is shown.
    pub fn on(&self, request: Request) -> Request {
        let request = request.header(v1::CONTINUATION, self.continuation.to_string());
        match &self.receipt {
            Some(mark) => request.header(v1::RECEIPT, mark.to_string()),
            None => request,
        }
    }
}
