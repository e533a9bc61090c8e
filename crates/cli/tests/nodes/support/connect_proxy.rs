//! An ordinary HTTP proxy: it opens a tunnel for CONNECT, and counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

pub struct ConnectProxy {
    pub address: SocketAddr,
    tunnels: Arc<AtomicU64>,
}

impl ConnectProxy {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tunnels = Arc::new(AtomicU64::new(0));
        let count = tunnels.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(tunnel(client, count.clone()));
            }
        });
        Self { address, tunnels }
    }

    /// Tunnels opened so far.
    pub fn tunnels(&self) -> u64 {
        self.tunnels.load(Ordering::SeqCst)
    }
}

async fn tunnel(client: TcpStream, count: Arc<AtomicU64>) {
    let mut client = BufReader::new(client);
    let mut first = String::new();
    client.read_line(&mut first).await.unwrap();
    let target = first.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
    let mut line = String::new();
    while client.read_line(&mut line).await.unwrap() > 2 {
        line.clear();
    }
    let mut server = TcpStream::connect(target).await.unwrap();
    count.fetch_add(1, Ordering::SeqCst);
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}
