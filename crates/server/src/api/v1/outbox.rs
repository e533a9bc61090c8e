//! `POST /api/v1/outbox`: items come in as a stream, and receipts go out as a stream while they do.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use taosync_sync::up::{Authority, Receiver};
use taosync_wire::frame::FrameWriter;
use taosync_wire::v1::outbox::ReceiptFrame;

use super::FRAMES;
use crate::body;
use crate::oauth::Caller;
use crate::problem::ApiError;
use crate::state::Central;

pub(crate) async fn outbox(
    State(central): State<Arc<Central>>,
    caller: Caller,
    request: Body,
) -> Result<Response, ApiError> {
    let authority =
        Authority { central: central.identity.node, epoch: central.identity.epoch, org: caller.org, node: caller.node };
    let receiver = Receiver::new(central.store.clone(), authority).map_err(|error| ApiError::internal(&error))?;
    let writer = FrameWriter::new().map_err(|error| ApiError::internal(&error))?;
    let receiving = Receiving { incoming: body::stream(request).boxed(), receiver, writer };
    Ok(body::streamed(FRAMES, receiving.stream()))
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
