//! `GET file`: one file of a package, decrypted on the way.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use serde::Deserialize;
use taosync_packages::PackageError;
use taosync_packages::tree::{TreeFile, stream_file};
use taosync_store::StoreError;
use taosync_store::blobs::Blobs;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::deliveries::{Which, package};
use super::media_type;
use super::trees::tree_of;
use crate::problem::ApiError;
use crate::state::Local;

/// Bytes that are handed to the network at a time.
const PIECE: usize = 64 * 1024;
/// Pieces that wait for a slow reader.
const WAITING: usize = 2;

#[derive(Deserialize)]
pub(super) struct Wanted {
    uri: String,
    #[serde(default)]
    version: Option<u32>,
    path: String,
}

pub(super) async fn file(
    State(local): State<Arc<Local>>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(wanted) =
        wanted.map_err(|_| ApiError::bad_request("the query needs 'uri' and 'path', and may have 'version'"))?;
    let package = package(&local, &Which { uri: wanted.uri, version: wanted.version }).await?;
    let tree = tree_of(&local, &package).await?;
    let file = tree.file(&wanted.path).ok_or_else(|| ApiError::not_found("there is no such file in the package"))?;
    let bytes = file.bytes;
    let mut response = Response::new(decrypted(local.blobs.clone(), file.clone()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type::of(&wanted.path)));
    // A page out of a package runs no script with the rights of this server.
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    Ok(response)
}

/// The plain bytes. A damaged chunk cuts the answer, which its length gives away.
fn decrypted(blobs: Blobs, file: TreeFile) -> Body {
    let (sender, receiver) = mpsc::channel(WAITING);
    let runtime = Handle::current();
    let reader = tokio::task::spawn_blocking(move || {
        let fetch = |name: &_| runtime.block_on(blobs.get(*name)).map_err(as_io);
        let read = stream_file(&file, &fetch, &mut |piece| hand_over(&sender, piece));
        if let Err(error) = read.as_ref() {
            tracing::warn!(%error, "a file of a package was not read to its end");
            let _ = sender.blocking_send(Err(io::Error::other("the file could not be read")));
        }
    });
    Body::from_stream(futures_util::stream::unfold((receiver, reader), |(mut receiver, reader)| async move {
        let piece: io::Result<Bytes> = receiver.recv().await?;
        Some((piece, (receiver, reader)))
    }))
}

/// Waits until the network has taken what was handed over before; an error when nobody reads any more.
fn hand_over(sender: &mpsc::Sender<io::Result<Bytes>>, piece: &[u8]) -> Result<(), PackageError> {
    for part in piece.chunks(PIECE) {
        let sent = sender.blocking_send(Ok(Bytes::copy_from_slice(part)));
        sent.map_err(|_| PackageError::Encode("an answer", io::ErrorKind::BrokenPipe.into()))?;
    }
    Ok(())
}

fn as_io(error: StoreError) -> io::Error {
    io::Error::other(error)
}
