//! Exact counts: bytes of HTTP (heads and bodies) above TLS, bytes on the socket below it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What travelled over a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Traffic {
    /// Requests sent, token requests included.
    pub requests: u64,
    /// HTTP heads and bodies received.
    pub bytes_down: u64,
    /// HTTP heads and bodies sent, apart from tokens and proofs.
    pub bytes_up: u64,
    /// Of the heads, what shows who asks: lines with tokens and proofs.
    pub bytes_proof: u64,
    /// Bytes on the socket both ways, TLS included.
    pub bytes_socket: u64,
}

/// Shared counters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    down: AtomicU64,
    up: AtomicU64,
    proof: AtomicU64,
    socket: AtomicU64,
}

impl Counters {
    pub fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes a line of a head that shows who asks. It is counted before it is sent: lines of requests that no
    /// connection took are counted too.
    pub fn count_proof(&self, name: &str, value: &str) {
        let line = name.len() + ": ".len() + value.len() + "\r\n".len();
        self.proof.fetch_add(line as u64, Ordering::Relaxed);
    }

    pub fn read(&self) -> Traffic {
        let bytes_proof = self.proof.load(Ordering::Relaxed);
        Traffic {
            bytes_proof,
            requests: self.requests.load(Ordering::Relaxed),
            bytes_down: self.down.load(Ordering::Relaxed),
            bytes_up: self.up.load(Ordering::Relaxed).saturating_sub(bytes_proof),
            bytes_socket: self.socket.load(Ordering::Relaxed),
        }
    }
}

/// Which side of TLS a stream is on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Layer {
    /// Above TLS: what HTTP says and hears.
    Http,
    /// Below TLS: what the network carries.
    Socket,
}

/// A stream whose bytes are counted.
pub(super) struct Counted<S> {
    inner: S,
    counters: Arc<Counters>,
    layer: Layer,
}

impl<S> Counted<S> {
    pub fn new(inner: S, counters: Arc<Counters>, layer: Layer) -> Self {
        Self { inner, counters, layer }
    }

    fn add_down(&self, bytes: usize) {
        let counter = match self.layer {
            Layer::Http => &self.counters.down,
            Layer::Socket => &self.counters.socket,
        };
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn add_up(&self, bytes: usize) {
        let counter = match self.layer {
            Layer::Http => &self.counters.up,
            Layer::Socket => &self.counters.socket,
        };
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.add_down(buf.filled().len() - before);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = &result {
            self.add_up(*written);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
