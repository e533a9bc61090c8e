//! `taosync results export`: JSON lines, CSV, or a QTI file an attempt.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use taosync_store::settings::Role;
use taosync_sync::up::export::{Editions, ExportError, Exported, Reading, Source, Target, export};
use taosync_sync::up::pseudonyms::Names;

use super::Filter;
use super::identity::Given;
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;
use crate::output;

/// Write results to files
#[derive(Debug, Args)]
pub struct Options {
    /// jsonl: one document a line; csv: one line a variable; qti: one XML file a result; sealed: one age file a result
    #[arg(long, value_enum)]
    format: Format,
    /// Where to: a file (jsonl, csv) or a directory (qti, sealed); without it, standard output (jsonl, csv)
    #[arg(long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
    /// All versions that are held, not only the newest (central)
    #[arg(long)]
    all_versions: bool,
    /// Test takers under keyed pseudonyms, the same in every export of this server; without log and session
    #[arg(long)]
    pseudonymous: bool,
    #[command(flatten)]
    identity: Given,
    #[command(flatten)]
    filter: Filter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
    Qti,
    Sealed,
}

impl Format {
    const fn is_dir(self) -> bool {
        matches!(self, Self::Qti | Self::Sealed)
    }
}

impl Options {
    /// Exports.
    pub async fn run(self, context: &Context, node: &Node) -> Result<(), Failure> {
        if self.out.is_none() && (self.format.is_dir() || context.output.is_json()) {
            let message = "it is not said where the results shall go";
            return Err(Failure::wrong_text(message, "add --out FILE, or --out DIR for qti and sealed"));
        }
        if self.pseudonymous && self.format == Format::Sealed {
            let message = "sealed results cannot be given pseudonyms: they leave as they are";
            return Err(Failure::wrong_text(message, "choose jsonl, csv or qti, and --identity"));
        }
        let source = self.source(node).await?;
        // Before anything is read: whoever breaks an export off has seen a part of it.
        let format = self.format.to_possible_value().map(|value| value.get_name().to_owned());
        let detail = json!({"format": format, "all_versions": self.all_versions, "pseudonymous": self.pseudonymous});
        node.audit("results.export", "results", detail).await?;
        let done = match &self.out {
            Some(dir) if self.format.is_dir() => self.write_dir(node, source, dir).await?,
            Some(file) => self.write_file(node, source, file).await?,
            None => self.write_stdout(node, source).await?,
        };
        match &self.out {
            Some(out) => self.answer(context, &done, out),
            None => {
                output::note(context.output, &sentence(&done));
                Ok(())
            }
        }
    }

    async fn source(&self, node: &Node) -> Result<Source, Failure> {
        let filter = self.filter.clone().resolved(node).await?;
        let editions = if self.all_versions { Editions::All } else { Editions::Newest };
        Ok(match node.identity.role {
            Role::Central => Source::Received(filter.received(None), editions),
            Role::Local => Source::Outbox(filter.outbox(None)),
        })
    }

    /// Writes beside the file and renames at the end: a half export is never taken for a whole one.
    async fn write_file(&self, node: &Node, source: Source, path: &Path) -> Result<Exported, Failure> {
        let failed = |source| Failure::file("write", path, source);
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let fresh = tempfile::NamedTempFile::new_in(parent).map_err(failed)?;
        let mut out = BufWriter::new(fresh.as_file().try_clone().map_err(failed)?);
        let done = self.write(node, source, &mut out).await?;
        out.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
        fresh.persist(path).map_err(|error| failed(error.error))?;
        Ok(done)
    }

    async fn write_stdout(&self, node: &Node, source: Source) -> Result<Exported, Failure> {
        // Standard output as a file of its own: its lock cannot be held while the database is waited for.
        let stdout =
            std::os::fd::AsFd::as_fd(&std::io::stdout()).try_clone_to_owned().map_err(output::stdout_failed)?;
        let mut out = BufWriter::new(File::from(stdout));
        let done = self.write(node, source, &mut out).await?;
        out.flush().map_err(output::stdout_failed)?;
        Ok(done)
    }

    async fn write(&self, node: &Node, source: Source, out: &mut (dyn Write + Send)) -> Result<Exported, Failure> {
        let target = match self.format {
            Format::Csv => Target::Csv(out),
            Format::Jsonl | Format::Qti | Format::Sealed => Target::Jsonl(out),
        };
        self.export(node, source, target).await
    }

    async fn export(&self, node: &Node, source: Source, target: Target<'_>) -> Result<Exported, Failure> {
        let identities = self.identity.with_those_of(node)?;
        let names = if self.pseudonymous { Names::Pseudonyms(node.keyring.index()) } else { Names::Uris };
        export(&node.store, source, target, Reading { identities: &identities, names }).await.map_err(failed)
    }

    async fn write_dir(&self, node: &Node, source: Source, dir: &Path) -> Result<Exported, Failure> {
        std::fs::create_dir_all(dir).map_err(|source| Failure::file("create", dir, source))?;
        let target = if self.format == Format::Sealed { Target::SealedFiles(dir) } else { Target::XmlFiles(dir) };
        self.export(node, source, target).await
    }

    fn answer(&self, context: &Context, done: &Exported, out: &Path) -> Result<(), Failure> {
        let format = self.format.to_possible_value().map(|value| value.get_name().to_owned());
        let document = json!({
            "out": out, "format": format, "attempts": done.attempts, "variables": done.variables,
            "sealed": done.sealed, "gone": done.gone, "unsealed": done.unsealed,
        });
        context.output.answer(&document, || format!("{} → {}", sentence(done), out.display()))
    }
}

fn sentence(done: &Exported) -> String {
    let mut text = format!("{} results with {} variables", done.attempts, done.variables);
    if done.sealed > 0 {
        output::add(&mut text, format_args!("; {} sealed ones left out", done.sealed));
    }
    if done.unsealed > 0 {
        output::add(&mut text, format_args!("; {} left out, as they are not sealed", done.unsealed));
    }
    if done.gone > 0 {
        output::add(&mut text, format_args!("; {} are not readable here any more", done.gone));
    }
    text
}

pub(super) fn failed(error: ExportError) -> Failure {
    match error {
        ExportError::Store(error) => error.into(),
        ExportError::Results(error) => Failure::new("TS-406", error.to_string(), "").because_of(&error),
        ExportError::File { path, source } => Failure::file("write", &path, source),
    }
}
