//! Zips made byte by byte, so that they can lie.

#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of these")]

use std::io::Write;
use std::path::{Path, PathBuf};

use taosync_packages::{CheckReport, CheckedPackage, Limits, Problem, check};
use tempfile::NamedTempFile;

/// One entry as the headers will claim it to be.
#[derive(Clone)]
pub struct Raw {
    pub name: Vec<u8>,
    pub body: Vec<u8>,
    pub plain: u32,
    pub crc: u32,
    pub method: u16,
    pub flags: u16,
    /// Unix mode, in the upper half of the external attributes.
    pub mode: u32,
    /// Offset of the local header, when it is not the entry's own.
    pub shared_offset: Option<u32>,
    /// Compressed bytes in the directory, when they are not the true ones.
    pub compressed: Option<u32>,
    /// Extra field in the directory.
    pub extra: Vec<u8>,
}

impl Raw {
    pub fn stored(name: &str, body: &[u8]) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            body: body.to_vec(),
            plain: body.len() as u32,
            crc: crc32(body),
            method: 0,
            flags: 0,
            mode: 0o100_644,
            shared_offset: None,
            compressed: None,
            extra: Vec::new(),
        }
    }

    /// `count` zero bytes, deflated about a thousand times smaller.
    pub fn zeros(name: &str, count: usize) -> Self {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        zip.start_file("x", options).unwrap();
        zip.write_all(&vec![0; count]).unwrap();
        let bytes = zip.finish().unwrap().into_inner();
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        let mut raw = archive.by_index_raw(0).unwrap();
        let mut body = Vec::new();
        std::io::Read::read_to_end(&mut raw, &mut body).unwrap();
        Self { body, plain: count as u32, crc: raw.crc32(), method: 8, ..Self::stored(name, b"") }
    }
}

/// A zip of these entries.
pub fn zip_of(entries: &[Raw]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let offset = entry.shared_offset.unwrap_or(out.len() as u32);
        if entry.shared_offset.is_none() {
            out.extend(b"PK\x03\x04");
            out.extend(fields(entry, entry.body.len() as u32, 0));
            out.extend(&entry.name);
            out.extend(&entry.body);
        }
        // Made by version 2.0 on Unix.
        directory.extend(b"PK\x01\x02\x14\x03");
        let compressed = entry.compressed.unwrap_or(entry.body.len() as u32);
        directory.extend(fields(entry, compressed, entry.extra.len() as u16));
        // Comment length, disk number, internal attributes, external attributes.
        directory.extend([0; 6]);
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(&entry.name);
        directory.extend(&entry.extra);
    }
    let (start, count) = (out.len() as u32, (entries.len() as u16).to_le_bytes());
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count);
    out.extend(count);
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}

/// What local and central headers have in common, from "version needed" to "extra field length".
fn fields(entry: &Raw, compressed: u32, extra: u16) -> Vec<u8> {
    let mut out = Vec::new();
    for number in [20, entry.flags, entry.method, 0, 0x21] {
        out.extend(u16::to_le_bytes(number));
    }
    for number in [entry.crc, compressed, entry.plain] {
        out.extend(number.to_le_bytes());
    }
    out.extend((entry.name.len() as u16).to_le_bytes());
    out.extend(extra.to_le_bytes());
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

pub fn on_disk(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

pub fn checked(bytes: &[u8]) -> (CheckReport, Option<CheckedPackage>) {
    checked_at(on_disk(bytes).path())
}

pub fn checked_at(path: &Path) -> (CheckReport, Option<CheckedPackage>) {
    check(path, &Limits::default(), None)
}

/// Codes of the errors found, each once.
pub fn error_codes(report: &CheckReport) -> Vec<&'static str> {
    codes(&report.errors)
}

pub fn codes(problems: &[Problem]) -> Vec<&'static str> {
    let mut codes: Vec<_> = problems.iter().map(|p| p.code).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// A small valid package: one choice item and its picture.
pub fn small_package() -> Vec<(String, Vec<u8>)> {
    let manifest = r#"<manifest xmlns="http://www.imsglobal.org/xsd/imscp_v1p1"><resources>
        <resource identifier="T" type="imsqti_test_xmlv2p1" href="test.xml"><file href="test.xml"/></resource>
        <resource identifier="I" type="imsqti_item_xmlv2p1" href="i/item.xml">
        <file href="i/item.xml"/><file href="i/a.png"/></resource></resources></manifest>"#;
    let test = r#"<assessmentTest xmlns="http://www.imsglobal.org/xsd/imsqti_v2p1" identifier="t" title="Small">
        <testPart identifier="p" navigationMode="linear" submissionMode="individual">
        <assessmentSection identifier="s" title="S" visible="true">
        <assessmentItemRef identifier="i" href="i/item.xml"/></assessmentSection></testPart></assessmentTest>"#;
    let item = r#"<assessmentItem xmlns="http://www.imsglobal.org/xsd/imsqti_v2p1" identifier="i" title="I" adaptive="false" timeDependent="false">
        <responseDeclaration identifier="R" cardinality="single" baseType="identifier"/>
        <itemBody><img src="a.png" alt=""/><choiceInteraction responseIdentifier="R" maxChoices="1">
        <simpleChoice identifier="A">A</simpleChoice></choiceInteraction></itemBody></assessmentItem>"#;
    [("i/a.png", "picture"), ("i/item.xml", item), ("imsmanifest.xml", manifest), ("test.xml", test)]
        .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
        .to_vec()
}

pub fn packed(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    taosync_packages::archive::pack::pack(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))).unwrap()
}

/// The small package with one file changed by text replacement.
pub fn small_with(path: &str, from: &str, to: &str) -> Vec<u8> {
    let mut files = small_package();
    let file = files.iter_mut().find(|(p, _)| p == path).unwrap();
    let text = String::from_utf8(file.1.clone()).unwrap();
    assert!(text.contains(from), "{path} has no '{from}'");
    file.1 = text.replace(from, to).into_bytes();
    packed(&files)
}

/// Files of a folder below `fixtures`, sorted by path.
pub fn fixture(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name);
    let (mut waiting, mut files) = (vec![folder.clone()], Vec::new());
    while let Some(path) = waiting.pop() {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
                files.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// A package of QTI 3 that uses all of a test's structure.
pub fn qti_3_package() -> Vec<(String, Vec<u8>)> {
    fixture("qti-3")
}

/// The package of QTI 3 with one file changed by text replacement.
pub fn qti_3_with(path: &str, from: &str, to: &str) -> Vec<u8> {
    packed(&changed(qti_3_package(), path, from, to))
}

/// Files with one of them changed by text replacement.
pub fn changed(mut files: Vec<(String, Vec<u8>)>, path: &str, from: &str, to: &str) -> Vec<(String, Vec<u8>)> {
    let file = files.iter_mut().find(|(p, _)| p == path).unwrap();
    let text = String::from_utf8(file.1.clone()).unwrap();
    assert!(text.contains(from), "{path} has no '{from}'");
    file.1 = text.replacen(from, to, 1).into_bytes();
    files
}

/// Every zip below a folder, sorted by path.
pub fn packages(folder: &Path) -> Vec<PathBuf> {
    let (mut waiting, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(path) = waiting.pop() {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "zip") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
