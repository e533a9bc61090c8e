//! One connection, from the handshake to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::patience::{Patient, Phase, UntilDropped, Watched};
use super::{ListenLimits, Peer};

/// Buffered bytes a connection may have in each direction, beside one piece of an answer.
const BUFFER: usize = 64 * 1024;

pub(super) struct Connection {
    pub router: Router,
    pub tls: Option<TlsAcceptor>,
    pub limits: ListenLimits,
    pub address: SocketAddr,
    pub ending: CancellationToken,
}

impl Connection {
    pub async fn run(self, stream: TcpStream) {
        // Answers are flushed when they are complete; waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        match self.tls.clone() {
            None => self.speak(stream).await,
            Some(tls) => {
                let handshake = tokio::time::timeout(self.limits.handshake, tls.accept(stream));
                match self.ending.run_until_cancelled(handshake).await {
                    Some(Ok(Ok(stream))) => self.speak(stream).await,
                    Some(Ok(Err(error))) => tracing::debug!(peer = %self.address.ip(), %error, "no TLS"),
                    Some(Err(_)) => tracing::debug!(peer = %self.address.ip(), "the TLS handshake took too long"),
                    None => {}
                }
            }
        }
    }

    async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let phase = Phase::new();
        let peer = Peer { address: self.address, secure: self.tls.is_some() };
        let router = self.router;
        let stall = self.limits.stall;
        let service = {
            let phase = phase.clone();
            service_fn(move |request: Request<Incoming>| {
                let request = request.map(|body| Body::new(Watched::new(body, stall)));
                answer(router.clone(), phase.clone(), peer, request)
            })
        };
        let io = TokioIo::new(Patient::new(stream, phase, &self.limits));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.limits.idle)
            .max_header_size(self.limits.head_bytes)
            .max_buf_size(BUFFER)
            .half_close(false);
        let mut connection = pin!(http.serve_connection(io, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.ending.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %peer.address.ip(), %error, "a connection was cut");
        }
    }
}

/// Hands a request to the router; the connection counts as busy until the answer is written or given up.
async fn answer(
    router: Router,
    phase: Phase,
    peer: Peer,
    mut request: Request<Body>,
) -> Result<Response<UntilDropped>, Infallible> {
    let busy = phase.busy();
    request.extensions_mut().insert(peer);
    let response = router.oneshot(request).await?;
    Ok(response.map(|body| busy.until_dropped(body)))
}
