//! A scan of our own surface, as an attacker would begin: what every answer says to a browser, which TLS is spoken, and
//! which is not.

use std::sync::Arc;

use axum::body::Body;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CipherSuite, ClientConfig, DigitallySignedStruct, ProtocolVersion, SignatureScheme, SupportedProtocolVersion,
};
use taosync_server::routes::Endpoint;
use taosync_server::{central_endpoints, local_endpoints};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::Answer;
use crate::place::Place;
use crate::room::Room;

/// TLS records: alert, and its descriptions (RFC 8446 §6).
const ALERT: u8 = 21;
const HANDSHAKE_FAILURE: u8 = 40;
const PROTOCOL_VERSION: u8 = 70;
/// What old clients offer: RSA key exchange, CBC, 3DES, RC4; the last three ephemeral, but without authenticated encryption.
const OLD_CIPHERS: [u16; 9] = [0x002f, 0x0035, 0x003c, 0x009c, 0x000a, 0x0005, 0xc013, 0xc014, 0xc027];

fn headers_hold(answer: &Answer, asked: &str) {
    let header = |name: &str| answer.header(name);
    assert!(!header("taosync-request").is_empty(), "{asked}: {answer:?}");
    assert!(!header("cache-control").is_empty(), "{asked}: {answer:?}");
    for name in ["server", "x-powered-by", "access-control-allow-origin", "location-of"] {
        assert_eq!(header(name), "", "{asked}: {name}");
    }
    // Streams of frames and empty answers are for programs only.
    let media_type = header("content-type");
    if media_type.is_empty() || media_type == "application/zstd" {
        return;
    }
    assert_eq!(header("x-content-type-options"), "nosniff", "{asked}: {answer:?}");
    assert_eq!(header("x-frame-options"), "DENY", "{asked}");
    assert_eq!(header("strict-transport-security"), "max-age=31536000", "{asked}");
    assert!(["no-referrer", "same-origin"].contains(&header("referrer-policy")), "{asked}");
    let policy = header("content-security-policy");
    // Only our own pages may load anything: their one style sheet.
    let own = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let nothing = "default-src 'none'; frame-ancestors 'none'";
    assert!(policy == nothing || policy == own, "{asked}: {policy}");
}

/// Every address by every method: answers, refusals and errors alike.
async fn scan(place: &Place, endpoints: &[Endpoint]) {
    let mut scanned = 0;
    for path in endpoints.iter().map(|endpoint| endpoint.path.as_str()).chain(["/nowhere", "/%2e%2e/x", "/api/v1/"]) {
        let path = path.replace(['{', '}', '*'], "x");
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
            for body in ["", "{"] {
                let request = place.request(method, &path).header("content-type", "application/json");
                let answer = place.send(request.body(Body::from(body)).unwrap()).await;
                // TAO's word for a method it does not take is 500.
                let is_fault = answer.status == 500 && !path.starts_with("/tao");
                assert!(!is_fault, "{method} {path}: {answer:?}");
                headers_hold(&answer, &format!("{method} {path}"));
                scanned += 1;
            }
        }
    }
    assert!(scanned > 200, "{scanned}");
}

#[tokio::test]
async fn every_answer_of_central_says_what_browsers_may_do_with_it() {
    scan(&Place::central().await, &central_endpoints()).await;
}

#[tokio::test]
async fn every_answer_of_a_local_server_says_what_browsers_may_do_with_it() {
    scan(&Room::open().await.place, &local_endpoints()).await;
}

/// Looks at the handshake only; that the client checks certificates is tested elsewhere.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519, SignatureScheme::RSA_PSS_SHA256]
    }
}

/// A handshake of a client of today, in one version.
async fn handshake(place: &Place, version: &'static SupportedProtocolVersion) -> (ProtocolVersion, CipherSuite) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody));
    let connector = TlsConnector::from(Arc::new(builder.with_no_client_auth()));
    let tcp = TcpStream::connect(place.address).await.unwrap();
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
    let (_, session) = stream.get_ref();
    (session.protocol_version().unwrap(), session.negotiated_cipher_suite().unwrap().suite())
}

/// The hello of a client (RFC 5246 §7.4.1.2) that offers these ciphers and no version beyond this one.
fn hello(version: [u8; 2], ciphers: &[u16]) -> Vec<u8> {
    let groups = [0, 10, 0, 4, 0, 2, 0, 23];
    let schemes = [0, 13, 0, 8, 0, 6, 4, 3, 4, 1, 8, 4];
    let extensions = [&groups[..], &schemes].concat();
    let ciphers: Vec<u8> = ciphers.iter().flat_map(|cipher| cipher.to_be_bytes()).collect();
    let mut body = [&version[..], &[7; 32], &[0]].concat();
    body.extend((ciphers.len() as u16).to_be_bytes());
    body.extend(ciphers);
    body.extend([1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut message = vec![1, 0];
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(body);
    let mut record = vec![22, 3, 1];
    record.extend((message.len() as u16).to_be_bytes());
    record.extend(message);
    record
}

/// The alert that answers a hello, or the type of the record that is none.
async fn alert(place: &Place, hello: Vec<u8>) -> Result<u8, u8> {
    let mut tcp = TcpStream::connect(place.address).await.unwrap();
    tcp.write_all(&hello).await.unwrap();
    let mut record = [0; 7];
    tcp.read_exact(&mut record).await.unwrap();
    if record[0] == ALERT { Ok(record[6]) } else { Err(record[0]) }
}

#[tokio::test]
async fn tls_of_today_is_spoken_and_none_that_is_older() {
    let place = Place::central().await;
    let (version, suite) = handshake(&place, &rustls::version::TLS13).await;
    assert_eq!(version, ProtocolVersion::TLSv1_3, "{suite:?}");
    let (version, suite) = handshake(&place, &rustls::version::TLS12).await;
    assert_eq!(version, ProtocolVersion::TLSv1_2);
    let name = format!("{suite:?}");
    assert!(name.starts_with("TLS_ECDHE_") && (name.contains("GCM") || name.contains("CHACHA20")), "{name}");

    let modern = [0xc02b, 0xc02f, 0xc02c, 0xc030];
    for old in [[3, 0], [3, 1], [3, 2]] {
        let ciphers = [&modern[..], &OLD_CIPHERS].concat();
        assert_eq!(alert(&place, hello(old, &ciphers)).await, Ok(PROTOCOL_VERSION), "version {old:?}");
    }
    assert_eq!(alert(&place, hello([3, 3], &OLD_CIPHERS)).await, Ok(HANDSHAKE_FAILURE), "all old ciphers together");
    for cipher in OLD_CIPHERS {
        assert_eq!(alert(&place, hello([3, 3], &[cipher])).await, Ok(HANDSHAKE_FAILURE), "{cipher:#06x}");
    }
    // The hello is a good one: with a cipher of today it is answered.
    assert_eq!(alert(&place, hello([3, 3], &modern)).await, Err(22));
}
