//! How large and how deep a package may be. Everything that reads a package takes these.

/// Bytes in a mebibyte.
const MIB: u64 = 1024 * 1024;

/// Bounds on a package. The defaults fit the largest real packages with room to spare; tests use small ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries of the zip, folders included.
    pub entries: usize,
    /// Plain bytes of all files together.
    pub total_bytes: u64,
    /// Plain bytes of one file.
    pub file_bytes: u64,
    /// Plain bytes over compressed bytes, for what is larger than `ratio_free_bytes`.
    pub ratio: u64,
    /// Plain bytes below which the ratio does not matter: small repetitive files compress extremely well.
    pub ratio_free_bytes: u64,
    /// Names in a path, the file's own included.
    pub path_depth: usize,
    /// Bytes of a path.
    pub path_bytes: usize,
    /// Bytes of the zip's central directory: names, comments and extra fields of all entries.
    pub directory_bytes: u64,
}

impl Limits {
    /// Bytes of a zip whose files obey: its headers and its comment have their bounds too.
    pub fn zip_bytes(&self) -> u64 {
        const COMMENT: u64 = 64 * 1024;
        self.total_bytes.saturating_add(self.directory_bytes.saturating_mul(2)).saturating_add(COMMENT)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 20_000,
            total_bytes: 4096 * MIB,
            file_bytes: 2048 * MIB,
            ratio: 200,
            ratio_free_bytes: MIB,
            path_depth: 32,
            path_bytes: 1024,
            directory_bytes: 64 * MIB,
        }
    }
}

/// Bytes of one XML file that is read into memory.
pub(crate) const XML_BYTES: u64 = 16 * MIB;
/// Depth of elements in an XML file. In the compiled form an element is two levels of JSON, and many programs read no
/// more than 128; pages of real tests have less than 30.
pub(crate) const XML_DEPTH: usize = 64;
/// Nodes (elements, texts, comments) in an XML file.
pub(crate) const XML_NODES: u32 = 1_000_000;
/// Attributes of one element; the parser compares each with all others.
pub(crate) const XML_ATTRIBUTES: usize = 256;
/// Namespace declarations in an XML file; each copies those of its ancestors.
pub(crate) const XML_NAMESPACES: usize = 10_000;
/// Depth of sections in a test part, section files included.
pub(crate) const SECTION_DEPTH: usize = 32;
/// Sections and item references in a test: section files included twice must not multiply without end.
pub(crate) const TEST_PARTS: usize = 50_000;
/// Pages that one page includes, directly or through others.
pub(crate) const INCLUDED_PAGES: usize = 1_000;
/// Bytes of a stylesheet that is searched for what it names.
pub(crate) const STYLE_BYTES: u64 = 4 * MIB;
/// Bytes of all pages of a test together: their compiled form is one document, in memory at once.
pub(crate) const PAGES_BYTES: u64 = 64 * MIB;
/// Bytes of the script of one file: it is in memory at once.
pub(crate) const SCRIPT_BYTES: usize = 16 * 1024 * 1024;
/// Problems kept of each severity; more help nobody.
pub(crate) const PROBLEMS: usize = 1_000;
