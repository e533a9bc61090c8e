//! A search of every file below some directories for a word, as it stands and in the encodings that hide it from the eye.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::memmem::Finder;

/// Bytes of text beside a find that are shown.
const CONTEXT: usize = 32;
/// How a zstd frame begins: what was only compressed is looked at too.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Bytes a frame is unpacked to at most.
const UNPACKED: usize = 16 * 1024 * 1024;

/// Something that may stand nowhere.
pub struct Needle {
    pub name: String,
    forms: Vec<(&'static str, Finder<'static>)>,
}

/// Where something stood all the same.
pub struct Find {
    pub path: PathBuf,
    pub needle: String,
    pub form: &'static str,
    pub context: String,
}

impl Find {
    /// Where it stood, in one line.
    pub fn told(&self) -> String {
        format!("{} in {} as {}: {}", self.needle, self.path.display(), self.form, self.context)
    }
}

impl Needle {
    pub fn new(name: &str, word: &str) -> Self {
        let finder = |bytes: &[u8]| Finder::new(bytes).into_owned();
        let forms = forms(word).into_iter().map(|(form, bytes)| (form, finder(&bytes))).collect();
        Self { name: name.to_owned(), forms }
    }
}

/// A word in every encoding that is looked for.
pub fn forms(word: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = word.as_bytes();
    let utf16 = |order: fn(u16) -> [u8; 2]| word.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let mut forms = vec![
        ("plain", bytes.to_vec()),
        ("UTF-16 LE", utf16(u16::to_le_bytes)),
        ("UTF-16 BE", utf16(u16::to_be_bytes)),
        ("hex", hex(bytes)),
        ("HEX", hex(bytes).to_ascii_uppercase()),
    ];
    for (form, shift) in [("base64", 0), ("base64 +1", 1), ("base64 +2", 2)] {
        let text = STANDARD_NO_PAD.encode([&vec![0; shift], bytes].concat());
        // Digits that mix in what stands before or after the word are not its own.
        let (from, to) = ((shift * 8).div_ceil(6), (shift + bytes.len()) * 8 / 6);
        let own = text[from..to].to_owned();
        if own.contains(['+', '/']) {
            forms.push((form, own.replace('+', "-").replace('/', "_").into_bytes()));
        }
        forms.push((form, own.into_bytes()));
    }
    forms
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

/// Every file below a directory but those of `but`, read whole. One that goes away meanwhile is passed over.
pub fn below(dir: &Path, but: &[&str], needles: &[Needle]) -> (u64, Vec<Find>) {
    let (mut bytes, mut finds, mut rest) = (0, Vec::new(), vec![dir.to_owned()]);
    while let Some(path) = rest.pop() {
        if but.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        if let Ok(entries) = std::fs::read_dir(&path) {
            rest.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
            // A name tells as much as what is in the file.
            finds.extend(within(&path, path.as_os_str().as_encoded_bytes(), needles));
        } else if let Ok(content) = std::fs::read(&path) {
            bytes += content.len() as u64;
            finds.extend(within(&path, path.as_os_str().as_encoded_bytes(), needles));
            finds.extend(within(&path, &content, needles));
            for frame in frames(&content) {
                finds.extend(within(&path, &frame, needles));
            }
        }
    }
    (bytes, finds)
}

/// Everything that is found in bytes.
pub fn within(path: &Path, bytes: &[u8], needles: &[Needle]) -> Vec<Find> {
    let mut finds = Vec::new();
    for Needle { name, forms } in needles {
        for (form, finder) in forms {
            finds.extend(finder.find_iter(bytes).take(5).map(|at| {
                let around =
                    &bytes[at.saturating_sub(CONTEXT)..(at + finder.needle().len() + CONTEXT).min(bytes.len())];
                let context = String::from_utf8_lossy(around).escape_debug().to_string();
                Find { path: path.to_owned(), needle: name.clone(), form, context }
            }));
        }
    }
    finds
}

/// What the zstd frames in some bytes hold.
fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let starts = memchr::memmem::find_iter(bytes, &ZSTD);
    let unpack = |at: usize| {
        use std::io::Read as _;
        let mut plain = Vec::new();
        let decoder = zstd::Decoder::with_buffer(&bytes[at..]).ok()?;
        // A frame that is cut, or was none, gives what it has.
        let _ = decoder.take(UNPACKED as u64).read_to_end(&mut plain);
        Some(plain)
    };
    starts.filter_map(unpack).collect()
}
