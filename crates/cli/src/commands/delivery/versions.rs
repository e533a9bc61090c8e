//! `taosync delivery export` and `taosync delivery rollback`: what was published before, as a zip and as what counts.

use std::io::BufWriter;
use std::path::Path;

use serde_json::json;
use taosync_packages::PackageError;
use taosync_store::packages::Package;
use taosync_store::settings::Role;
use taosync_sync::packages::contents::ContentsError;
use taosync_sync::packages::export::{Exported, export as export_zip};
use taosync_sync::packages::rollback::rollback as go_back;

use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;
use crate::output;
use crate::progress::Bar;

/// Writes the zip of a test.
pub(super) async fn export(context: &Context, uri: &str, file: &Path, version: Option<u32>) -> Result<(), Failure> {
    let node = Node::open(context).await?;
    let package = match version {
        Some(version) => node.store.package_get(uri, version).await?,
        None => current(&node, uri).await?,
    };
    let package = package.ok_or_else(|| {
        let what = version.map_or_else(|| "no test".to_owned(), |version| format!("no version {version} of"));
        Failure::new("TS-107", format!("there is {what} {uri} here"), "see 'taosync delivery list' for those there are")
    })?;
    let bar = Bar::phase(context.output, &format!("writing {}", file.display()));
    let exported = write_file(&node, &package, file).await?;
    bar.end();
    let document = json!({
        "uri": uri, "version": package.version, "out": file, "bytes": exported.bytes, "digest": exported.digest,
    });
    context.output.answer(&document, || {
        format!("Version {} of {uri} → {} ({})", package.version, file.display(), output::bytes(exported.bytes))
    })
}

/// The version that counts: at local the one a new attempt would get, as long as the delivery is there.
async fn current(node: &Node, uri: &str) -> Result<Option<Package>, Failure> {
    let seen = match node.identity.role {
        Role::Central => Vec::new(),
        Role::Local => node.store.replica_get(uri).await?,
    };
    match seen.into_iter().find(|(_, _, entity)| entity.package.is_some()) {
        Some((_, _, delivery)) => Ok(node.store.package_to_start(&delivery).await?),
        None => Ok(node.store.package_current(uri).await?),
    }
}

/// Writes beside the file and renames at the end: a half zip is never taken for a whole one.
async fn write_file(node: &Node, package: &Package, path: &Path) -> Result<Exported, Failure> {
    let failed = |source| Failure::file("write", path, source);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fresh = tempfile::NamedTempFile::new_in(parent).map_err(failed)?;
    let out = BufWriter::new(fresh.as_file().try_clone().map_err(failed)?);
    let exported = export_zip(&node.store, package, out).await.map_err(|error| export_failed(error, path))?;
    fresh.as_file().sync_all().map_err(failed)?;
    fresh.persist(path).map_err(|error| failed(error.error))?;
    Ok(exported)
}

fn export_failed(error: ContentsError, path: &Path) -> Failure {
    match error {
        ContentsError::Store(error) => error.into(),
        ContentsError::Package(PackageError::Zip { source, .. }) => Failure::file("write", path, source),
        ContentsError::Package(error) => {
            let advice = "run 'taosync verify': it names damaged parts; then synchronise (local) or publish the package again (central)";
            Failure::new("TS-411", error.to_string(), advice)
        }
        ContentsError::NotHere(_) => Failure::new(
            "TS-411",
            error.to_string(),
            "synchronise first; a locked test can be exported once its key is here",
        ),
    }
}

/// Goes back to the version published before.
pub(super) async fn rollback(context: &Context, uri: &str) -> Result<(), Failure> {
    let node = Node::open_to_change(context).await?;
    let _lock = crate::locks::change_lock(node.place.dir()).await?;
    let done = go_back(&node.store, uri).await?;
    node.audit("delivery.rollback", uri, json!({"from": done.from, "to": done.to})).await?;
    let orgs: Vec<_> = done.applied.orgs.iter().map(|effect| effect.org.clone()).collect();
    let document = json!({"uri": uri, "from": done.from, "version": done.to, "orgs": orgs});
    context.output.answer(&document, || {
        format!(
            "Version {} was taken back, version {} counts again: {uri}\nLocal servers of {} organisations switch at their \
             next sync; who is in the middle of an attempt ends it on the version it began with.",
            done.from,
            done.to,
            orgs.len()
        )
    })
}
