//! Packages made to do harm: each is refused with its reason, by `delivery check` and by `delivery publish`.

use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::node::Node;
use super::run::{arg, says};

fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn with_link() -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.add_symlink("imsmanifest.xml", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    writer.finish().unwrap().into_inner()
}

/// The same bytes with each occurrence of a text replaced by another of the same length.
fn patched(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<_> = (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "there is something to be replaced");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

/// The central directory says that the first file has ten plain bytes.
fn with_lying_size() -> Vec<u8> {
    const PLAIN_SIZE: usize = 24;
    let mut bytes = zip_of(&[("imsmanifest.xml", &[b'x'; 5_000])]);
    let entry = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    bytes[entry + PLAIN_SIZE..entry + PLAIN_SIZE + 4].copy_from_slice(&10_u32.to_le_bytes());
    bytes
}

/// The bytes of a header of the central directory, changed at some offset; the first has number 0.
fn with_listed(mut bytes: Vec<u8>, number: usize, offset: usize, value: &[u8]) -> Vec<u8> {
    let starts: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(b"PK\x01\x02")).collect();
    let at = starts[number] + offset;
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes
}

#[test]
fn hostile_zips_are_refused_with_their_reason() {
    let central = Node::init("central");
    let bomb = vec![0; 64 << 20];
    let two = zip_of(&[("items/aa.xml", b"<a/>"), ("items/ab.xml", b"<b/>")]);
    let demo = taosync_packages::demo_package();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("bomb", zip_of(&[("imsmanifest.xml", b"<m/>"), ("bomb.bin", &bomb)]), "bomb.bin"),
        ("upwards", zip_of(&[("../outside.xml", b"<m/>")]), "../outside.xml"),
        ("absolute", zip_of(&[("/etc/outside.xml", b"<m/>")]), "/etc/outside.xml"),
        ("link", with_link(), "link"),
        ("twice", patched(two.clone(), b"items/ab.xml", b"items/aa.xml"), "items/aa.xml"),
        ("case", patched(two.clone(), b"items/ab.xml", b"items/AA.xml"), "items/A"),
        ("lying", with_lying_size(), "imsmanifest.xml"),
        ("overlapping", with_listed(two.clone(), 1, 42, &[0; 4]), "overlapping-entries"),
        ("encrypted", with_listed(two.clone(), 0, 8, &[1, 0]), "encrypted-entry"),
        ("checksum", with_listed(two.clone(), 0, 16, &[1, 2, 3, 4]), "damaged-entry"),
        ("zip64", with_listed(two.clone(), 0, 20, &[0xff; 8]), "file-too-large"),
        ("half", demo[..demo.len() / 2].to_vec(), "zip"),
        ("no-zip", b"this is not a zip at all".to_vec(), "zip"),
        ("empty", zip_of(&[("readme.txt", b"hello")]), "imsmanifest.xml"),
        ("deep", zip_of(&[("imsmanifest.xml", "<manifest>".repeat(500).as_bytes())]), "imsmanifest.xml"),
        ("entities", zip_of(&[("imsmanifest.xml", b"<!DOCTYPE m [<!ENTITY a 'aa'>]><m>&a;</m>")]), "dtd"),
        ("xml", zip_of(&[("imsmanifest.xml", b"<manifest><unclosed></manifest>")]), "imsmanifest.xml"),
    ];
    for (name, bytes, word) in cases {
        let file = central.file(&format!("{name}.zip"), bytes);
        let checked = central.run(&["delivery", "check", arg(&file)]).exits(1).json();
        assert_eq!(checked["ok"], false, "{name}");
        assert!(checked["errors"].to_string().contains(word), "{name}: '{word}' is missing in {checked:#}");
        let publish = ["delivery", "publish", arg(&file), "--label", name];
        says(&central.run(&publish).failed(1, "TS-404"), &[word]);
    }
    assert_eq!(central.run(&["delivery", "list"]).done()["deliveries"].as_array().unwrap().len(), 0);
    assert_eq!(central.count("delivery"), 0);
    central.is_whole();
    let outside = central.dir().parent().unwrap().join("outside.xml");
    assert!(!outside.exists() && !central.dir().join("outside.xml").exists());
}
