//! Handshakes in memory between our server and our client.
#![expect(clippy::unwrap_used, reason = "a failing step fails the test")]

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::{Timestamp, ToSpan as _};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConnection, StreamOwned};
use taosync_model::clock::{Clock as _, ShiftedClock, SystemClock};
use taosync_vault::VaultError;
use taosync_vault::tls::{Dates, Distrust, Fingerprint, Pin, Tls, client_config, client_config_by};
use tempfile::TempDir;

/// A directory as the keyring makes it.
fn keys() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().to_owned();
    (home, dir)
}

fn hosts() -> Vec<String> {
    ["central.example", "10.0.0.7"].map(str::to_owned).into()
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn days(days: i64) -> Timestamp {
    now().checked_add((days * 24).hours()).unwrap()
}

fn pinned(tls: &Tls) -> Arc<ClientConfig> {
    client_config(Some(tls.fingerprint().parse().unwrap())).unwrap()
}

/// A whole exchange; the answer is what the client read, or the client's error.
fn exchange(tls: &Tls, client: Arc<ClientConfig>, host: &str) -> std::io::Result<String> {
    let (near, far) = UnixStream::pair()?;
    let server = ServerConnection::new(tls.server_config()).unwrap();
    let serving = std::thread::spawn(move || {
        let mut stream = StreamOwned::new(server, far);
        let mut asked = [0; 4];
        stream.read_exact(&mut asked)?;
        stream.write_all(b"pong")?;
        std::io::Result::Ok(asked)
    });
    let connection = ClientConnection::new(client, ServerName::try_from(host.to_owned()).unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, near);
    let answer = stream.write_all(b"ping").and_then(|()| {
        let mut answer = [0; 4];
        stream.read_exact(&mut answer)?;
        assert_eq!(stream.conn.alpn_protocol(), Some(b"http/1.1".as_slice()));
        Ok(String::from_utf8_lossy(&answer).into_owned())
    });
    drop(stream);
    assert_eq!(serving.join().unwrap().is_ok(), answer.is_ok(), "a refused server must not hear the request");
    answer
}

fn distrust(tls: &Tls, client: Arc<ClientConfig>, host: &str) -> Option<Distrust> {
    Distrust::in_error(&exchange(tls, client, host).unwrap_err())
}

#[test]
fn the_right_pin_is_trusted_under_every_host() {
    let (_home, dir) = keys();
    let tls = Tls::create(&dir, &hosts(), now()).unwrap();
    for host in ["central.example", "10.0.0.7"] {
        assert_eq!(exchange(&tls, pinned(&tls), host).unwrap(), "pong");
    }
    let again = Tls::open(&dir).unwrap();
    assert_eq!(exchange(&again, pinned(&tls), "central.example").unwrap(), "pong");
}

#[test]
fn another_authority_is_told_apart() {
    let ((_a, a), (_b, b)) = (keys(), keys());
    let (ours, theirs) = (Tls::create(&a, &hosts(), now()).unwrap(), Tls::create(&b, &hosts(), now()).unwrap());
    let error = exchange(&theirs, pinned(&ours), "central.example").unwrap_err();
    assert_eq!(Distrust::in_error(&error), Some(Distrust::OtherAuthority));
    assert!(error.to_string().contains("pinned authority"), "{error}");
}

#[test]
fn showing_the_pinned_certificate_is_not_enough() {
    let ((_a, a), (_b, b)) = (keys(), keys());
    let (ours, _) = (Tls::create(&a, &hosts(), now()).unwrap(), Tls::create(&b, &hosts(), now()).unwrap());
    // An impostor with an authority of its own sends our public certificate along.
    let mut chain = std::fs::read_to_string(b.join("server.pem")).unwrap();
    chain.push_str(&std::fs::read_to_string(a.join("ca.pem")).unwrap());
    std::fs::write(b.join("server.pem"), chain).unwrap();
    let impostor = Tls::open(&b).unwrap();
    assert_eq!(distrust(&impostor, pinned(&ours), "central.example"), Some(Distrust::UnknownIssuer));
}

#[test]
fn another_host_is_refused() {
    let (_home, dir) = keys();
    let tls = Tls::create(&dir, &hosts(), now()).unwrap();
    for host in ["other.example", "10.0.0.8", "sub.central.example"] {
        assert_eq!(distrust(&tls, pinned(&tls), host), Some(Distrust::OtherHost), "{host}");
    }
}

#[test]
fn dates_are_told_apart() {
    for (made, expected) in [
        (days(-11 * 366), Some(Distrust::Expired)),
        (days(-9 * 366), None),
        (days(0), None),
        (days(10), Some(Distrust::NotYetValid)),
    ] {
        let (_home, dir) = keys();
        let tls = Tls::create(&dir, &hosts(), made).unwrap();
        let found = exchange(&tls, pinned(&tls), "central.example").err().map(|e| Distrust::in_error(&e));
        assert_eq!(found, expected.map(Some), "made {made}");
    }
}

#[test]
fn a_private_authority_is_not_trusted_by_the_machine() {
    let (_home, dir) = keys();
    let tls = Tls::create(&dir, &hosts(), now()).unwrap();
    match client_config(None) {
        Ok(config) => assert_eq!(distrust(&tls, config, "central.example"), Some(Distrust::UnknownIssuer)),
        Err(error) => assert!(matches!(error, VaultError::NoTrustStore), "{error}"),
    }
}

#[test]
fn reissuing_keeps_the_pin() {
    let (_home, dir) = keys();
    let old = Tls::create(&dir, &hosts(), now()).unwrap();
    let new = Tls::reissue(&dir, &["new.example".to_owned()], now()).unwrap();
    assert_eq!(new.fingerprint(), old.fingerprint());
    assert_eq!(exchange(&new, pinned(&old), "new.example").unwrap(), "pong");
    assert_eq!(distrust(&new, pinned(&old), "central.example"), Some(Distrust::OtherHost));
}

#[test]
fn an_authority_is_never_overwritten_and_broken_files_are_named() {
    let (_home, dir) = keys();
    let tls = Tls::create(&dir, &hosts(), now()).unwrap();
    assert!(matches!(Tls::create(&dir, &hosts(), now()), Err(VaultError::Exists { .. })));
    assert!(!format!("{tls:?}").contains("PRIVATE"));
    for file in ["ca.pem", "server.pem", "server.key"] {
        let kept = std::fs::read(dir.join(file)).unwrap();
        std::fs::write(dir.join(file), "rubbish").unwrap();
        let error = Tls::open(&dir).unwrap_err();
        assert!(matches!(&error, VaultError::BadKeyFile { path, .. } if path.ends_with(file)), "{error}");
        std::fs::write(dir.join(file), kept).unwrap();
    }
    // A key that belongs to another certificate.
    std::fs::copy(dir.join("ca.key"), dir.join("server.key")).unwrap();
    assert!(matches!(Tls::open(&dir), Err(VaultError::Tls { .. })));
    assert!(matches!(
        Tls::create(&keys().1, &["bad host\u{e9}".to_owned()], now()),
        Err(VaultError::Certificate { .. })
    ));
}

#[test]
fn keys_of_tls_are_closed_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_home, dir) = keys();
    Tls::create(&dir, &hosts(), now()).unwrap();
    for file in ["ca.pem", "ca.key", "server.pem", "server.key"] {
        assert_eq!(std::fs::metadata(dir.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    std::fs::set_permissions(dir.join("server.key"), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Tls::open(&dir), Err(VaultError::TooOpen { mode: 0o640, .. })));
}

/// A client whose clock is off: it looks at the certificate's own dates, for the one question what time it is.
fn in_doubt(tls: &Tls, clock: ShiftedClock) -> Arc<ClientConfig> {
    let pin = Pin::Whole(tls.fingerprint().parse().unwrap());
    client_config_by(&[pin], Dates::InDoubt(Arc::new(clock))).unwrap()
}

fn off_by(years: i64) -> ShiftedClock {
    let clock = ShiftedClock::default();
    clock.shift(years * 31_556_952);
    clock
}

#[test]
fn a_clock_in_doubt_excuses_dates_and_nothing_else() {
    let ((_a, a), (_b, b)) = (keys(), keys());
    let (ours, _) = (Tls::create(&a, &hosts(), now()).unwrap(), Tls::create(&b, &hosts(), now()).unwrap());
    let mut chain = std::fs::read_to_string(b.join("server.pem")).unwrap();
    chain.push_str(&std::fs::read_to_string(a.join("ca.pem")).unwrap());
    std::fs::write(b.join("server.pem"), chain).unwrap();
    let impostor = Tls::open(&b).unwrap();
    let (_c, c) = keys();
    let stranger = Tls::create(&c, &hosts(), now()).unwrap();
    for years in [-100, -56, 0, 73] {
        let client = || in_doubt(&ours, off_by(years));
        assert_eq!(exchange(&ours, client(), "central.example").unwrap(), "pong", "{years}");
        assert_eq!(distrust(&ours, client(), "other.example"), Some(Distrust::OtherHost), "{years}");
        assert_eq!(distrust(&impostor, client(), "central.example"), Some(Distrust::UnknownIssuer), "{years}");
        assert_eq!(distrust(&stranger, client(), "central.example"), Some(Distrust::OtherAuthority), "{years}");
    }
}

#[test]
fn by_a_clock_dates_count() {
    let (_home, dir) = keys();
    let tls = Tls::create(&dir, &hosts(), now()).unwrap();
    let client = |years| {
        let pin = Pin::Beginning(tls.fingerprint().parse::<Fingerprint>().unwrap().beginning());
        client_config_by(&[pin], Dates::Clock(Arc::new(off_by(years)))).unwrap()
    };
    assert_eq!(exchange(&tls, client(0), "central.example").unwrap(), "pong", "half a fingerprint is enough");
    assert_eq!(distrust(&tls, client(-100), "central.example"), Some(Distrust::NotYetValid));
    assert_eq!(distrust(&tls, client(11), "central.example"), Some(Distrust::Expired));
}

#[test]
fn the_next_authority_is_trusted_beside_the_first_and_takes_its_place() {
    let (_home, dir) = keys();
    let old = Tls::create(&dir, &hosts(), now()).unwrap();
    let next = Tls::prepare_next(&dir, now()).unwrap();
    assert_eq!(Tls::prepare_next(&dir, now()).unwrap(), next, "one at a time");
    assert_eq!(Tls::open(&dir).unwrap().fingerprint(), old.fingerprint(), "not in use yet");
    let pins = [old.fingerprint(), next.clone()].map(|text| Pin::Whole(text.parse().unwrap()));
    let both = || client_config_by(&pins, Dates::Clock(Arc::new(SystemClock))).unwrap();
    assert_eq!(exchange(&old, both(), "central.example").unwrap(), "pong");
    let new = Tls::switch(&dir, &hosts(), now()).unwrap();
    assert_eq!((new.fingerprint(), Tls::next_fingerprint(&dir).unwrap()), (next, None));
    assert_eq!(exchange(&new, both(), "central.example").unwrap(), "pong");
    assert_eq!(distrust(&new, pinned(&old), "central.example"), Some(Distrust::OtherAuthority));
    assert_eq!(distrust(&old, pinned(&new), "central.example"), Some(Distrust::OtherAuthority), "the old one stops");
    assert!(Tls::switch(&dir, &hosts(), now()).is_err(), "there is none to follow");
}

#[test]
fn the_window_of_a_certificate_is_known() {
    let (_home, dir) = keys();
    Tls::create(&dir, &hosts(), now()).unwrap();
    let window = Tls::window(&dir).unwrap();
    assert!(window.from < now() && now().duration_since(window.from).as_hours() <= 48, "{window:?}");
    let years = window.until.duration_since(window.from).as_hours() / 24 / 365;
    assert_eq!(years, 10);
    let later = days(400);
    Tls::reissue(&dir, &hosts(), later).unwrap();
    assert!(Tls::window(&dir).unwrap().until > window.until);
}
