//! The generated package: valid QTI 2.1 of many small files and a few videos that do not compress.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

/// Items of the test.
pub const ITEMS: usize = 200;
/// Items and their media.
pub const SMALL_FILES: usize = 2_000;
/// Bytes of one medium.
pub const MEDIA_BYTES: usize = 27_000;
/// Videos.
pub const VIDEOS: usize = 3;
/// Bytes of one video.
pub const VIDEO_BYTES: usize = 50_000_000;
/// All files, manifest and test included.
pub const FILES: usize = SMALL_FILES + VIDEOS + 2;

/// The item that changes.
const CHANGED_ITEM: usize = 77;
/// Where the video that changes does so.
const CHANGED_AT: usize = 21_000_000;

/// What is in the package.
#[derive(Clone, Copy, Debug)]
pub struct Contents {
    pub items: usize,
    /// Items and media.
    pub small: usize,
    pub videos: usize,
    /// Generation of the item that changes.
    pub item: usize,
    /// Generation of the video that changes.
    pub video: usize,
}

impl Default for Contents {
    fn default() -> Self {
        Self { items: ITEMS, small: SMALL_FILES, videos: VIDEOS, item: 0, video: 0 }
    }
}

impl Contents {
    /// Files of the package.
    pub fn files(&self) -> usize {
        self.items + self.media() + self.videos + 2
    }

    fn media(&self) -> usize {
        self.small.saturating_sub(self.items)
    }

    /// Writes the zip.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut zip = zip::ZipWriter::new(std::fs::File::create(path)?);
        self.each(&mut |name, bytes| {
            let is_noise = bytes.len() >= MEDIA_BYTES && !bytes.starts_with(b"<?xml");
            let method = if is_noise { CompressionMethod::Stored } else { CompressionMethod::Deflated };
            zip.start_file(name, SimpleFileOptions::default().compression_method(method))?;
            Ok(zip.write_all(bytes)?)
        })?;
        zip.finish()?;
        Ok(())
    }

    /// Writes the files into a folder.
    pub fn unpack(&self, folder: &Path) -> anyhow::Result<()> {
        self.each(&mut |name, bytes| {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
            Ok(std::fs::write(path, bytes)?)
        })
    }

    fn each(&self, take: &mut dyn FnMut(&str, &[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        take("imsmanifest.xml", self.manifest().as_bytes())?;
        take("test.xml", self.test().as_bytes())?;
        for number in 0..self.items {
            let generation = if number == CHANGED_ITEM { self.item } else { 0 };
            take(&item_path(number), item(number, generation).as_bytes())?;
        }
        for number in 0..self.media() {
            take(&media_path(number), &noise(&format!("medium {number}"), MEDIA_BYTES))?;
        }
        for number in 0..self.videos {
            let mut video = noise(&format!("video {number}"), VIDEO_BYTES);
            if number == 0 && self.video > 0 {
                video[CHANGED_AT..CHANGED_AT + 8].copy_from_slice(&self.video.to_le_bytes());
            }
            take(&video_path(number), &video)?;
        }
        Ok(())
    }

    fn manifest(&self) -> String {
        let mut text = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<manifest xmlns=\"http://www.imsglobal.org/xsd/imscp_v1p1\" \
             identifier=\"bench-manifest\"><metadata><schema>QTIv2.1 Package</schema><schemaversion>1.0.0\
             </schemaversion></metadata><organizations/><resources>\n<resource identifier=\"test\" \
             type=\"imsqti_test_xmlv2p1\" href=\"test.xml\"><file href=\"test.xml\"/>",
        );
        for number in 0..self.videos {
            let _ = write!(text, "<file href=\"{}\"/>", video_path(number));
        }
        for number in 0..self.items {
            let _ = write!(text, "<dependency identifierref=\"item-{number}\"/>");
        }
        text.push_str("</resource>\n");
        for number in 0..self.items {
            let path = item_path(number);
            let _ = write!(
                text,
                "<resource identifier=\"item-{number}\" type=\"imsqti_item_xmlv2p1\" href=\"{path}\"><file href=\"{path}\"/>"
            );
            for medium in (number..self.media()).step_by(self.items) {
                let _ = write!(text, "<file href=\"{}\"/>", media_path(medium));
            }
            text.push_str("</resource>\n");
        }
        text + "</resources></manifest>\n"
    }

    fn test(&self) -> String {
        let mut text = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<assessmentTest \
             xmlns=\"http://www.imsglobal.org/xsd/imsqti_v2p1\" identifier=\"bench-test\" title=\"Bench\"><testPart \
             identifier=\"part\" navigationMode=\"linear\" submissionMode=\"individual\"><assessmentSection \
             identifier=\"section\" title=\"Section\" visible=\"true\">\n",
        );
        for number in 0..self.items {
            let path = item_path(number);
            let _ = writeln!(text, "<assessmentItemRef identifier=\"ref-{number}\" href=\"{path}\"/>");
        }
        text + "</assessmentSection></testPart></assessmentTest>\n"
    }
}

/// Bytes of the item that changes.
pub fn item_bytes() -> usize {
    item(CHANGED_ITEM, 1).len()
}

fn item_path(number: usize) -> String {
    format!("items/i{number:03}/qti.xml")
}

fn media_path(number: usize) -> String {
    format!("items/i{:03}/media/{number:04}.jpg", number % ITEMS)
}

fn video_path(number: usize) -> String {
    format!("videos/{number}.mp4")
}

fn item(number: usize, generation: usize) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<assessmentItem \
         xmlns=\"http://www.imsglobal.org/xsd/imsqti_v2p1\" identifier=\"bench-item-{number}\" title=\"Item\" \
         adaptive=\"false\" timeDependent=\"false\">\n<responseDeclaration identifier=\"RESPONSE\" \
         cardinality=\"single\" baseType=\"string\"/>\n<outcomeDeclaration identifier=\"SCORE\" \
         cardinality=\"single\" baseType=\"float\"/>\n<itemBody>"
    );
    for paragraph in 0..40 {
        let words = blake3::hash(format!("{number} {generation} {paragraph}").as_bytes()).to_hex();
        let _ = writeln!(text, "<p>Read this, and say why: {words}.</p>");
    }
    text + "<extendedTextInteraction responseIdentifier=\"RESPONSE\"><prompt>Why?</prompt></extendedTextInteraction>\
            </itemBody></assessmentItem>\n"
}

/// Bytes that do not compress, the same for the same words.
pub fn noise(words: &str, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new().update(words.as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}
