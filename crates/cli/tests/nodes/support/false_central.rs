//! A central that gives tokens like the real one and lies about everything else.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use taosync_wire::v1::token::{TOKEN_TYPE, TokenAnswer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::Central;

/// Answers in the place of `central`, which must be stopped: with its certificate, at its address. `lie` is given the
/// path of each request that is not for a token.
pub async fn in_place_of(
    central: &Central,
    lie: impl Fn(&str) -> Bytes + Send + Sync + 'static,
) -> tokio::task::JoinHandle<()> {
    let listener = TcpListener::bind(central.address).await.unwrap();
    let acceptor = TlsAcceptor::from(central.tls_config());
    let token = Bytes::from(serde_json::to_vec(&token(central).await).unwrap());
    let answer = Arc::new(move |path: &str| if path.ends_with("token") { token.clone() } else { lie(path) });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let answer = answer.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let body = answer(request.uri().path());
                async move { Ok::<_, Infallible>(Response::new(Full::new(body))) }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}

async fn token(central: &Central) -> TokenAnswer {
    TokenAnswer {
        access_token: "false".into(),
        token_type: TOKEN_TYPE.into(),
        expires_in: 600,
        organisation_id: "A".into(),
        organisations: vec!["A".into()],
        central: central.store().identity().await.unwrap().node,
        central_key: hex::encode(central.store().keyring().node_key().public()),
        version: "0.1.0".into(),
        results: None,
        authorities: None,
        new_secret: None,
    }
}
