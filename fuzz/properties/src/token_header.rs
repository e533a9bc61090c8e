//! Requests for a token: `Authorization`, `DPoP` and the form.
//!
//! An input is one byte that says what is right already, then lines: the header `Authorization`, the proof, and the
//! form (all that is left). See [`RIGHT_SECRET`] and [`SIGNED`].

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use taosync_model::Clock as _;
use taosync_model::clock::SystemClock;
use taosync_vault::node_key::{NodeKey, thumbprint};
use taosync_vault::proof::{MAX_JTI_BYTES, MAX_PROOF_BYTES, Proof, ProofError};
use taosync_vault::random;

use crate::central::{CLIENT, HOST, NODE_SEED, SECRET, place, request};
use crate::shown;

/// The credentials are right, so that what comes after them is reached. The line is passed over.
const RIGHT_SECRET: u8 = 1;
/// The proof stands as `{header}TAB{payload}` in JSON and is signed here: a fuzzer signs nothing. In the header `KEY`
/// stands for the key, in the payload `NOW` for the time and `JTI` for a fresh identity.
const SIGNED: u8 = 2;
/// Where the proof is for.
const ADDRESS: &str = "http://central.example/api/v1/oauth/token";

/// Asks for a token, and checks the proof alone.
pub fn check(input: &[u8]) {
    let [kind, rest @ ..] = input else { return };
    let mut lines = rest.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (authorization, proof, form) = (line(), line(), line());
    let right = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{SECRET}")));
    let authorization = if kind & RIGHT_SECRET == 0 { authorization } else { right.as_bytes() };
    let signed = if kind & SIGNED == 0 { proof.to_vec() } else { sign(proof) };
    if let Ok(text) = std::str::from_utf8(&signed) {
        verify(text);
    }
    let headers = [
        ("host", HOST.as_bytes()),
        ("content-type", b"application/x-www-form-urlencoded"),
        ("authorization", authorization),
        ("dpop", &signed),
    ];
    let Some(asked) = request("POST", b"/api/v1/oauth/token", &headers, form.to_vec()) else { return };
    let answer = place().ask(asked);
    let status = answer.status().as_u16();
    assert!(matches!(status, 200 | 400 | 401 | 403 | 413 | 429 | 431), "{answer:?}");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    if status == 200 {
        assert!(kind & SIGNED != 0, "without a signature there is no token");
        let answer: serde_json::Value = serde_json::from_slice(answer.body()).expect("JSON");
        assert_eq!(answer["organisation_id"], crate::central::ORG);
        assert_eq!(answer["token_type"], "DPoP");
    }
}

fn sign(proof: &[u8]) -> Vec<u8> {
    let key = NodeKey::from_seed(&NODE_SEED);
    let (header, payload) = proof.split_at(proof.iter().position(|b| *b == b'\t').unwrap_or(proof.len()));
    let header = String::from_utf8_lossy(header).replace("KEY", &URL_SAFE_NO_PAD.encode(key.public()));
    let payload = String::from_utf8_lossy(payload.strip_prefix(b"\t").unwrap_or_default());
    let now = SystemClock.now();
    let payload = payload.replace("NOW", &now.as_second().to_string()).replace("JTI", &random::uuid().to_string());
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}").into_bytes()
}

fn verify(jws: &str) {
    let now = Timestamp::UNIX_EPOCH;
    let checked = |method, tolerance| Proof::verify(jws, method, ADDRESS, now, tolerance, None);
    let outcome = checked("POST", SignedDuration::MAX);
    assert_eq!(outcome, checked("POST", SignedDuration::MAX));
    match outcome {
        Err(error) => drop(shown(&error)),
        Ok(proof) => {
            assert!(jws.len() <= MAX_PROOF_BYTES && (1..=MAX_JTI_BYTES).contains(&proof.jti.len()));
            assert_eq!(proof.thumbprint, thumbprint(&proof.public));
            assert!(matches!(checked("GET", SignedDuration::MAX), Err(ProofError::OtherRequest(_))));
            let in_time = checked("POST", SignedDuration::ZERO).is_ok();
            assert_eq!(in_time, proof.iat == now, "a proof of another moment is out of time");
        }
    }
}
