//! The packages TAO made of its deliveries (`synchronisation` file system, WIRE §3, §8.1), published as every other one.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use taosync_packages::Problem;
use taosync_store::Store;
use taosync_store::tao::TaoPackage;

use super::super::{Installation, Outcome, TaoDatabaseError};
use super::Delivery;
use crate::packages::PublishRequest;
use crate::packages::publish::{self, PublishError};
use crate::session::Mode;

/// What every file reference of TAO's begins with.
const SCHEME: &str = "file://synchronisation/";
/// Below `--files`.
const FOLDER: &str = "synchronisation";

/// Publishes packages whose file is another than at the last look. One that is broken is put aside with its reason, and
/// the others go on.
pub async fn packages(
    store: &Store,
    installation: &Installation,
    deliveries: &[Delivery],
    mode: Mode,
) -> Result<Outcome, TaoDatabaseError> {
    let mut outcome = Outcome { dry_run: mode == Mode::DryRun, ..Outcome::default() };
    let known = store.tao_packages().await?;
    let (mut published, mut unchanged, mut broken) = (0, 0, 0);
    for delivery in deliveries {
        let Some(file) = locate(installation.files.as_deref(), delivery, &mut outcome) else { continue };
        let before = known.get(&delivery.uri).filter(|before| before.stamp == file.stamp);
        let problem = match before {
            Some(before) => {
                unchanged += u64::from(before.problem.is_none());
                before.problem.clone()
            }
            None if mode == Mode::DryRun => {
                published += 1;
                continue;
            }
            None => {
                let ended = publish_one(store, delivery, &file).await?;
                match ended {
                    Ended::Published => published += 1,
                    Ended::Same => unchanged += 1,
                    Ended::PutAside(_) => {}
                }
                ended.problem()
            }
        };
        if let Some(problem) = problem {
            broken += 1;
            outcome.note(
                &delivery.uri,
                format!("its package cannot be used: {problem}"),
                "correct the test in TAO, and publish it again as a new delivery",
            );
        }
    }
    let words = match mode {
        Mode::DryRun => ["package to be checked and published", "packages to be checked and published"],
        Mode::Apply => ["package published", "packages published"],
    };
    outcome.count(words, published);
    outcome.count(["package as before", "packages as before"], unchanged);
    outcome.count(["package put aside", "packages put aside"], broken);
    Ok(outcome)
}

/// The file of a package.
struct Snapshot {
    path: PathBuf,
    /// Changes whenever the file does.
    stamp: String,
}

/// Finds the file, or notes why there is none.
fn locate(files: Option<&Path>, delivery: &Delivery, outcome: &mut Outcome) -> Option<Snapshot> {
    let Some(snapshot) = &delivery.snapshot else {
        outcome.note(
            &delivery.uri,
            "TAO has made no package of it",
            "save the delivery's properties in TAO once, with taoSync installed; if its test is gone there, publish the test anew",
        );
        return None;
    };
    let Some(files) = files else {
        let advice = "run 'taosync tao connect' again with --files DIR, the directory synchronisation/ lies in";
        outcome.note(&delivery.uri, "its package is among TAO's files, which are not known here", advice);
        return None;
    };
    match open(files, snapshot) {
        Ok(found) => Some(found),
        Err(reason) => {
            let advice = "check --files and who may read there; or save the delivery's properties in TAO again";
            outcome.note(&delivery.uri, format!("its package cannot be read: {reason}"), advice);
            None
        }
    }
}

/// The file a reference names, which may lead nowhere but below the folder.
fn open(files: &Path, reference: &str) -> Result<Snapshot, String> {
    let relative = relative_path(reference).ok_or("TAO names a place outside its folder")?;
    let folder = std::fs::canonicalize(files.join(FOLDER)).map_err(|error| error.to_string())?;
    let path = folder.join(&relative);
    let whole = std::fs::canonicalize(&path).map_err(|error| format!("{}: {error}", relative.display()))?;
    if whole != path {
        return Err(format!("{} leads over a link", relative.display()));
    }
    let metadata = std::fs::metadata(&whole).map_err(|error| format!("{}: {error}", relative.display()))?;
    if !metadata.is_file() {
        return Err(format!("{} is no file", relative.display()));
    }
    let stamp = format!("{} {}.{:09} {}", metadata.len(), metadata.mtime(), metadata.mtime_nsec(), metadata.ino());
    Ok(Snapshot { path: whole, stamp })
}

/// `file://synchronisation/i1%2Fexport.zip` → `i1/export.zip`
fn relative_path(reference: &str) -> Option<PathBuf> {
    let encoded = reference.strip_prefix(SCHEME)?;
    let path = PathBuf::from(percent_decoded(encoded)?);
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain && path.components().next().is_some()).then_some(path)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, tail) = rest.split_first_chunk::<2>()?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

/// How publishing one ended.
enum Ended {
    Published,
    /// TAO wrote the file again with what it held before.
    Same,
    /// It cannot be used; in words.
    PutAside(String),
}

impl Ended {
    fn problem(&self) -> Option<String> {
        match self {
            Self::PutAside(problem) => Some(problem.clone()),
            Self::Published | Self::Same => None,
        }
    }
}

async fn publish_one(store: &Store, delivery: &Delivery, file: &Snapshot) -> Result<Ended, TaoDatabaseError> {
    let request = PublishRequest {
        file: file.path.clone(),
        label: delivery.label.clone(),
        uri: Some(delivery.uri.clone()),
        naming: String::new(),
        test: None,
    };
    let ended = match publish::publish(store, request).await {
        Ok(done) if done.changed => Ended::Published,
        Ok(_) => Ended::Same,
        Err(PublishError::Check(report)) => {
            Ended::PutAside(report.errors.first().map_or_else(|| "it has errors".to_owned(), Problem::to_string))
        }
        Err(PublishError::Package(error)) => Ended::PutAside(error.to_string()),
        Err(PublishError::Store(error)) => return Err(error.into()),
        Err(PublishError::Write(error)) => return Err(TaoDatabaseError::Write(error)),
    };
    let package = TaoPackage { stamp: file.stamp.clone(), problem: ended.problem() };
    store.tao_package_set(&delivery.uri, &package).await?;
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lead_nowhere_but_below_the_folder() {
        let path = |reference: &str| relative_path(reference).map(|path| path.display().to_string());
        assert_eq!(path("file://synchronisation/i1%2Fexport.zip").as_deref(), Some("i1/export.zip"));
        for wrong in [
            "file://synchronisation/..%2F..%2Fetc%2Fpasswd",
            "file://synchronisation/%2Fetc%2Fpasswd",
            "file://synchronisation/a%2F..%2F..%2Fb",
            "file://synchronisation/",
            "file://synchronisation/%",
            "file://synchronisation/%zz",
            "file://synchronisation/%00",
            "file://private/i1%2Fexport.zip",
            "/etc/passwd",
        ] {
            assert_eq!(path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(FOLDER);
        std::fs::create_dir_all(folder.join("i1")).unwrap();
        std::fs::write(dir.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret"), folder.join("i1/export.zip")).unwrap();
        assert!(open(dir.path(), "file://synchronisation/i1%2Fexport.zip").is_err());
        std::fs::remove_file(folder.join("i1/export.zip")).unwrap();
        std::fs::write(folder.join("i1/export.zip"), "x").unwrap();
        assert!(open(dir.path(), "file://synchronisation/i1%2Fexport.zip").is_ok());
        assert!(open(dir.path(), "file://synchronisation/i1").is_err());
    }
}
