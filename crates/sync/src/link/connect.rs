//! Making connections: TCP (through a proxy when there is one), counting, TLS with the pinned authority.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use taosync_vault::tls::{Dates, client_config_by};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;
use url::Url;

use super::count::{Counted, Counters, Layer};
use super::{Address, LinkError};

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(15);

type Error = Box<dyn std::error::Error + Send + Sync>;
type Socket = Counted<TcpStream>;

/// https everywhere, except plain http to this machine's own address.
pub(super) fn check_scheme(url: &Url) -> Result<(), LinkError> {
    let is_loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback => Ok(()),
        _ => Err(LinkError::Insecure(url.to_string())),
    }
}

/// Opens connections for the client.
#[derive(Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    tls: TlsConnector,
    proxies: Arc<Matcher>,
    counters: Arc<Counters>,
}

impl Connector {
    pub fn new(address: &Address, dates: Dates, counters: Arc<Counters>) -> Result<Self, LinkError> {
        let config = client_config_by(&address.pins, dates)
            .map_err(|error| LinkError::Certificate { host: address.root.to_string(), reason: error.to_string() })?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        let proxies = match &address.proxy {
            Some(proxy) => Matcher::builder().all(proxy.clone()).build(),
            None => Matcher::from_env(),
        };
        Ok(Self { tcp, tls: TlsConnector::from(config), proxies: Arc::new(proxies), counters })
    }

    async fn open(mut self, uri: Uri) -> Result<Stream, Error> {
        let is_tls = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let tcp = match self.proxies.intercept(&uri).filter(|_| is_tls) {
            Some(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), self.tcp.clone());
                if let Some(auth) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(auth.clone());
                }
                tunnel.call(uri).await.map_err(|e| -> Error { Box::new(e) })?
            }
            None => self.tcp.call(uri).await?,
        };
        let socket = Counted::new(tcp.into_inner(), self.counters.clone(), Layer::Socket);
        if !is_tls {
            return Ok(Stream::Plain(TokioIo::new(Counted::new(socket, self.counters, Layer::Http))));
        }
        let name = ServerName::try_from(host)?;
        let tls = tokio::time::timeout(CONNECT, self.tls.connect(name, socket))
            .await
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        Ok(Stream::Tls(Box::new(TokioIo::new(Counted::new(tls, self.counters, Layer::Http)))))
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().open(uri))
    }
}

/// An open connection.
pub(super) enum Stream {
    Plain(TokioIo<Counted<Socket>>),
    Tls(Box<TokioIo<Counted<TlsStream<Socket>>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
