//! Moving bytes through TLS over loopback, with nothing else around.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, anyhow, ensure};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// Bytes handed to TLS at once: one buffer of four records.
const BLOCK: usize = 64 * 1024;
const HOST: &str = "localhost";

/// Seconds of connecting, shaking hands, and receiving `bytes` bytes.
pub fn download(bytes: u64) -> anyhow::Result<f64> {
    let (server, client) = configurations()?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let sender = std::thread::spawn(move || send(&listener, server, bytes));
    let start = Instant::now();
    let name = ServerName::try_from(HOST)?;
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut stream = StreamOwned::new(ClientConnection::new(client, name)?, stream);
    stream.write_all(b"?")?;
    let mut block = vec![0; BLOCK];
    let mut received = 0;
    while received < bytes {
        let read = stream.read(&mut block).context("the sender broke off")?;
        ensure!(read > 0, "the sender ended early, after {received} of {bytes} bytes");
        received += read as u64;
    }
    let seconds = start.elapsed().as_secs_f64();
    sender.join().map_err(|_| anyhow!("the sending thread panicked"))??;
    Ok(seconds)
}

fn send(listener: &TcpListener, configuration: Arc<ServerConfig>, bytes: u64) -> anyhow::Result<()> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut stream = StreamOwned::new(ServerConnection::new(configuration)?, stream);
    stream.read_exact(&mut [0])?;
    let block = vec![b'x'; BLOCK];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(BLOCK as u64);
        stream.write_all(&block[..now as usize])?;
        left -= now;
    }
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(())
}

fn configurations() -> anyhow::Result<(Arc<ServerConfig>, Arc<ClientConfig>)> {
    let own = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let certificate = own.cert.der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((Arc::new(server), Arc::new(client)))
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_arrive_in_full() {
        for bytes in [0, 1, 65_536, 1_000_001] {
            assert!(super::download(bytes).expect("downloads") > 0.0);
        }
    }
}
