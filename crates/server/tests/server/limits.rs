//! Clients that hold a connection for nothing.

use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use taosync_model::Digest;
use taosync_server::{ListenError, ListenLimits, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::dpop;
use crate::place::{Place, publish};

fn short() -> ListenLimits {
    ListenLimits {
        handshake: Duration::from_millis(400),
        head: Duration::from_millis(400),
        idle: Duration::from_millis(1200),
        stall: Duration::from_millis(600),
        ..ListenLimits::default()
    }
}

/// Reads until the other side ends or cuts.
async fn read_to_end(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

#[tokio::test]
async fn a_handshake_and_a_head_that_never_end_are_cut() {
    // The limit on idle connections is far away: what cuts here is the limit on heads.
    let place = Place::central_with(ListenLimits { idle: Duration::from_secs(30), ..short() }).await;
    let since = Instant::now();
    let mut silent = TcpStream::connect(place.address).await.unwrap();
    assert!(read_to_end(&mut silent).await.is_empty());
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());

    let mut slow = place.connect().await;
    let since = Instant::now();
    // A byte now and then would keep a limit on silence from biting.
    for byte in b"GET / HTTP/1.1\r\nhost: x\r\nx-long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
        if slow.write_all(&[*byte]).await.is_err() || slow.flush().await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        if since.elapsed() > Duration::from_secs(2) {
            break;
        }
    }
    assert!(!String::from_utf8_lossy(&read_to_end(&mut slow).await).contains("200 OK"));
    assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
}

#[tokio::test]
async fn an_idle_connection_may_wait_longer_than_a_head_but_not_for_ever() {
    let place = Place::central_with(short()).await;
    let mut stream = place.connect().await;
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    for _ in 0..2 {
        stream.write_all(request).await.unwrap();
        stream.flush().await.unwrap();
        let mut answer = [0; 4096];
        let read = stream.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&answer[..read]));
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let since = Instant::now();
    read_to_end(&mut stream).await;
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_writer_that_stalls_is_cut() {
    let place = Place::central_with(short()).await;
    let (header, token) = dpop(&place.token("a").await);
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    sender.send(Ok(Bytes::from_static(b"{\"sync\":"))).await.unwrap();
    let body = Body::from_stream(futures_util::stream::unfold(receiver, async |mut receiver| {
        Some((receiver.recv().await?, receiver))
    }));
    let since = Instant::now();
    let answer = place.post("/api/v1/report", &[(header, &token)], body).await;
    assert_eq!((answer.status, answer.code().as_str()), (408, "body_stalled"));
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    drop(sender);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut() {
    let place = Place::central_with(short()).await;
    // More than all buffers between the two sides hold.
    let large = vec![7; 48 * 1024 * 1024];
    let name = Digest::of(&large);
    publish(&place.store, &place.blobs, "c", &[large]).await;
    let token = place.token("c").await;
    let mut stream = place.connect().await;
    let head = place.raw_head("GET", &format!("/api/v1/chunks/{name}"), &token);
    let request = format!("{head}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let received = read_to_end(&mut stream).await;
    assert!(received.starts_with(b"HTTP/1.1 200 OK"));
    assert!(received.len() < 40 * 1024 * 1024, "{} bytes came: the answer was not cut", received.len());
}

#[tokio::test]
async fn the_head_of_a_request_has_a_size() {
    let place = Place::central().await;
    let get = async |length: usize| place.get("/healthz", &[("x-long", &"a".repeat(length))]).await.status;
    assert_eq!(get(15 * 1024).await, 200);
    assert_eq!(get(17 * 1024).await, 431);
}

#[tokio::test]
async fn a_network_has_a_number_of_connections() {
    let place = Place::central_with(ListenLimits { loopback: 2, ..short() }).await;
    let (first, _second) = (place.connect().await, place.connect().await);
    let mut third = TcpStream::connect(place.address).await.unwrap();
    assert!(read_to_end(&mut third).await.is_empty(), "closed before any handshake");
    drop(first);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(place.get("/healthz", &[]).await.status, 200);
}

#[tokio::test]
async fn shutdown_waits_for_running_requests_but_not_for_ever() {
    for (finishes, limit) in [(true, 20), (false, 1)] {
        let limits = ListenLimits { shutdown: Duration::from_secs(limit), ..ListenLimits::default() };
        let mut place = Place::central_with(limits).await;
        let token = place.token("a").await;
        let mut stream = place.connect().await;
        let head = format!("{}content-length: 2\r\n\r\n{{", place.raw_head("POST", "/api/v1/report", &token));
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let since = Instant::now();
        drop(place.stop.take());
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(TcpStream::connect(place.address).await.is_err(), "nobody new comes in");
        if finishes {
            stream.write_all(b"}").await.unwrap();
            stream.flush().await.unwrap();
        }
        let answer = read_to_end(&mut stream).await;
        assert_eq!(answer.starts_with(b"HTTP/1.1 400"), finishes, "{}", String::from_utf8_lossy(&answer));
        place.served.take().unwrap().await.unwrap();
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    }
}

#[tokio::test]
async fn plain_http_stays_on_this_machine() {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let served = serve(listener, axum::Router::new(), None, ListenLimits::default(), async {}).await;
    assert!(matches!(served, Err(ListenError::PlainHttp(_))));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    serve(listener, axum::Router::new(), None, ListenLimits::default(), async {}).await.unwrap();
}
