//! Headers of a zip (APPNOTE §4.3), read into what a recipe notes of them and written from it.

use super::form::{Behind, Blob, Body, Entry};
use super::form::{Central, Sizes};
use crate::archive::members::LOCAL_SIGNATURE;

pub(super) const CENTRAL_SIGNATURE: [u8; 4] = *b"PK\x01\x02";
const CENTRAL_BYTES: usize = 46;
const DESCRIPTOR_SIGNATURE: [u8; 4] = *b"PK\x07\x08";
const END_SIGNATURE: [u8; 4] = *b"PK\x05\x06";
/// The bit of a flag that says: checksum and sizes stand behind the content.
const SIZES_LATER: u8 = 1 << 3;

/// What stands in a header of either kind.
struct Fields<'a> {
    facts: [u8; 10],
    sizes: [u8; 12],
    name: &'a [u8],
    extra: &'a [u8],
}

impl Entry {
    /// What is noted of an entry whose content and what is behind it are still to come. `path` is empty for what is no
    /// file, `at` is the offset of its own header, `plain` the bytes of the file. `None` when a header is none.
    pub(super) fn of_headers(local: &[u8], central: &[u8], path: &str, at: u64, plain: u64) -> Option<Self> {
        let (own, listed) = (local_fields(local)?, central_fields(central)?);
        let [crc, compressed, _] = numbers(listed.sizes);
        let compressed = u32::from_le_bytes(compressed);
        let true_sizes = sizes(crc, compressed, plain);
        let noted = |found: [u8; 12]| match found {
            _ if found == true_sizes => Sizes::True,
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => Sizes::Later,
            _ => Sizes::Given(found),
        };
        let offset: [u8; 4] = central[42..46].try_into().ok()?;
        let comment = central.get(CENTRAL_BYTES + listed.name.len() + listed.extra.len()..)?;
        Some(Self {
            path: path.to_owned(),
            facts: own.facts,
            crc,
            compressed,
            name: (own.name != path.as_bytes()).then(|| own.name.to_vec()),
            sizes: noted(own.sizes),
            extra: own.extra.to_vec(),
            central: Central {
                made_by: central[4..6].try_into().ok()?,
                facts: (listed.facts != own.facts).then_some(listed.facts),
                sizes: noted(listed.sizes),
                name: (listed.name != own.name).then(|| listed.name.to_vec()),
                attributes: central[34..42].try_into().ok()?,
                offset: (offset != (at as u32).to_le_bytes()).then_some(offset),
                extra: listed.extra.to_vec(),
                comment: comment.to_vec(),
            },
            body: Body::File,
            behind: Behind::Bytes(Blob::Here(Vec::new())),
        })
    }

    /// The entry's own header. `plain` is the bytes of the file.
    pub(super) fn local_header(&self, plain: u64) -> Vec<u8> {
        let mut out = LOCAL_SIGNATURE.to_vec();
        out.extend(self.facts);
        out.extend(self.sizes.written(self, plain));
        put_lengths(&mut out, &[self.name().len(), self.extra.len()]);
        out.extend(self.name());
        out.extend(&self.extra);
        out
    }

    /// The entry's header in the directory; `at` is the offset of its own header.
    pub(super) fn central_header(&self, plain: u64, at: u64) -> Vec<u8> {
        let central = &self.central;
        let name = central.name.as_deref().unwrap_or(self.name());
        let mut out = CENTRAL_SIGNATURE.to_vec();
        out.extend(central.made_by);
        out.extend(central.facts.unwrap_or(self.facts));
        out.extend(central.sizes.written(self, plain));
        put_lengths(&mut out, &[name.len(), central.extra.len(), central.comment.len()]);
        out.extend(central.attributes);
        out.extend(central.offset.unwrap_or((at as u32).to_le_bytes()));
        out.extend(name);
        out.extend(&central.extra);
        out.extend(&central.comment);
        out
    }

    /// Checksum and sizes as they stand behind the content.
    pub(super) fn descriptor(&self, plain: u64) -> Vec<u8> {
        sizes(self.crc, self.compressed, plain).to_vec()
    }

    /// The same with a signature before them.
    pub(super) fn signed_descriptor(&self, plain: u64) -> Vec<u8> {
        [DESCRIPTOR_SIGNATURE.as_slice(), &self.descriptor(plain)].concat()
    }

    /// Whether checksum and sizes are expected behind the content.
    pub(super) fn has_descriptor(&self) -> bool {
        self.facts[2] & SIZES_LATER != 0
    }

    /// Whether the content is compressed with deflate.
    pub(super) fn is_deflated(&self) -> bool {
        self.facts[4..6] == [8, 0]
    }

    fn name(&self) -> &[u8] {
        self.name.as_deref().unwrap_or(self.path.as_bytes())
    }
}

impl Sizes {
    fn written(self, entry: &Entry, plain: u64) -> [u8; 12] {
        match self {
            Self::True => sizes(entry.crc, entry.compressed, plain),
            Self::Later => [0; 12],
            Self::Given(bytes) => bytes,
        }
    }
}

/// The bytes that a header in the directory has, when one begins here.
pub(super) fn central_length(directory: &[u8]) -> Option<usize> {
    let header: &[u8; CENTRAL_BYTES] = directory.first_chunk()?;
    let lengths = [28, 30, 32].map(|at| usize::from(u16::from_le_bytes([header[at], header[at + 1]])));
    let length = CENTRAL_BYTES + lengths.iter().sum::<usize>();
    (header[..4] == CENTRAL_SIGNATURE && length <= directory.len()).then_some(length)
}

/// The record that ends an ordinary zip.
pub(super) fn end_record(entries: usize, start: u64, bytes: u64, comment: &[u8]) -> Vec<u8> {
    let mut out = END_SIGNATURE.to_vec();
    out.extend([0; 4]);
    put_lengths(&mut out, &[entries, entries]);
    out.extend((bytes as u32).to_le_bytes());
    out.extend((start as u32).to_le_bytes());
    put_lengths(&mut out, &[comment.len()]);
    out.extend(comment);
    out
}

/// The comment of an ordinary end record.
pub(super) fn comment(end: &[u8]) -> &[u8] {
    end.get(22..).unwrap_or_default()
}

fn local_fields(header: &[u8]) -> Option<Fields<'_>> {
    let fixed: &[u8; 30] = header.first_chunk()?;
    let name = usize::from(u16::from_le_bytes([fixed[26], fixed[27]]));
    let (name, extra) = header[30..].split_at_checked(name)?;
    Some(Fields { facts: fixed[4..14].try_into().ok()?, sizes: fixed[14..26].try_into().ok()?, name, extra })
}

fn central_fields(header: &[u8]) -> Option<Fields<'_>> {
    let fixed: &[u8; CENTRAL_BYTES] = header.first_chunk()?;
    let [name, extra] = [28, 30].map(|at| usize::from(u16::from_le_bytes([fixed[at], fixed[at + 1]])));
    let (name, rest) = header[CENTRAL_BYTES..].split_at_checked(name)?;
    let extra = rest.get(..extra)?;
    Some(Fields { facts: fixed[6..16].try_into().ok()?, sizes: fixed[16..28].try_into().ok()?, name, extra })
}

fn sizes(crc: [u8; 4], compressed: u32, plain: u64) -> [u8; 12] {
    let mut out = [0; 12];
    out[..4].copy_from_slice(&crc);
    out[4..8].copy_from_slice(&compressed.to_le_bytes());
    out[8..].copy_from_slice(&(plain as u32).to_le_bytes());
    out
}

fn numbers(sizes: [u8; 12]) -> [[u8; 4]; 3] {
    [0, 4, 8].map(|at| [sizes[at], sizes[at + 1], sizes[at + 2], sizes[at + 3]])
}

fn put_lengths(out: &mut Vec<u8>, lengths: &[usize]) {
    for length in lengths {
        out.extend((*length as u16).to_le_bytes());
    }
}
