//! `POST /api/v1/outbox`: items come in as a stream, and receipts go out as a stream while they do.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use taosync_sync::up::{Authority, Receiver};
use taosync_wire::frame::FrameWriter;
use taosync_wire::v1::WENT_BACK;
use taosync_wire::v1::outbox::ReceiptFrame;

use super::FRAMES;
use super::feed::receipt;
use crate::body;
use crate::oauth::{Caller, CallerOnce};
use crate::problem::ApiError;
use crate::state::Central;

pub(crate) async fn outbox(
    State(central): State<Arc<Central>>,
    CallerOnce(caller): CallerOnce,
    headers: HeaderMap,
    request: Body,
) -> Result<Response, ApiError> {
    let has_gone_back = has_gone_back(&central, &caller, &headers).await?;
    let node_key = node_key(&central, &caller).await?;
    let (org, node) = (caller.org, caller.node);
    let authority = Authority { central: central.identity.node, epoch: central.identity.epoch, org, node, node_key };
    let receiver = Receiver::new(central.store.clone(), authority).map_err(|error| ApiError::internal(&error))?;
    let writer = FrameWriter::new().map_err(|error| ApiError::internal(&error))?;
    let receiving = Receiving { incoming: body::stream(request).boxed(), receiver, writer };
    let mut response = body::streamed(FRAMES, receiving.stream());
    if has_gone_back {
        response.headers_mut().insert(HeaderName::from_static(WENT_BACK), HeaderValue::from_static("1"));
    }
    Ok(response)
}

/// The key that is bound to the caller's node.
async fn node_key(central: &Central, caller: &Caller) -> Result<[u8; 32], ApiError> {
    let node = central.store.node_get(caller.node).await?;
    let key = node.and_then(|node| node.public_key.try_into().ok());
    key.ok_or_else(|| ApiError::internal(&"the key of a node that has a token is missing or damaged"))
}

/// Whether the caller holds a receipt that is not known here. It has to learn that before it holds a newer one that is:
/// afterwards nothing would show it.
async fn has_gone_back(central: &Central, caller: &Caller, headers: &HeaderMap) -> Result<bool, ApiError> {
    let Some(mark) = receipt(headers)? else { return Ok(false) };
    if central.store.receipt_is_known(&mark).await? {
        return Ok(false);
    }
    central.store.receipt_unknown(caller.node, &caller.org).await?;
    Ok(true)
}

struct Receiving {
    incoming: BoxStream<'static, Result<Bytes, axum::Error>>,
    receiver: Receiver,
    writer: FrameWriter,
}

impl Receiving {
    fn stream(self) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
        futures_util::stream::try_unfold(Some(self), |receiving: Option<Self>| async move {
            match receiving {
                Some(receiving) => receiving.step().await.map(Some),
                None => Ok(None),
            }
        })
    }

    /// Reads until there is something to answer. Receipts are pushed through the compressor at once, so that local can
    /// act on them even when the line is cut later.
    async fn step(mut self) -> Result<(Bytes, Option<Self>), std::io::Error> {
        // A cut or silent request ends like one that is over: what was whole is stored and answered.
        while let Some(Ok(bytes)) = self.incoming.next().await {
            let frames = self.receiver.feed(&bytes).await;
            push(&mut self.writer, &frames)?;
            if self.receiver.is_over() {
                break;
            }
            if !frames.is_empty() {
                return Ok((self.writer.flush()?.into(), Some(self)));
            }
        }
        push(&mut self.writer, &self.receiver.finish().await)?;
        Ok((self.writer.finish()?.into(), None))
    }
}

fn push(writer: &mut FrameWriter, frames: &[ReceiptFrame]) -> Result<(), std::io::Error> {
    frames.iter().try_for_each(|frame| writer.push(frame, &[]))
}
