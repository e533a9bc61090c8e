//! Results as files for people: JSON lines, CSV, or one QTI XML file an attempt. Read page by page.

use std::io::Write;
use std::path::{Path, PathBuf};

use taosync_model::item::{Envelope, FORM_AGE_ZSTD, ItemKind};
use taosync_results::{CsvExport, MAX_PLAIN, ResultError, decode_attempt, write_jsonl, write_xml};
use taosync_store::outbox::OutboxFilter;
use taosync_store::received::ReceivedFilter;
use taosync_store::{Store, StoreError};
use taosync_vault::results_keys::ResultsIdentities;

use super::pseudonyms::Names;
use super::sealing::readable;

/// Items in a page.
const PAGE_ITEMS: u32 = 100;
/// Payload bytes in a page, unless a single item has more.
const PAGE_BYTES: u64 = 8 * 1024 * 1024;

/// Where results are read.
#[derive(Clone, Debug)]
pub enum Source {
    /// Central: what came in.
    Received(ReceivedFilter, Editions),
    /// Local: what was made here and is still readable.
    Outbox(OutboxFilter),
}

/// Which versions of an attempt are read at central.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Editions {
    /// The newest, and everything that is in conflict with it.
    Newest,
    /// All that are held.
    All,
}

/// Where results are written.
pub enum Target<'a> {
    /// One JSON document a line.
    Jsonl(&'a mut (dyn Write + Send)),
    /// One line a variable.
    Csv(&'a mut (dyn Write + Send)),
    /// A QTI file for each attempt, in this directory.
    XmlFiles(&'a Path),
    /// The payload of each attempt as it is held, in this directory: age files, for `age` and `results unseal`.
    SealedFiles(&'a Path),
}

/// What was written, and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Attempts.
    pub attempts: u64,
    /// Variables in them.
    pub variables: u64,
    /// Attempts only the holder of the results key can read.
    pub sealed: u64,
    /// Attempts that are not readable here any more: at local, as central holds them; at central, as they were erased.
    pub gone: u64,
    /// Attempts left out of sealed files, as they are not sealed.
    pub unsealed: u64,
}

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The results, or the place they go to.
    #[error(transparent)]
    Results(#[from] ResultError),
    /// A file.
    #[error("cannot write {}; check that the directory exists and has room", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
}

enum Sheet<'a> {
    Jsonl(&'a mut (dyn Write + Send)),
    Csv(Box<CsvExport<&'a mut (dyn Write + Send)>>),
    XmlFiles(&'a Path),
    SealedFiles(&'a Path),
}

/// How attempts are read.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// What opens those that are sealed.
    pub identities: &'a ResultsIdentities,
    /// How test takers are named.
    pub names: Names<'a>,
}

/// Where attempts are written, and how they are read.
struct Writer<'t, 'r> {
    sheet: Sheet<'t>,
    reading: Reading<'r>,
}

/// Writes all attempts of a source, in the order they were made (local) or came in (central). Sealed ones that
/// nothing opens are counted.
pub async fn export(
    store: &Store,
    source: Source,
    target: Target<'_>,
    reading: Reading<'_>,
) -> Result<Exported, ExportError> {
    let mut sheet = Writer { sheet: Sheet::begin(target)?, reading };
    let mut done = Exported::default();
    match source {
        Source::Received(filter, editions) => received(store, filter, editions, &mut sheet, &mut done).await?,
        Source::Outbox(filter) => outbox(store, filter, &mut sheet, &mut done).await?,
    }
    sheet.sheet.end()?;
    Ok(done)
}

async fn received(
    store: &Store,
    mut filter: ReceivedFilter,
    editions: Editions,
    sheet: &mut Writer<'_, '_>,
    done: &mut Exported,
) -> Result<(), ExportError> {
    filter.kind = Some(ItemKind::Attempt);
    loop {
        let page = store.received_page(&filter, PAGE_ITEMS, PAGE_BYTES).await?;
        let Some(last) = page.last() else { return Ok(()) };
        filter.after = last.item.receipt_no;
        for one in &page {
            if one.item.erased {
                done.gone += 1;
            } else if editions == Editions::All || one.item.head || one.item.status == "conflict" {
                sheet.put(&one.item.envelope, one.item.form(), &one.payload, done)?;
            }
        }
    }
}

async fn outbox(
    store: &Store,
    mut filter: OutboxFilter,
    sheet: &mut Writer<'_, '_>,
    done: &mut Exported,
) -> Result<(), ExportError> {
    filter.kind = Some(ItemKind::Attempt);
    loop {
        // Sizes first: so many payloads are read as fit a page.
        let rows = store.outbox_list(&filter, PAGE_ITEMS).await?;
        let mut bytes = 0;
        let fitting = rows.iter().enumerate().take_while(|(index, row)| {
            bytes += row.envelope.size;
            *index == 0 || bytes <= PAGE_BYTES
        });
        let page = store.outbox_results(&filter, fitting.count() as u32).await?;
        let Some(last) = page.last() else { return Ok(()) };
        filter.after = Some(last.row.id);
        for one in &page {
            match one.to_read() {
                Some((form, payload)) => sheet.put(&one.row.envelope, form, payload, done)?,
                None => done.gone += 1,
            }
        }
    }
}

impl Writer<'_, '_> {
    fn put(&mut self, envelope: &Envelope, form: u8, payload: &[u8], done: &mut Exported) -> Result<(), ExportError> {
        if let Sheet::SealedFiles(directory) = self.sheet {
            return put_as_held(directory, envelope, form, payload, done);
        }
        let Ok(plain) = readable(form, payload, self.reading.identities) else {
            done.sealed += 1;
            return Ok(());
        };
        let (named, attempt) = self.reading.names.apply(envelope.clone(), decode_attempt(&plain, MAX_PLAIN)?);
        match &mut self.sheet {
            Sheet::Jsonl(out) => write_jsonl(out, &named, &attempt)?,
            Sheet::Csv(csv) => csv.attempt(&named, &attempt)?,
            Sheet::XmlFiles(directory) => {
                write_file(directory.join(file_name(envelope, "xml")), write_xml(&attempt.result).as_bytes())?;
            }
            Sheet::SealedFiles(_) => {}
        }
        done.attempts += 1;
        done.variables += attempt.result.variable_count() as u64;
        Ok(())
    }
}

/// What is sealed goes out as it is; what is not has no place among sealed files.
fn put_as_held(
    directory: &Path,
    envelope: &Envelope,
    form: u8,
    payload: &[u8],
    done: &mut Exported,
) -> Result<(), ExportError> {
    if form != FORM_AGE_ZSTD {
        done.unsealed += 1;
        return Ok(());
    }
    write_file(directory.join(file_name(envelope, "age")), payload)?;
    done.attempts += 1;
    done.variables += u64::from(envelope.counts.variables);
    Ok(())
}

fn write_file(path: PathBuf, bytes: &[u8]) -> Result<(), ExportError> {
    std::fs::write(&path, bytes).map_err(|source| ExportError::File { path, source })
}

impl<'a> Sheet<'a> {
    fn begin(target: Target<'a>) -> Result<Self, ExportError> {
        Ok(match target {
            Target::Jsonl(out) => Self::Jsonl(out),
            Target::Csv(out) => Self::Csv(Box::new(CsvExport::new(out)?)),
            Target::XmlFiles(directory) => Self::XmlFiles(directory),
            Target::SealedFiles(directory) => Self::SealedFiles(directory),
        })
    }

    fn end(self) -> Result<(), ExportError> {
        let out = match self {
            Self::Jsonl(out) => out,
            Self::Csv(csv) => csv.finish()?,
            Self::XmlFiles(_) | Self::SealedFiles(_) => return Ok(()),
        };
        out.flush().map_err(|source| ResultError::Write(source).into())
    }
}

/// Ids and digests only: safe as a name everywhere, and two versions in conflict do not overwrite each other.
fn file_name(envelope: &Envelope, ending: &str) -> String {
    let digest: String = envelope.digest.to_hex().chars().take(8).collect();
    format!("{}.v{}.{digest}.{ending}", envelope.item, envelope.version)
}
