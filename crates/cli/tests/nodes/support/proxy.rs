//! A proxy between two nodes that cuts connections: below TLS, so both ends see what a bad line does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Bytes that may still pass; below zero, everything may.
const UNLIMITED: i64 = i64::MIN;

/// A line that can be cut.
pub struct Proxy {
    pub address: SocketAddr,
    up: Arc<AtomicI64>,
    down: Arc<AtomicI64>,
    cuts: Arc<AtomicU64>,
}

impl Proxy {
    pub async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Self {
            address,
            up: Arc::new(AtomicI64::new(UNLIMITED)),
            down: Arc::new(AtomicI64::new(UNLIMITED)),
            cuts: Arc::default(),
        };
        let (up, down, cuts) = (proxy.up.clone(), proxy.down.clone(), proxy.cuts.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(target).await else { continue };
                let (client_read, client_write) = client.into_split();
                let (server_read, server_write) = server.into_split();
                tokio::spawn(carry(client_read, server_write, up.clone(), cuts.clone()));
                tokio::spawn(carry(server_read, client_write, down.clone(), cuts.clone()));
            }
        });
        proxy
    }

    pub fn url(&self) -> String {
        format!("https://{}/", self.address)
    }

    /// Lets this many bytes pass upwards, then cuts.
    pub fn cut_up_after(&self, bytes: i64) {
        self.up.store(bytes, Ordering::SeqCst);
    }

    /// Lets this many bytes pass downwards, then cuts.
    pub fn cut_down_after(&self, bytes: i64) {
        self.down.store(bytes, Ordering::SeqCst);
    }

    /// Lets everything pass again.
    pub fn mend(&self) {
        self.up.store(UNLIMITED, Ordering::SeqCst);
        self.down.store(UNLIMITED, Ordering::SeqCst);
    }

    /// How often a connection was cut.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::SeqCst)
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, left: Arc<AtomicI64>, cuts: Arc<AtomicU64>) {
    let mut buffer = vec![0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let allowed = allow(&left, read);
        if to.write_all(&buffer[..allowed]).await.is_err() {
            return;
        }
        if allowed < read {
            cuts.fetch_add(1, Ordering::SeqCst);
            // Both halves are dropped without a goodbye from TLS.
            return;
        }
    }
}

/// Takes bytes from the budget; says how many may pass.
fn allow(left: &AtomicI64, wanted: usize) -> usize {
    let budget = left.load(Ordering::SeqCst);
    if budget == UNLIMITED {
        return wanted;
    }
    let allowed = budget.clamp(0, wanted as i64);
    left.fetch_sub(allowed, Ordering::SeqCst);
    allowed as usize
}
