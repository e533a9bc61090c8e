//! `getDeliveryTest`: the zip a delivery was published from, as it is made again from its files. Whole, also where a part
//! is asked for: RFC 9110 §14.2 allows it, and a part with status 200, as TAO answers, looks like the whole.

use std::io::{Error, ErrorKind, Write};

use axum::response::Response;
use bytes::Bytes;
use http::Method;
use taosync_store::packages::Package;
use taosync_sync::packages::export::export;
use taosync_sync::tao::package;
use tokio::sync::mpsc;

use super::Asked;
use super::caller::Caller;
use super::fault::Fault;
use crate::body;
use crate::state::Central;

/// Bytes that are sent at a time.
const PIECE: usize = 64 * 1024;
/// Pieces that wait for the network.
const WAITING: usize = 4;
/// What TAO gives it; its client looks at the bytes alone.
const MEDIA_TYPE: &str = "application/json";

pub(super) async fn delivery_test(asked: &Asked, caller: &Caller) -> Result<Response, Fault> {
    asked.needs(&Method::GET)?;
    let uri = asked.query.get("delivery-uri").ok_or_else(Fault::not_found)?;
    let package = package::find(&asked.central.store, &caller.reach, uri).await?;
    let package = package.ok_or_else(Fault::not_found)?;
    Ok(send(&asked.central, package))
}

fn send(central: &Central, package: Package) -> Response {
    let (sender, mut receiver) = mpsc::channel::<Result<Bytes, Error>>(WAITING);
    let store = central.store.clone();
    let failing = sender.clone();
    let making = async move {
        let out = Outgoing { sender, piece: Vec::with_capacity(PIECE) };
        if let Err(error) = export(&store, &package, out).await {
            tracing::error!(%error, delivery = package.delivery, "a package cannot be sent to a TAO client");
            // Nobody listens any more when this fails; the stream ends broken either way.
            let _ = failing.send(Err(Error::from(ErrorKind::UnexpectedEof))).await;
        }
    };
    // The stream owns the work: it makes the next piece while the last one is taken, and both end together.
    let mut making = Box::pin(making);
    let mut is_made = false;
    let stream = futures_util::stream::poll_fn(move |context| {
        if !is_made && making.as_mut().poll(context).is_ready() {
            is_made = true;
        }
        receiver.poll_recv(context)
    });
    body::streamed(MEDIA_TYPE, stream)
}

/// The pieces of the zip on their way from the thread that makes it.
struct Outgoing {
    sender: mpsc::Sender<Result<Bytes, Error>>,
    piece: Vec<u8>,
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.sender.blocking_send(Ok(piece.into())).map_err(|_| Error::from(ErrorKind::BrokenPipe))
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        // The last piece; whether it arrives is seen at the other end.
        let _ = self.flush();
    }
}
