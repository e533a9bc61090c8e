//! A central that answers too much, too late, or never: what is taken of it, at the limit and one above.

use std::time::Instant;

use taosync_model::clock::ShiftedClock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::token::MAX_ANSWER;
use super::*;

const SHORT: Duration = Duration::from_millis(200);

/// What a false central sends, whatever it is asked.
#[derive(Clone)]
enum Says {
    /// Nothing.
    Nothing,
    /// These bytes, then nothing more.
    Then(Vec<u8>),
    /// These bytes, then one now and then.
    Trickles(Vec<u8>),
}

fn answer(status: u16, media_type: &str, body: &[u8]) -> Says {
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: {media_type}\r\nlocation: /elsewhere\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Says::Then([head.as_bytes(), body].concat())
}

/// A link to a central on loopback that gives a token, and then says this.
async fn link(token: Says, then: Says) -> (Link, tempfile::TempDir) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (token, then) = (token.clone(), then.clone());
            tokio::spawn(async move {
                let mut asked = vec![0; 16 * 1024];
                while let Ok(1..) = stream.read(&mut asked).await {
                    let says = if asked.starts_with(b"POST /token") { &token } else { &then };
                    match says {
                        Says::Nothing => {}
                        Says::Then(bytes) => stream.write_all(bytes).await.unwrap_or_default(),
                        Says::Trickles(bytes) => {
                            stream.write_all(bytes).await.unwrap_or_default();
                            while stream.write_all(b" ").await.is_ok() {
                                tokio::time::sleep(SHORT / 4).await;
                            }
                        }
                    }
                }
            });
        }
    });
    let home = tempfile::tempdir().unwrap();
    let keyring = Arc::new(Keyring::create(&home.path().join("keys")).unwrap());
    let address = Address {
        token: root.join("token").unwrap(),
        root,
        client_key: "key".into(),
        secret: SecretString::from("secret"),
        pins: Vec::new(),
        central: None,
        org: None,
        proxy: None,
    };
    let clock = Arc::new(ShiftedClock::default());
    let caller = Caller { node: Uuid::from_u128(1), keyring, clock, version: "0.1.0".into() };
    (Link::new(address, caller).unwrap().patient_for(SHORT), home)
}

/// A token answer of this many bytes.
fn token(length: usize) -> Says {
    let json = format!(
        "{{\"access_token\":\"t\",\"token_type\":\"DPoP\",\"expires_in\":600,\"organisation_id\":\"A\",\"organisations\":[\"A\"],\
         \"central\":\"{}\",\"central_key\":\"{}\",\"version\":\"0.1.0\"}}",
        Uuid::from_u128(2),
        "0".repeat(64)
    );
    answer(200, "application/json", format!("{json}{}", " ".repeat(length - json.len())).as_bytes())
}

async fn ask(then: Says) -> Result<Response, LinkError> {
    let (link, _home) = link(token(1_000), then).await;
    link.send(Request::get("api/v1/x")).await
}

#[tokio::test]
async fn answers_have_a_size() {
    for (length, good) in [(MAX_ANSWER, true), (MAX_ANSWER + 1, false)] {
        let (link, _home) = link(token(length), Says::Nothing).await;
        assert_eq!(link.access().await.is_ok(), good, "a token answer of {length} bytes");
    }
    for (length, good) in [(1_000, true), (1_001, false)] {
        let whole = ask(answer(200, "application/json", &vec![b'1'; length])).await.unwrap().bytes(1_000).await;
        assert_eq!(whole.is_ok(), good, "{length} bytes");
    }
    for (length, is_read) in [(MAX_PROBLEM, true), (MAX_PROBLEM + 1, false)] {
        let problem = serde_json::to_string(&Problem::new(409, "told", "x", "y")).unwrap();
        let body = format!("{problem}{}", " ".repeat(length - problem.len()));
        let told = ask(answer(409, taosync_wire::problem::MEDIA_TYPE, body.as_bytes())).await;
        let is_told = matches!(&told, Err(LinkError::Problem(problem)) if problem.code == "told");
        assert_eq!(is_told, is_read, "{length} bytes");
        assert!(is_read || matches!(told, Err(LinkError::Stranger { status: 409, .. })));
    }
}

#[tokio::test]
async fn a_head_has_a_size() {
    let endless = [b"HTTP/1.1 200 x\r\n".as_slice(), &b"x-long: aaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(100_000)].concat();
    assert!(ask(Says::Then(endless)).await.is_err());
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    for status in [301, 302, 307, 308] {
        let answered = ask(answer(status, "text/html", b"")).await;
        assert!(matches!(answered, Err(LinkError::Stranger { status: told, .. }) if told == status), "{status}");
    }
}

#[tokio::test]
async fn silence_and_trickling_end() {
    let since = Instant::now();
    let head = b"HTTP/1.1 200 x\r\ncontent-length: 90000\r\n\r\n".to_vec();
    let silent = |error: &LinkError| matches!(error, LinkError::Silent { .. });

    assert!(silent(&ask(Says::Nothing).await.err().unwrap()), "no head");
    assert!(
        silent(&ask(Says::Trickles(b"HTTP/1.1 200 x\r\nx-a:".to_vec())).await.err().unwrap()),
        "no end of the head"
    );
    let mut begun = ask(Says::Then(head.clone())).await.unwrap();
    assert!(silent(&begun.chunk().await.err().unwrap()), "no body");
    let slow = ask(Says::Trickles(head)).await.unwrap();
    assert!(silent(&slow.bytes(90_000).await.err().unwrap()), "a body without end");
    let (link, _home) = link(Says::Nothing, Says::Nothing).await;
    assert!(silent(&link.access().await.err().unwrap()), "no token");
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
}
