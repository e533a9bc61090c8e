//! A recipe as it is kept: pages of members, then what is around them.
//!
//! Of a header only what cannot be told from elsewhere is noted. What a change of one file moves, the offsets of all
//! behind it, is not noted at all: so the page of that file changes, and no other.

use super::damaged;
use crate::PackageError;
use crate::bytes::{ByteReader, put_bytes, put_number};
use crate::tree::ChunkRef;

/// Bytes that are not told by anything else: few of them here, many in chunks of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Blob {
    Here(Vec<u8>),
    Chunks(Vec<ChunkRef>),
}

impl Blob {
    pub(super) fn chunks(&self) -> &[ChunkRef] {
        match self {
            Self::Here(_) => &[],
            Self::Chunks(chunks) => chunks,
        }
    }

    fn put(&self, out: &mut Vec<u8>) -> Result<(), PackageError> {
        let (kind, bytes) = match self {
            Self::Here(bytes) => (0, bytes.clone()),
            Self::Chunks(chunks) => {
                (1, serde_json::to_vec(chunks).map_err(|e| PackageError::Encode("the recipe", e.into()))?)
            }
        };
        out.push(kind);
        put_bytes(out, &bytes);
        Ok(())
    }

    fn take(page: &mut ByteReader<'_>) -> Option<Self> {
        let (kind, bytes) = (page.byte()?, page.bytes()?);
        match kind {
            0 => Some(Self::Here(bytes.to_vec())),
            1 => Some(Self::Chunks(serde_json::from_slice(bytes).ok()?)),
            _ => None,
        }
    }
}

/// One entry of the zip with its two headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Path of the file; empty for what is none.
    pub(super) path: String,
    /// "Version needed" up to date and time, of its own header.
    pub(super) facts: [u8; 10],
    pub(super) crc: [u8; 4],
    pub(super) compressed: u32,
    /// Where it is not the path.
    pub(super) name: Option<Vec<u8>>,
    pub(super) sizes: Sizes,
    pub(super) extra: Vec<u8>,
    pub(super) central: Central,
    pub(super) body: Body,
    /// Bytes up to the next header.
    pub(super) behind: Behind,
}

/// Checksum and sizes in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sizes {
    /// As they are.
    True,
    /// Zeros: they stand behind the content.
    Later,
    /// Something else.
    Given([u8; 12]),
}

/// The header in the central directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Central {
    pub(super) made_by: [u8; 2],
    /// Where they are not those of the own header.
    pub(super) facts: Option<[u8; 10]>,
    pub(super) sizes: Sizes,
    /// Where it is not the name of the own header.
    pub(super) name: Option<Vec<u8>>,
    /// Disk number, internal and external attributes.
    pub(super) attributes: [u8; 8],
    /// Where it is not the place in the zip.
    pub(super) offset: Option<[u8; 4]>,
    pub(super) extra: Vec<u8>,
    pub(super) comment: Vec<u8>,
}

/// The content of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// The file as it is.
    File,
    /// The file, compressed as a script tells.
    Script(Blob),
    /// Bytes that stand here.
    Bytes(Blob),
}

/// What stands between an entry and the next header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// Checksum and sizes with their signature (APPNOTE §4.3.9).
    Signed,
    /// The same without.
    Unsigned,
    /// Anything, most often nothing.
    Bytes(Blob),
}

/// What is around the entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Around {
    /// Before the first header; everything, where a zip is not understood.
    pub(super) before: Blob,
    /// The order of the directory, where it is not that of the entries.
    pub(super) order: Option<Vec<usize>>,
    /// From the end of the directory on: the comment alone where all else is as expected.
    pub(super) end: End,
}

/// The end of the zip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// An ordinary record (APPNOTE §4.3.16) with this comment.
    Record(Vec<u8>),
    /// Something else.
    Bytes(Blob),
}

const SIZES: [u8; 2] = [0, 2];
const NAME: u8 = 1 << 4;
const CENTRAL_FACTS: u8 = 1 << 5;
const CENTRAL_NAME: u8 = 1 << 6;
const OFFSET: u8 = 1 << 7;

impl Entry {
    /// Adds it to a page.
    pub(super) fn put(&self, out: &mut Vec<u8>) -> Result<(), PackageError> {
        let flag = |is_given: bool, flag: u8| if is_given { flag } else { 0 };
        out.push(
            self.sizes.code() << SIZES[0]
                | self.central.sizes.code() << SIZES[1]
                | flag(self.name.is_some(), NAME)
                | flag(self.central.facts.is_some(), CENTRAL_FACTS)
                | flag(self.central.name.is_some(), CENTRAL_NAME)
                | flag(self.central.offset.is_some(), OFFSET),
        );
        put_bytes(out, self.path.as_bytes());
        out.extend(self.facts);
        out.extend(self.crc);
        put_number(out, u64::from(self.compressed));
        put_given(out, self.sizes.given());
        put_name(out, self.name.as_deref());
        put_bytes(out, &self.extra);
        out.extend(self.central.made_by);
        put_given(out, self.central.facts.as_ref().map(<[u8; 10]>::as_slice));
        put_given(out, self.central.sizes.given());
        put_name(out, self.central.name.as_deref());
        out.extend(self.central.attributes);
        put_given(out, self.central.offset.as_ref().map(<[u8; 4]>::as_slice));
        put_bytes(out, &self.central.extra);
        put_bytes(out, &self.central.comment);
        match &self.body {
            Body::File => out.push(0),
            Body::Script(blob) => put_blob(out, 1, blob)?,
            Body::Bytes(blob) => put_blob(out, 2, blob)?,
        }
        match &self.behind {
            Behind::Signed => out.push(0),
            Behind::Unsigned => out.push(1),
            Behind::Bytes(blob) => put_blob(out, 2, blob)?,
        }
        Ok(())
    }

    /// The entries of a page.
    pub(super) fn all(page: &[u8]) -> Result<Vec<Self>, PackageError> {
        let (mut page, mut entries) = (ByteReader::new(page), Vec::new());
        while !page.is_empty() {
            entries.push(Self::take(&mut page).ok_or_else(|| damaged("a page of it cannot be read"))?);
        }
        Ok(entries)
    }

    fn take(page: &mut ByteReader<'_>) -> Option<Self> {
        let flags = page.byte()?;
        let given = |flag: u8| flags & flag != 0;
        Some(Self {
            path: std::str::from_utf8(page.bytes()?).ok()?.to_owned(),
            facts: page.array()?,
            crc: page.array()?,
            compressed: u32::try_from(page.number()?).ok()?,
            sizes: Sizes::take(flags >> SIZES[0], page)?,
            name: take_name(given(NAME), page)?,
            extra: page.bytes()?.to_vec(),
            central: Central {
                made_by: page.array()?,
                facts: if given(CENTRAL_FACTS) { Some(page.array()?) } else { None },
                sizes: Sizes::take(flags >> SIZES[1], page)?,
                name: take_name(given(CENTRAL_NAME), page)?,
                attributes: page.array()?,
                offset: if given(OFFSET) { Some(page.array()?) } else { None },
                extra: page.bytes()?.to_vec(),
                comment: page.bytes()?.to_vec(),
            },
            body: match page.byte()? {
                0 => Body::File,
                1 => Body::Script(Blob::take(page)?),
                2 => Body::Bytes(Blob::take(page)?),
                _ => return None,
            },
            behind: match page.byte()? {
                0 => Behind::Signed,
                1 => Behind::Unsigned,
                2 => Behind::Bytes(Blob::take(page)?),
                _ => return None,
            },
        })
    }

    /// Chunks of its own.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &ChunkRef> {
        let body = match &self.body {
            Body::File => [].as_slice(),
            Body::Script(blob) | Body::Bytes(blob) => blob.chunks(),
        };
        let behind = match &self.behind {
            Behind::Signed | Behind::Unsigned => [].as_slice(),
            Behind::Bytes(blob) => blob.chunks(),
        };
        body.iter().chain(behind)
    }
}

impl Sizes {
    fn code(self) -> u8 {
        match self {
            Self::True => 0,
            Self::Later => 1,
            Self::Given(_) => 2,
        }
    }

    fn given(&self) -> Option<&[u8]> {
        match self {
            Self::Given(bytes) => Some(bytes),
            Self::True | Self::Later => None,
        }
    }

    fn take(code: u8, page: &mut ByteReader<'_>) -> Option<Self> {
        match code & 3 {
            0 => Some(Self::True),
            1 => Some(Self::Later),
            2 => Some(Self::Given(page.array()?)),
            _ => None,
        }
    }
}

impl Around {
    /// The last page.
    pub(super) fn to_page(&self) -> Result<Vec<u8>, PackageError> {
        let mut out = Vec::new();
        self.before.put(&mut out)?;
        let order = self.order.as_deref().unwrap_or_default();
        put_number(&mut out, order.len() as u64);
        for entry in order {
            put_number(&mut out, *entry as u64);
        }
        match &self.end {
            End::Record(comment) => {
                out.push(0);
                put_bytes(&mut out, comment);
            }
            End::Bytes(blob) => put_blob(&mut out, 1, blob)?,
        }
        Ok(out)
    }

    /// Reads the last page.
    pub(super) fn of_page(page: &[u8]) -> Result<Self, PackageError> {
        Self::take(&mut ByteReader::new(page)).ok_or_else(|| damaged("its last page cannot be read"))
    }

    fn take(page: &mut ByteReader<'_>) -> Option<Self> {
        let before = Blob::take(page)?;
        let entries = page.count(usize::from(u16::MAX))?;
        let order: Vec<usize> = (0..entries).map(|_| page.count(usize::from(u16::MAX))).collect::<Option<_>>()?;
        let end = match page.byte()? {
            0 => End::Record(page.bytes()?.to_vec()),
            1 => End::Bytes(Blob::take(page)?),
            _ => return None,
        };
        page.is_empty().then(|| Self { before, order: (!order.is_empty()).then_some(order), end })
    }

    /// Chunks of its own.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &ChunkRef> {
        let end = match &self.end {
            End::Record(_) => [].as_slice(),
            End::Bytes(blob) => blob.chunks(),
        };
        self.before.chunks().iter().chain(end)
    }
}

fn put_blob(out: &mut Vec<u8>, kind: u8, blob: &Blob) -> Result<(), PackageError> {
    out.push(kind);
    blob.put(out)
}

fn put_given(out: &mut Vec<u8>, given: Option<&[u8]>) {
    out.extend_from_slice(given.unwrap_or_default());
}

fn put_name(out: &mut Vec<u8>, name: Option<&[u8]>) {
    if let Some(name) = name {
        put_bytes(out, name);
    }
}

/// `None` where the page ends too soon.
#[expect(clippy::option_option, reason = "the outer one is for pages that cannot be read, as everywhere here")]
fn take_name(is_given: bool, page: &mut ByteReader<'_>) -> Option<Option<Vec<u8>>> {
    if is_given { Some(Some(page.bytes()?.to_vec())) } else { Some(None) }
}
