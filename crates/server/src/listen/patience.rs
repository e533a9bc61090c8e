//! Time limits of a connection that hyper does not know: a reader who takes nothing, and a request head that trickles.
//! (hyper's own limit serves for idle connections, which may wait longer than a head may take.)

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::ListenLimits;

/// Counts the turns of a connection: even while it waits for a request, odd while it answers one.
#[derive(Clone)]
pub(super) struct Phase(Arc<AtomicU64>);

/// A request that is being answered.
pub(super) struct Busy(Phase);

/// The body of an answer; the request counts as answered when it is dropped.
pub(super) struct UntilDropped {
    body: Body,
    _busy: Busy,
}

impl Phase {
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(0)))
    }

    pub fn busy(&self) -> Busy {
        self.0.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    fn turn(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Busy {
    pub fn until_dropped(self, body: Body) -> UntilDropped {
        UntilDropped { body, _busy: self }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl HttpBody for UntilDropped {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a request, which fails when nothing comes for a while.
pub(super) struct Watched {
    body: Incoming,
    stall: Duration,
    waiting: Deadline,
}

impl Watched {
    pub fn new(body: Incoming, stall: Duration) -> Self {
        Self { body, stall, waiting: Deadline::default() }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.waiting.disarm();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        this.waiting.arm(this.stall);
        this.waiting.check(cx, "the client sends nothing of the body").map(|late| Some(Err(late.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A deadline that is armed now and then.
#[derive(Default)]
struct Deadline(Option<Pin<Box<Sleep>>>);

impl Deadline {
    fn arm(&mut self, after: Duration) {
        self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + after)));
    }

    fn disarm(&mut self) {
        self.0 = None;
    }

    fn check(&mut self, cx: &mut Context<'_>, what: &'static str) -> Poll<io::Error> {
        match &mut self.0 {
            Some(sleep) => {
                ready!(sleep.as_mut().poll(cx));
                Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, what))
            }
            None => Poll::Pending,
        }
    }
}

/// A stream with patience that ends.
pub(super) struct Patient<S> {
    inner: S,
    phase: Phase,
    turn: u64,
    head: Duration,
    stall: Duration,
    reading_head: Deadline,
    writing: Deadline,
}

impl<S> Patient<S> {
    /// The time for the first request's head begins at once.
    pub fn new(inner: S, phase: Phase, limits: &ListenLimits) -> Self {
        let mut reading_head = Deadline::default();
        reading_head.arm(limits.head);
        let (head, stall) = (limits.head, limits.stall);
        Self { inner, phase, turn: 0, head, stall, reading_head, writing: Deadline::default() }
    }

    /// Watches an attempt to write: the time runs while the other side takes nothing.
    fn watch<T>(&mut self, attempt: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if attempt.is_ready() {
            self.writing.disarm();
            return attempt;
        }
        self.writing.arm(self.stall);
        self.writing.check(cx, "the client takes nothing of the answer").map(Err)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let turn = this.phase.turn();
        if turn != this.turn {
            this.turn = turn;
            this.reading_head.disarm();
        }
        if turn % 2 == 1 {
            // The head is complete; bodies have limits of their own.
            return Pin::new(&mut this.inner).poll_read(cx, buffer);
        }
        let filled = buffer.filled().len();
        let attempt = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if attempt.is_ready() && buffer.filled().len() > filled {
            this.reading_head.arm(this.head);
        }
        match attempt {
            Poll::Pending => this.reading_head.check(cx, "the head of the request took too long").map(Err),
            // A head that comes byte by byte never leaves the socket waiting for long.
            Poll::Ready(done) => match this.reading_head.check(cx, "the head of the request took too long") {
                Poll::Ready(late) => Poll::Ready(Err(late)),
                Poll::Pending => Poll::Ready(done),
            },
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watch(attempt, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let attempt = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(attempt, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let attempt = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watch(attempt, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.watch(attempt, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
