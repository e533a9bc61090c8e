//! `delivery export`, `delivery rollback`, and a test that is chosen among several.

use std::io::{Cursor, Read as _, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::node::Node;
use super::people::MATHS;
use super::run::{arg, says};

/// The demo package, compressed, with something added to its manifest.
fn edition(added: &str) -> Vec<u8> {
    let mut demo = ZipArchive::new(Cursor::new(taosync_packages::demo_package())).unwrap();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for at in 0..demo.len() {
        let mut file = demo.by_index(at).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let path = file.name().unwrap().into_owned();
        if path == "imsmanifest.xml" {
            let text = String::from_utf8(bytes).unwrap();
            bytes = text.replace("<resources>", &format!("<resources>{added}")).into_bytes();
        }
        zip.start_file(path, SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// How often an act is in the audit log.
fn audited(node: &Node, act: &str) -> String {
    let python = "import sqlite3,sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM audit WHERE act = ?', \
                  [sys.argv[2]]).fetchone()[0])";
    let path = node.dir().join("taosync.sqlite");
    let done = std::process::Command::new("python3").args(["-c", python]).arg(path).arg(act).output().unwrap();
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_version_is_exported_taken_back_and_published_again() {
    let central = Node::init("central");
    let zips = [edition(""), edition("<!-- second -->")];
    for zip in &zips {
        let file = central.file("edition.zip", zip);
        central.run(&["delivery", "publish", arg(&file), "--label", "Maths", "--uri", MATHS]).done();
    }
    let out = central.dir().with_file_name("out.zip");
    let exported = central.run(&["delivery", "export", MATHS, arg(&out)]).done();
    assert_eq!((exported["version"].as_u64(), exported["bytes"].as_u64()), (Some(2), Some(zips[1].len() as u64)));
    assert!(std::fs::read(&out).unwrap() == zips[1]);

    let back = central.run(&["delivery", "rollback", MATHS]).done();
    assert_eq!((back["from"].as_u64(), back["version"].as_u64()), (Some(2), Some(1)), "{back:#}");
    assert_eq!(audited(&central, "delivery.rollback"), "1");
    central.run(&["delivery", "export", MATHS, arg(&out)]).done();
    assert!(std::fs::read(&out).unwrap() == zips[0]);
    central.run(&["delivery", "export", MATHS, arg(&out), "--version", "2"]).done();
    assert!(std::fs::read(&out).unwrap() == zips[1], "also what was taken back");

    says(&central.run(&["delivery", "rollback", MATHS]).failed(1, "TS-108"), &["no version before 1"]);
    assert_eq!(audited(&central, "delivery.rollback"), "1", "what was refused is not noted as done");
    says(&central.run(&["delivery", "export", MATHS, arg(&out), "--version", "7"]).failed(1, "TS-107"), &["version 7"]);
    central.run(&["delivery", "rollback", "http://example/nothing"]).failed(1, "TS-107");
    let file = central.file("edition.zip", &zips[1]);
    let again = central.run(&["delivery", "publish", arg(&file), "--label", "Maths", "--uri", MATHS]).done();
    assert_eq!(again["version"], 3);
    central.is_whole();
}

#[test]
fn of_several_tests_one_is_named() {
    let central = Node::init("central");
    let file = central.file(
        "two.zip",
        edition(
            r#"<resource identifier="other" type="imsqti_test_xmlv2p2" href="items/../test.xml"/>
                   <resource identifier="third" type="imsqti_test_xmlv2p2" href="items/01-fraction/item.xml"/>"#,
        ),
    );
    let checked = central.run(&["delivery", "check", arg(&file)]).exits(1).json();
    let problem = &checked["errors"][0];
    assert_eq!(problem["code"], "several-tests", "{checked:#}");
    for field in ["file", "line", "element", "message", "advice"] {
        assert!(!problem[field].is_null(), "{field} is missing in {problem:#}");
    }
    assert!(problem["message"].as_str().unwrap().contains("'test' (test.xml)"), "{problem:#}");
    let publish = ["delivery", "publish", arg(&file), "--label", "Maths"];
    says(&central.run(&publish).failed(1, "TS-404"), &["--test IDENTIFIER"]);
    assert_eq!(central.run(&["delivery", "check", arg(&file), "--test", "test"]).done()["ok"], true);
    let chosen = ["delivery", "publish", arg(&file), "--label", "Maths", "--test", "test"];
    assert_eq!(central.run(&chosen).done()["version"], 1);
    let unknown = central.run(&["delivery", "check", arg(&file), "--test", "none"]).exits(1).json();
    assert_eq!(unknown["errors"][0]["code"], "unknown-test", "{unknown:#}");
}
