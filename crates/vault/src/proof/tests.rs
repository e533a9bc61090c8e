use super::*;
use crate::succession::{Follows, FormerKey, vouch};
use proptest::prelude::*;
use serde_json::{Value, json};

const URL: &str = "https://central.example/oauth/token";

fn key() -> NodeKey {
    NodeKey::from_seed(&[7; 32])
}

fn now() -> Timestamp {
    "2026-05-12T08:00:00Z".parse().unwrap()
}

fn minute() -> SignedDuration {
    SignedDuration::from_secs(60)
}

fn verify(jws: &str) -> Result<VerifiedProof, ProofError> {
    Proof::verify(jws, "POST", URL, now(), minute(), None)
}

fn plain_proof() -> String {
    Proof::sign(&key(), "POST", URL, now(), None, None, ProofClaims::default())
}

/// A proof whose header and payload were changed before it was signed.
fn altered(change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let proof = plain_proof();
    let mut parts =
        proof.split('.').map(|p| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(p).unwrap()).unwrap_or_default());
    let (mut header, mut payload): (Value, Value) = (parts.next().unwrap(), parts.next().unwrap());
    change(&mut header, &mut payload);
    sign_parts(&header, &payload)
}

fn sign_parts(header: &Value, payload: &Value) -> String {
    let signed = format!("{}.{}", encode(header), encode(payload));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key().sign(signed.as_bytes())))
}

/// The word of a former key.
fn word(seed: u8, node: u128) -> String {
    let former = FormerKey { key: NodeKey::from_seed(&[seed; 32]), follows: Follows::SameNode };
    vouch(&former, Uuid::from_u128(node), &key().public())
}

#[test]
fn everything_said_comes_back() {
    let claims = ProofClaims {
        node: Some(Uuid::from_u128(9)),
        recipient: Some("age1x".to_owned()),
        version: Some("0.1.0".to_owned()),
        former: vec![word(8, 9)],
    };
    let token = random::token();
    let url = format!("{URL}?page=2#x");
    let jws = Proof::sign(&key(), "POST", &url, now(), Some("n-1"), Some(&token), claims.clone());
    let proof = Proof::verify(&jws, "POST", URL, now(), minute(), Some(&token)).unwrap();
    assert_eq!((proof.public, &proof.thumbprint), (key().public(), &key().thumbprint()));
    assert_eq!((proof.iat, proof.nonce.as_deref(), &proof.claims), (now(), Some("n-1"), &claims));
    assert_eq!(proof.former[0].public, NodeKey::from_seed(&[8; 32]).public());
    let again = Proof::sign(&key(), "POST", &url, now(), Some("n-1"), Some(&token), claims);
    assert_ne!(verify(&again).unwrap().jti, proof.jti, "every proof has an identity of its own");
}

#[test]
fn the_payload_has_the_names_of_rfc_9449() {
    let jws = Proof::sign(&key(), "GET", URL, now(), None, Some(&"abc".into()), ProofClaims::default());
    let payload: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jws.split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert_eq!(
        (&payload["htm"], &payload["htu"], &payload["iat"], &payload["ath"]),
        (&json!("GET"), &json!(URL), &json!(1_778_572_800), &json!("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"))
    );
    assert_eq!(payload.as_object().unwrap().len(), 5);
}

#[test]
fn the_hash_of_a_token_is_that_of_rfc_9449_7_1() {
    let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU".into();
    assert_eq!(token_hash(&token), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
}

#[test]
fn the_example_of_rfc_9449_4_1_is_of_another_algorithm_and_refused_for_that_alone() {
    let example = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    assert_eq!(verify(example), Err(ProofError::Unsupported("alg")));
}

#[test]
fn a_word_of_a_former_key_must_be_true() {
    let with = |node: Option<u128>, former: Vec<String>| {
        let claims = ProofClaims { node: node.map(Uuid::from_u128), former, ..ProofClaims::default() };
        verify(&Proof::sign(&key(), "POST", URL, now(), None, None, claims)).map(|proof| proof.former.len())
    };
    assert_eq!(with(Some(9), vec![word(1, 9), word(2, 9), word(3, 9)]), Ok(3));
    let bad = ProofError::Malformed("former is not the word of a former key");
    for (node, former) in [
        (Some(9), vec![word(1, 8)]),
        (None, vec![word(1, 9)]),
        (Some(9), vec!["x".to_owned()]),
        (Some(9), (1..=4).map(|seed| word(seed, 9)).collect()),
    ] {
        assert_eq!(with(node, former), Err(bad.clone()));
    }
}

#[test]
fn a_proof_is_small() {
    let (token, url) = (random::token(), "https://127.0.0.1:40123/api/v1/feed");
    let jws = Proof::sign(&key(), "GET", url, now(), Some("123456789012"), Some(&token), ProofClaims::default());
    assert_eq!(jws.len(), 478, "it travels with every request");
}

#[test]
fn another_request_is_refused() {
    let jws = plain_proof();
    let on = |method, url| Proof::verify(&jws, method, url, now(), minute(), None).map(drop);
    assert_eq!(on("GET", URL), Err(ProofError::OtherRequest("the method")));
    assert_eq!(on("POST", "HTTPS://Central.Example:443/oauth/token?a=b"), Ok(()));
    for url in [
        "https://central.example/oauth/token/",
        "https://central.example/OAuth/token",
        "http://central.example/oauth/token",
        "https://central.example:8443/oauth/token",
        "https://central.example.org/oauth/token",
        "not a url",
        "",
    ] {
        assert_eq!(on("POST", url), Err(ProofError::OtherRequest("the address")), "{url}");
    }
}

#[test]
fn the_tolerance_holds_to_the_second_both_ways() {
    for (seconds, ok) in [(0, true), (60, true), (-60, true), (61, false), (-61, false)] {
        let made = now().checked_add(SignedDuration::from_secs(seconds)).unwrap();
        let jws = Proof::sign(&key(), "POST", URL, made, None, None, ProofClaims::default());
        assert_eq!(verify(&jws).is_ok(), ok, "{seconds}");
    }
    for absurd in [i64::MAX, i64::MIN] {
        let jws = altered(|_, payload| payload["iat"] = json!(absurd));
        assert_eq!(verify(&jws), Err(ProofError::Malformed("iat is not a time")));
    }
}

#[test]
fn a_proof_is_bound_to_its_token() {
    let token = random::token();
    let bound = Proof::sign(&key(), "POST", URL, now(), None, Some(&token), ProofClaims::default());
    let with =
        |jws: &str, token: &SecretString| Proof::verify(jws, "POST", URL, now(), minute(), Some(token)).map(drop);
    assert_eq!(with(&bound, &token), Ok(()));
    assert_eq!(with(&bound, &random::token()), Err(ProofError::OtherToken));
    assert_eq!(with(&plain_proof(), &token), Err(ProofError::OtherToken));
}

#[test]
fn only_the_one_type_and_algorithm_are_accepted() {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 9] = [
        ("typ", |h| h["typ"] = json!("JWT")),
        ("alg", |h| h["alg"] = json!("none")),
        ("alg", |h| h["alg"] = json!("HS256")),
        ("alg", |h| h["alg"] = json!("eddsa")),
        ("crit", |h| h["crit"] = json!(["b64"])),
        ("kty", |h| h["jwk"]["kty"] = json!("EC")),
        ("crv", |h| h["jwk"]["crv"] = json!("X25519")),
        ("the private key is shown", |h| h["jwk"]["d"] = json!("AAAA")),
        ("the private key is shown", |h| h["jwk"]["d"] = json!(7)),
    ];
    for (what, change) in changes {
        assert_eq!(verify(&altered(|header, _| change(header))), Err(ProofError::Unsupported(what)));
    }
    assert!(verify(&altered(|header, _| header["jwk"]["kid"] = json!("later"))).is_ok(), "unknown members are ignored");
}

#[test]
fn another_key_or_signature_is_refused() {
    let other = URL_SAFE_NO_PAD.encode(NodeKey::generate().public());
    assert_eq!(verify(&altered(|header, _| header["jwk"]["x"] = json!(other))), Err(ProofError::BadSignature));
    let short = altered(|header, _| header["jwk"]["x"] = json!("AAAA"));
    assert_eq!(verify(&short), Err(ProofError::Malformed("x is not a public key")));
    let jws = plain_proof();
    let (signed, _) = jws.rsplit_once('.').unwrap();
    assert_eq!(verify(&format!("{signed}.")), Err(ProofError::BadSignature));
    for text in ["", ".", "..", "a", "a.b", &format!("{jws}.x"), signed] {
        assert!(verify(text).is_err(), "{text}");
    }
}

#[test]
fn sizes_are_bounded() {
    for (length, ok) in [(0, false), (1, true), (MAX_JTI_BYTES, true), (MAX_JTI_BYTES + 1, false)] {
        assert_eq!(verify(&altered(|_, p| p["jti"] = json!("j".repeat(length)))).is_ok(), ok, "{length}");
    }
    let padded = |bytes: usize| altered(|_, p| p["pad"] = json!("x".repeat(bytes)));
    let longest = (0..MAX_PROOF_BYTES).rev().map(padded).find(|jws| jws.len() <= MAX_PROOF_BYTES).unwrap();
    assert!(MAX_PROOF_BYTES - longest.len() <= 1 && verify(&longest).is_ok());
    assert_eq!(verify(&format!("{longest}xx")), Err(ProofError::TooLarge));
}

#[test]
fn deep_json_is_an_error_and_not_a_crash() {
    let deep = URL_SAFE_NO_PAD.encode("[".repeat(2000));
    assert!(verify(&format!("{deep}.{deep}.")).is_err());
}

proptest! {
    #[test]
    fn a_changed_character_is_refused(at: prop::sample::Index, with in "[A-Za-z0-9._-]") {
        let jws = plain_proof();
        let at = at.index(jws.len());
        let mut changed = jws.clone();
        changed.replace_range(at..=at, &with);
        prop_assume!(changed != jws);
        prop_assert!(verify(&changed).is_err());
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}(\\.\\PC{0,60}){0,3}") {
        prop_assert!(verify(&text).is_err());
    }
}
