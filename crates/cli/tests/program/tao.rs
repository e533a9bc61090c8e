//! The verbs for TAO's boxes: settings, credentials, checksums.

use super::node::Node;
use super::people::{school, taker_uri};

#[test]
fn settings_are_kept_and_checked() {
    let central = Node::init("central");
    let shown = central.run(&["compat", "show"]).done();
    assert_eq!((shown["tao"].as_bool(), shown["chunk_size"].as_u64()), (Some(true), Some(100)));
    assert_eq!(shown["trust_requested_org"], false);
    central.run(&["compat", "set", "tao", "off"]).done();
    central.run(&["compat", "set", "trust_requested_org", "true"]).done();
    central.run(&["compat", "set", "chunk_size", "10"]).done();
    central.run(&["compat", "supported-version", "add", "2023.12"]).done();
    let listed = central.run(&["compat", "supported-version", "list"]).done();
    assert_eq!(listed["supported_versions"], serde_json::json!(["2023.12"]));
    assert_eq!((listed["tao"].as_bool(), listed["chunk_size"].as_u64()), (Some(false), Some(10)));
    central.run(&["compat", "supported-version", "remove", "2023.12"]).done();
    central.run(&["compat", "supported-version", "remove", "2023.12"]).failed(2, "TS-010");
    central.run(&["compat", "set", "chunk_size", "0"]).failed(2, "TS-010");
}

#[test]
fn a_box_gets_the_command_tao_knows() {
    let mut central = Node::central_with(&school("A", 0..2));
    central.set("TAOSYNC_PUBLIC_URL", "https://central.example/");
    let generated = central.run(&["oauth", "generate", "--all-orgs", "--cmd", "tao"]).done();
    let (key, secret) = (generated["key"].as_str().unwrap(), generated["secret"].as_str().unwrap());
    let expected = format!(
        r"php index.php 'oat\taoSync\scripts\tool\oauth\ImportOauthCredentials' -k {key} -s {secret} -tu https://central.example/taoOauth/TokenApi/requestToken -u https://central.example/"
    );
    assert_eq!(generated["command"], expected.as_str());
    assert_eq!(generated["orgs"], serde_json::json!(["A"]));
    let ours = central.run(&["oauth", "generate", "--org", "A", "--cmd"]).done();
    assert!(ours["command"].as_str().unwrap().starts_with("taosync oauth import "), "{ours}");
    central.run(&["oauth", "generate", "--org", "A", "--all-orgs"]).failed(2, "TS-001");

    let shown = central.run(&["entity", "show", &taker_uri(1)]).done();
    assert_eq!(shown["tao_checksum"].as_str().unwrap().len(), 32, "{shown}");
    central.run(&["verify"]).done();
}
