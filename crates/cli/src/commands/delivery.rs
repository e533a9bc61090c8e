//! `taosync delivery`: tests, from a QTI package to what local servers fetch.

mod release;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use taosync_model::Entity;
use taosync_packages::{CheckReport, Limits, Problem, check};
use taosync_store::entities::Key;
use taosync_store::packages::Package;
use taosync_store::settings::Role;
use taosync_sync::packages::{PublishError, PublishRequest, publish};

use crate::commands::import::naming_base;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;
use crate::output;
use crate::progress::Bar;

/// Check, publish, export and take back tests
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  taosync --dir /srv/central delivery check maths.zip
  taosync --dir /srv/central delivery publish maths.zip --label 'Maths, grade 6'
  taosync --dir /srv/central delivery publish maths-2.zip --label 'Maths, grade 6' --uri URI   (a new version)
  taosync --dir /srv/central delivery rollback URI                                 (back to the version before)
  taosync --dir /srv/local delivery export URI maths.zip
  taosync --dir /srv/central delivery withdraw URI")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Check a QTI package, and say everything that is wrong with it
    Check {
        /// The package
        #[arg(value_name = "FILE.zip")]
        file: PathBuf,
        /// Which test, by its identifier in the manifest, where the package has several
        #[arg(long, value_name = "IDENTIFIER")]
        test: Option<String>,
    },
    /// Publish a QTI package (central)
    Publish {
        /// The package
        #[arg(value_name = "FILE.zip")]
        file: PathBuf,
        /// Name of the test, for people
        #[arg(long, value_name = "TEXT")]
        label: String,
        /// URI of the delivery; that of a published one makes its next version
        #[arg(long, value_name = "URI")]
        uri: Option<String>,
        /// Which test, by its identifier in the manifest, where the package has several
        #[arg(long, value_name = "IDENTIFIER")]
        test: Option<String>,
        #[command(flatten)]
        release: release::Choice,
    },
    /// Open a test before its release with the code of this machine (local), or show the codes (central)
    Unlock(release::Unlock),
    /// List tests: published (central), fetched (local)
    List,
    /// Show one test with all its versions
    Show {
        /// URI of the delivery
        uri: String,
    },
    /// Write the zip of a test, byte for byte as it was published
    Export {
        /// URI of the delivery
        uri: String,
        /// Where to
        #[arg(value_name = "FILE.zip")]
        file: PathBuf,
        /// An older version, or one that was taken back
        #[arg(long, value_name = "NUMBER")]
        version: Option<u32>,
    },
    /// Go back to the version published before (central)
    Rollback {
        /// URI of the delivery
        uri: String,
    },
    /// Take a published test back (central)
    Withdraw {
        /// URI of the delivery
        uri: String,
    },
}

impl Options {
    /// Runs the command.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.act {
            Act::Check { file, test } => return check_file(context, file, test).await,
            Act::Publish { file, label, uri, test, release } => {
                publish_file(context, file, label, (uri, test), &release).await?;
            }
            Act::Unlock(unlock) => unlock.run(context).await?,
            Act::List => list(context).await?,
            Act::Show { uri } => show(context, &uri).await?,
            Act::Export { uri, file, version } => versions::export(context, &uri, &file, version).await?,
            Act::Rollback { uri } => versions::rollback(context, &uri).await?,
            Act::Withdraw { uri } => withdraw(context, &uri).await?,
        }
        Ok(Exit::Done)
    }
}

async fn check_file(context: &Context, file: PathBuf, test: Option<String>) -> Result<Exit, Failure> {
    readable(&file)?;
    let bar = Bar::phase(context.output, &format!("checking {}", file.display()));
    let (report, summary) = tokio::task::spawn_blocking(move || {
        let (report, package) = check(&file, &Limits::default(), test.as_deref());
        let summary =
            package.map(|p| json!({"compiled_digest": p.compiled.digest, "files": p.archive.entries().count()}));
        (report, summary)
    })
    .await?;
    bar.end();
    let ok = report.is_ok();
    let document = json!({"ok": ok, "errors": report.errors, "warnings": report.warnings, "package": summary});
    context.output.answer(&document, || {
        let end = if ok { "The package can be published." } else { "The package cannot be published." };
        format!("{report}{}, {}. {end}", report.errors_counted(), report.warnings_counted())
    })?;
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

/// A path that cannot be opened is told as such, not as a damaged package.
fn readable(file: &std::path::Path) -> Result<(), Failure> {
    std::fs::File::open(file).map(drop).map_err(|source| Failure::file("read", file, source))
}

async fn publish_file(
    context: &Context,
    file: PathBuf,
    label: String,
    (uri, test): (Option<String>, Option<String>),
    release: &release::Choice,
) -> Result<(), Failure> {
    readable(&file)?;
    let node = Node::open_to_change(context).await?;
    let _lock = crate::locks::change_lock(node.place.dir()).await?;
    let bar = Bar::phase(context.output, &format!("checking and publishing {}", file.display()));
    let request = PublishRequest { file, label: label.clone(), uri, naming: naming_base(&node), test };
    let published = publish::publish_to_open(&node.store, request, release.opens()).await.map_err(publish_failed)?;
    bar.end();
    let reference = &published.reference;
    let opens = release::of(&node, &published.uri, reference.version).await?;
    if published.changed {
        let detail = json!({"version": reference.version, "tree": reference.tree_digest});
        node.audit("delivery.publish", &published.uri, detail).await?;
    }
    if release.is_said() {
        let detail = json!({"version": reference.version, "release_at": opens.map(|opens| opens.at)});
        node.audit("delivery.release", &published.uri, detail).await?;
    }
    let document = json!({
        "uri": published.uri, "label": label, "version": reference.version, "changed": published.changed,
        "files": reference.files, "bytes": reference.bytes, "tree_digest": reference.tree_digest,
        "compiled_digest": reference.compiled_digest, "new_chunks": published.new_chunks,
        "warnings": published.report.warnings,
        "release_at": opens.map(|opens| opens.at), "codes": opens.map(|opens| release::has_codes(&opens)),
        "release_warning": opens.and_then(|opens| release::warning(&opens, node.clock.now())),
    });
    context.output.answer(&document, || {
        let done = if published.changed { "Published" } else { "Published before, nothing changed" };
        format!(
            "{}{done}: {}\n  version {}, {} files, {}\n{}",
            published.report,
            published.uri,
            reference.version,
            reference.files,
            output::bytes(reference.bytes),
            opens.map(|opens| release::to_text(&opens, node.clock.now())).unwrap_or_default()
        )
    })
}

fn publish_failed(error: PublishError) -> Failure {
    match error {
        PublishError::Check(report) => package_errors(&report),
        PublishError::Store(error) => error.into(),
        PublishError::Package(error) => Failure::new(
            "TS-404",
            error.to_string(),
            "nothing was published; check the package with 'taosync delivery check'",
        ),
        PublishError::Write(source) => {
            Failure::file("write the package into", std::path::Path::new("this node's directory"), source)
        }
    }
}

fn package_errors(report: &CheckReport) -> Failure {
    let message = format!("the package has {} and was not published", report.errors_counted());
    let mut failure = Failure::new("TS-404", message, "correct what is named above, then publish the package again");
    failure.lines = report.errors.iter().chain(&report.warnings).map(ToString::to_string).collect();
    let as_json = |problem: &Problem| serde_json::to_value(problem).unwrap_or(Value::Null);
    failure.errors = report.errors.iter().map(as_json).collect();
    failure.warnings = report.warnings.iter().map(as_json).collect();
    failure
}

async fn list(context: &Context) -> Result<(), Failure> {
    let node = Node::open(context).await?;
    let packages = node.store.packages_list().await?;
    let labels = labels(&node, &packages).await?;
    let label = |package: &Package| labels.get(&package.delivery).cloned().unwrap_or_default();
    let rows: Vec<_> = packages.iter().map(|package| (package, label(package))).collect();
    let document: Vec<_> = rows.iter().map(|(package, label)| to_json(package, label)).collect();
    context.output.answer(&json!({"deliveries": document}), || {
        let rows = rows.iter().map(|(package, label)| {
            let size = output::bytes(package.reference.bytes);
            let version = package.version.to_string();
            vec![label.clone(), version, package.state.as_str().to_owned(), size, package.delivery.clone()]
        });
        output::table(&["label", "version", "state", "size", "uri"], rows)
    })
}

async fn show(context: &Context, uri: &str) -> Result<(), Failure> {
    let node = Node::open(context).await?;
    let mut packages = node.store.packages_list().await?;
    packages.retain(|package| package.delivery == uri);
    if packages.is_empty() {
        let advice = "see 'taosync delivery list' for those there are";
        return Err(Failure::new("TS-107", format!("there is no test {uri} here"), advice));
    }
    let label = label(&node, uri).await?;
    let versions: Vec<_> = packages.iter().map(|package| to_json(package, &label)).collect();
    context.output.answer(&json!({"uri": uri, "label": label, "versions": versions}), || {
        let rows = packages.iter().map(|p| {
            let reason = p.reason.clone().unwrap_or_default();
            let key = if p.unlocked { "here" } else { "locked" };
            let size = output::bytes(p.reference.bytes);
            let files = p.reference.files.to_string();
            vec![p.version.to_string(), p.state.as_str().into(), key.into(), files, size, output::time(p.at), reason]
        });
        format!(
            "{label}\n{uri}\n{}",
            output::table(&["version", "state", "key", "files", "size", "since", "why"], rows)
        )
    })
}

fn to_json(package: &Package, label: &str) -> Value {
    json!({
        "uri": package.delivery, "label": label, "version": package.version, "state": package.state.as_str(),
        "unlocked": package.unlocked, "at": package.at, "reason": package.reason, "package": package.reference,
    })
}

/// Labels of the deliveries that are there, by URI.
async fn labels(node: &Node, packages: &[Package]) -> Result<BTreeMap<String, String>, Failure> {
    let entities: Vec<Entity> = match node.identity.role {
        Role::Central => {
            let keys: BTreeSet<&str> = packages.iter().map(|package| &*package.delivery).collect();
            let keys: Vec<Key> = keys.into_iter().map(|uri| Key::Uri(uri.to_owned())).collect();
            let found = node.store.entities_find(&keys).await?;
            found.into_values().flatten().map(|stored| stored.entity).collect()
        }
        Role::Local => node.store.replica_deliveries().await?.into_values().collect(),
    };
    Ok(entities.into_iter().map(|entity| (entity.uri.clone(), entity.label().to_owned())).collect())
}

async fn label(node: &Node, uri: &str) -> Result<String, Failure> {
    let entity = match node.identity.role {
        Role::Central => node.store.entity_get(uri).await?.map(|stored| stored.entity),
        Role::Local => node.store.replica_get(uri).await?.into_iter().next().map(|(_, _, entity)| entity),
    };
    Ok(entity.map(|entity| entity.label().to_owned()).unwrap_or_default())
}

async fn withdraw(context: &Context, uri: &str) -> Result<(), Failure> {
    let node = Node::open_to_change(context).await?;
    let _lock = crate::locks::change_lock(node.place.dir()).await?;
    let applied = publish::withdraw(&node.store, uri).await?;
    node.audit("delivery.withdraw", uri, json!({})).await?;
    let orgs: Vec<_> = applied.orgs.iter().filter(|effect| effect.left > 0).map(|effect| effect.org.clone()).collect();
    let document = json!({"withdrawn": uri, "orgs": orgs});
    context.output.answer(&document, || {
        format!("Withdrawn: {uri}\nLocal servers of {} organisations remove it at their next sync.", orgs.len())
    })
}
