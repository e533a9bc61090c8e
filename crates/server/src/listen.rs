//! Sockets: accepts connections within limits, speaks TLS and HTTP/1.1, and lets running requests end.
//!
//! Nobody may hold a connection for nothing: handshake, request head, idle connection, stalled reader and stalled writer
//! each have a time limit (`patience`), and each network has a number of connections (`peers`).

mod connection;
mod patience;
mod peers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use peers::Peers;
pub(crate) use peers::network_of;

/// Pause after an accept failed, such as when the process has no more file descriptors.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);

/// Limits of a listener; [`ListenLimits::default`] is what a server uses.
#[derive(Clone, Copy, Debug)]
pub struct ListenLimits {
    /// Open connections.
    pub connections: usize,
    /// Open connections of one network (an IPv4 address or an IPv6 /64).
    pub per_network: usize,
    /// Open connections of this machine itself.
    pub loopback: usize,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// Time for the head of a request, from its first byte (of the first request: from the connection).
    pub head: Duration,
    /// Time a connection may be idle between requests.
    pub idle: Duration,
    /// Time a client may take nothing of an answer, or send nothing of a body.
    pub stall: Duration,
    /// Bytes of the head of a request.
    pub head_bytes: usize,
    /// Time running requests have at shutdown.
    pub shutdown: Duration,
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self {
            connections: 512,
            per_network: 64,
            loopback: 256,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            head_bytes: 16 * 1024,
            shutdown: Duration::from_secs(20),
        }
    }
}

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The listening socket is of no use.
    #[error("cannot use the listening socket; check that the address belongs to this machine")]
    Socket(#[source] std::io::Error),
    /// Plain HTTP would leave the machine.
    #[error("plain HTTP is served on loopback only, not on {0}; configure TLS, or listen on 127.0.0.1 or [::1]")]
    PlainHttp(SocketAddr),
}

/// Who is at the other end; in the extensions of every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
}

/// Serves until `shutdown` is done, then lets running requests end within `limits.shutdown`. Without `tls` only a
/// loopback address is served.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<ServerConfig>>,
    limits: ListenLimits,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ListenError> {
    let address = listener.local_addr().map_err(ListenError::Socket)?;
    if tls.is_none() && !address.ip().to_canonical().is_loopback() {
        return Err(ListenError::PlainHttp(address));
    }
    let server = Server {
        router,
        tls: tls.map(TlsAcceptor::from),
        limits,
        peers: Peers::default(),
        places: Arc::new(Semaphore::new(limits.connections)),
        ending: CancellationToken::new(),
        cut: CancellationToken::new(),
        connections: TaskTracker::new(),
    };
    tokio::select! {
        () = server.accept_all(&listener) => {}
        () = shutdown => {}
    }
    drop(listener);
    server.end().await;
    Ok(())
}

struct Server {
    router: Router,
    tls: Option<TlsAcceptor>,
    limits: ListenLimits,
    peers: Peers,
    places: Arc<Semaphore>,
    ending: CancellationToken,
    cut: CancellationToken,
    connections: TaskTracker,
}

impl Server {
    async fn accept_all(&self, listener: &TcpListener) {
        // Without a free place new connections wait in the queue of the operating system. The semaphore is never closed.
        while let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, address)) => self.open(stream, address, place),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                }
            }
        }
    }

    fn open(&self, stream: TcpStream, address: SocketAddr, place: tokio::sync::OwnedSemaphorePermit) {
        let limit =
            if address.ip().to_canonical().is_loopback() { self.limits.loopback } else { self.limits.per_network };
        let Some(seat) = self.peers.enter(address.ip(), limit) else {
            tracing::debug!(peer = %address.ip(), "too many connections from one network; one was closed");
            return;
        };
        let connection = connection::Connection {
            router: self.router.clone(),
            tls: self.tls.clone(),
            limits: self.limits,
            address,
            ending: self.ending.clone(),
        };
        let cut = self.cut.clone();
        self.connections.spawn(async move {
            let _held = (place, seat);
            cut.run_until_cancelled(connection.run(stream)).await;
        });
    }

    /// Says goodbye, waits, and cuts what is left.
    async fn end(&self) {
        self.ending.cancel();
        self.connections.close();
        if tokio::time::timeout(self.limits.shutdown, self.connections.wait()).await.is_err() {
            tracing::warn!(connections = self.connections.len(), "requests still running at shutdown are cut");
            self.cut.cancel();
            self.connections.wait().await;
        }
    }
}
