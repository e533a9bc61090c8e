//! `oauth import` of a TAO central: it is known by its token URL, and nothing is kept unless the key works.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};

use crate::enrolment::fed;
use crate::node::Node;
use crate::people::school;
use crate::run::{Run, says};

/// A TAO that gives tokens for one secret and tells its versions; what else it is asked it does not know.
fn tao(versions: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let root = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = Vec::new();
            let mut piece = [0; 4096];
            while !is_whole(&asked) {
                let read = stream.read(&mut piece).unwrap();
                asked.extend_from_slice(&piece[..read]);
            }
            let asked = String::from_utf8(asked).unwrap();
            let (status, body) = answer(&asked, versions);
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).unwrap();
        }
    });
    root
}

fn is_whole(asked: &[u8]) -> bool {
    let text = String::from_utf8_lossy(asked).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse::<usize>().unwrap())
}

fn answer(asked: &str, versions: &[&str]) -> (u16, Value) {
    let failure = |words: &str| json!({"success": false, "errorCode": 0, "errorMsg": words, "version": "x"});
    let asks_token =
        asked.starts_with("POST /taoOauth/TokenApi/requestToken") || asked.starts_with("POST /give/me/a/token");
    if asked.starts_with("POST /taoSync/HandShake") {
        // A failed handshake has status 200 too.
        if !asked.contains("\"password\":\"correct horse\"") {
            return (200, json!({"success": false, "errorCode": "401", "errorMsg": "not you", "version": "x"}));
        }
        let host = asked.to_lowercase().split("host: ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
        let token_url = format!("http://{host}/taoOauth/TokenApi/requestToken");
        let org = json!({"http://www.taotesting.com/ontologies/synchro.rdf#organisationId": "School-7"});
        let user = json!({"id": "http://x/#i1", "checksum": "0", "properties": org});
        (200, json!({"syncUser": user, "oauthInfo": {"key": "key", "secret": "right", "tokenUrl": token_url}}))
    } else if asks_token && asked.contains("client_secret=right") {
        (200, json!({"access_token": "token", "expires": 1}))
    } else if asks_token {
        (401, failure("You are not authorized to perform this operation"))
    } else if asked.starts_with("GET /taoSync/api/supportedVm") && asked.contains("Bearer token") {
        (200, json!({"success": true, "data": versions}))
    } else {
        (403, failure("no"))
    }
}

fn import(local: &Node, root: &str, secret: &str, more: &[&str]) -> Run {
    let token = format!("{root}taoOauth/TokenApi/requestToken");
    let known = ["oauth", "import", "-k", "key", "-s", secret, "-tu", &token, "-u", root];
    local.run(&[&known[..], more].concat())
}

#[test]
fn a_tao_central_is_known_and_its_key_is_proved() {
    let local = Node::init("local");
    let root = tao(&["2023.12", "2024.04 LTS"]);
    import(&local, &root, "wrong", &[]).failed(1, "TS-210");
    let told = import(&local, &root, "right", &["--tao-version", "3.0"]).failed(1, "TS-312");
    says(&told, &["3.0", "2024.04 LTS"]);
    assert_eq!(local.run(&["oauth", "list"]).done()["remotes"], json!([]), "nothing is kept");
    let done = import(&local, &root, "right", &["--organisation_id=School-7"]).done();
    assert_eq!((&done["kind"], &done["org"]), (&json!("tao"), &json!("School-7")));
    assert_eq!((&done["tao_version"], &done["central"]), (&json!("2024.04 LTS"), &Value::Null));
    let listed = &local.run(&["oauth", "list"]).done()["remotes"];
    assert_eq!((&listed[0]["kind"], &listed[0]["orgs"]), (&json!("tao"), &json!(["School-7"])));
    let failed = local.run(&["sync", "data"]).exits(1).json();
    assert_eq!(
        (&failed["status"], &failed["proof"], &failed["code"]),
        (&json!("failed"), &json!("none"), &json!("TS-209"))
    );
}

#[test]
fn a_tao_central_behind_other_addresses_is_known_by_its_answers() {
    let local = Node::init("local");
    let root = tao(&["2023.12"]);
    let token = format!("{root}give/me/a/token");
    let done = local.run(&["oauth", "import", "-k", "key", "-s", "right", "-tu", &token, "-u", &root]).done();
    assert_eq!((&done["kind"], &done["tao_version"]), (&json!("tao"), &json!("2023.12")));
    // One of ours answers under TAO's addresses too, and is known as ours all the same.
    let mut central = Node::central_with(&school("A", 0..2));
    let server = central.serve();
    let mut generated = central.run(&["oauth", "generate", "--org", "A"]).done();
    generated["token_url"] = json!(format!("{}/give/me/a/token", server.url));
    let ours = Node::init("local");
    let told = ours.import_with(&generated, &["--organisation-id", "A"]).failed(2, "TS-010");
    says(&told, &["for a TAO central"]);
}

#[test]
fn a_sync_managers_login_connects_with_a_tao_central() {
    let root = tao(&["2023.12"]);
    let shake = |local: &Node, password: &str, more: &[&str]| {
        let words = ["handshake", "--url", &root, "anna"];
        fed(local, &[&words[..], more].concat(), password)
    };
    let local = Node::init("local");
    says(&shake(&local, "wrong\n", &["--remote", "tao"]).failed(1, "TS-414"), &["not you"]);
    let done = shake(&local, "correct horse\n", &[]).done();
    assert_eq!((&done["kind"], &done["org"]), (&json!("tao"), &json!("School-7")), "known as TAO by its answers");
    let other = Node::init("local");
    let done = shake(&other, "correct horse\n", &["--remote", "tao", "--organisation-id", "School-8"]).done();
    assert_eq!(done["org"], json!("School-8"));
    shake(&other, "", &[]).failed(2, "TS-010");
}

#[test]
fn without_versions_nobody_is_let_in() {
    let local = Node::init("local");
    let told = import(&local, &tao(&[]), "right", &["--remote", "tao"]).failed(1, "TS-312");
    says(&told, &["approved VMs"]);
}
