//! The keys of a node: carried apart from its database, and missed when they are not there.

use super::node::Node;
use super::people::school;
use super::run::{arg, says};

#[test]
fn keys_are_carried_in_a_sealed_file_and_belong_to_one_database() {
    let node = Node::central_with(&school("A", 0..3));
    let passphrase = node.file("passphrase", "correct horse\n");
    let (passphrase, file) = (arg(&passphrase), node.dir().with_extension("keys"));
    let exported = node.run(&["keys", "export", arg(&file), "--passphrase-file", passphrase]).done();
    assert!(exported["parts"].as_u64().unwrap() >= 6, "{exported:#}");
    node.run(&["keys", "export", arg(&file), "--passphrase-file", passphrase]).failed(1, "TS-014");
    let keys = node.dir().join("keys");
    let bytes = std::fs::read(&file).unwrap();
    let identity = std::fs::read_to_string(keys.join("results.age")).unwrap();
    let secret = identity.lines().find(|line| line.starts_with("AGE-SECRET")).unwrap();
    assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));

    std::fs::rename(&keys, node.dir().join("lost")).unwrap();
    node.run(&["status"]).failed(1, "TS-122");
    let import = |more: &[&str]| node.run(&[&["keys", "import", arg(&file), "--passphrase-file"], more].concat());
    let wrong = node.file("wrong", "wrong horse\n");
    import(&[arg(&wrong)]).failed(1, "TS-012");
    import(&[passphrase]).done();
    node.is_whole();
    import(&[passphrase]).failed(1, "TS-014");
    let replaced = import(&[passphrase, "--replace"]).done();
    assert!(std::path::Path::new(replaced["replaced"].as_str().unwrap()).join("node.key").is_file());
    node.is_whole();
    // The keys of another node are not taken.
    let other = Node::central_with(&school("B", 0..3));
    let refused = other.run(&["keys", "import", arg(&file), "--passphrase-file", passphrase, "--replace"]);
    says(&refused.failed(1, "TS-012"), &["keys of node"]);
    other.is_whole();
    // Keys of a day before a rotation do not open what was sealed since.
    node.run(&["keys", "rotate"]).done();
    import(&[passphrase, "--replace"]).failed(1, "TS-125");
    node.is_whole();
}

/// A process that dies leaves nothing of its memory on a disk.
#[test]
fn no_core_is_dumped() {
    let mut node = Node::init("central");
    let mut server = node.serve();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    drop(server);
}
