//! What happens, step by step. Every step is what a person would do with the command line.

use std::path::PathBuf;
use std::time::Instant;

use taosync_model::EntityType;
use taosync_packages::demo_package;
use taosync_roster::RosterKind;
use taosync_store::entities::{Change, Key};
use taosync_sync::packages::publish::{PublishRequest, publish};
use taosync_sync::session::{Summary, What};

use super::data::{DELIVERIES, Data, ORGS, OTHER_ORG, OUR_ORG, Taker, renamed_csv};
use super::figures::{Figures, NodeFigures, RemovedFigures, Traffic};
use super::stage::{Running, Stage};
use super::{play, proof, went_wrong};
use crate::changes::{self, ChangeOptions};
use crate::commands::{import, scope, sync};
use crate::failure::Failure;

/// Pupils who sit the exam, at most; the first of the org's takers, of which this is one in five.
const MOST_PUPILS: usize = 40;
const PUPILS: usize = 5;

/// A file that is brought in, and what its name says it holds.
type Import = (RosterKind, &'static str, String);

/// Plays the whole story.
pub async fn tell(stage: &Stage, takers: usize) -> Result<Figures, Failure> {
    let since = Instant::now();
    let data = Data::with_takers(takers);
    let mut figures = Figures { takers, ..Figures::default() };
    for (name, running) in [("central", &stage.central), ("local", &stage.local)] {
        let dir = running.node.place.dir().to_owned();
        figures.nodes.insert(name, NodeFigures { dir, url: running.url.clone() });
    }
    take_in(stage, &data, &mut figures).await?;
    stage.introduce().await?;
    synchronise(stage, What::All, "first", &mut figures).await?;
    let ours = data.takers_of(OUR_ORG);
    let pupils = &ours[..(ours.len() / PUPILS).clamp(1, MOST_PUPILS)];
    let attempts = sit(stage, pupils, &mut figures).await?;
    synchronise(stage, What::Results, "hand_in", &mut figures).await?;
    let nothing_new = synchronise(stage, What::All, "nothing_new", &mut figures).await?;
    figures.second_sync = Traffic::from(&nothing_new);
    check_nothing_new(&nothing_new, &mut figures);
    let others = &ours[pupils.len()..];
    rename_some(stage, &others[..ours.len().div_ceil(100)], &mut figures).await?;
    let leaving = others.last().ok_or_else(|| went_wrong("there are too few test takers"))?;
    take_away(stage, leaving, &mut figures).await?;
    prove(stage, &data, &attempts, &mut figures).await?;
    figures.seconds = since.elapsed().as_secs_f64();
    Ok(figures)
}

/// People and centers, then the tests, then who may sit what.
async fn take_in(stage: &Stage, data: &Data, figures: &mut Figures) -> Result<(), Failure> {
    figures.data.orgs = ORGS.len();
    let people: [Import; 4] = [
        (RosterKind::TestCenters, "test-centers.csv", Data::centers_csv()),
        (RosterKind::Administrators, "administrators.csv", Data::administrators_csv()),
        (RosterKind::Proctors, "proctors.csv", Data::proctors_csv()),
        (RosterKind::TestTakers, "test-takers.csv", data.takers_csv()),
    ];
    for file in people {
        bring_in(stage, file, figures).await?;
    }
    publish_tests(stage, figures).await?;
    bring_in(stage, (RosterKind::Eligibilities, "eligibilities.csv", data.eligibilities_csv()), figures).await?;
    for org in ORGS {
        scope::register_one(&stage.central.node.store, &proof::org(org)?).await?;
    }
    Ok(())
}

async fn bring_in(stage: &Stage, file: Import, figures: &mut Figures) -> Result<(), Failure> {
    let since = Instant::now();
    let (kind, name, text) = file;
    let path = write(stage, name, text.as_bytes())?;
    let Running { context, node, .. } = &stage.central;
    let report = import::bring_in(context, node, kind, path, ChangeOptions::default()).await?;
    for (entity_type, tally) in report.types {
        *figures.data.created.entry(entity_type).or_default() += tally.created;
    }
    figures.data.seconds += since.elapsed().as_secs_f64();
    Ok(())
}

/// The same package twice: a delivery for each date.
async fn publish_tests(stage: &Stage, figures: &mut Figures) -> Result<(), Failure> {
    let since = Instant::now();
    let file = write(stage, "maths-grade-6.zip", &demo_package())?;
    let node = &stage.central.node;
    for label in DELIVERIES {
        let request = PublishRequest {
            file: file.clone(),
            label: label.to_owned(),
            uri: None,
            naming: import::naming_base(node),
            test: None,
        };
        let published = publish(&node.store, request).await;
        let published = published.map_err(|error| went_wrong(format!("'{label}' was not published")).because(error))?;
        let package = &mut figures.package;
        package.deliveries.push(label.to_owned());
        package.new_chunks.push(published.new_chunks);
        (package.files, package.bytes) = (published.reference.files, published.reference.bytes);
        *figures.data.created.entry(EntityType::Delivery).or_default() += 1;
    }
    figures.package.seconds = since.elapsed().as_secs_f64();
    Ok(())
}

/// Files stay beside the servers, so that who keeps the directory can look at them.
fn write(stage: &Stage, name: &str, content: &[u8]) -> Result<PathBuf, Failure> {
    let path = stage.dir().join(name);
    std::fs::write(&path, content).map_err(|source| Failure::file("write", &path, source))?;
    Ok(path)
}

async fn synchronise(stage: &Stage, what: What, name: &'static str, figures: &mut Figures) -> Result<Summary, Failure> {
    let Running { context, node, .. } = &stage.local;
    let summary = sync::synchronise(context, node, &sync::usual_plan(node, what)).await?;
    let equal = summary.digest_equal || what == What::Results;
    if summary.status != "success" || !equal {
        let reason = summary.reason.as_deref().unwrap_or("no reason is known");
        figures.problems.push(format!("the sync '{name}' ended as {}: {reason}", summary.status));
    }
    figures.syncs.insert(name, summary.clone());
    Ok(summary)
}

async fn sit(stage: &Stage, pupils: &[&Taker], figures: &mut Figures) -> Result<Vec<uuid::Uuid>, Failure> {
    let (exam, attempts) = play::exam(&stage.entrance()?, pupils, &stage.local.node.clock).await?;
    figures.exam = exam;
    Ok(attempts)
}

fn check_nothing_new(summary: &Summary, figures: &mut Figures) {
    let changed: u64 = summary.types.values().map(|counts| counts.created + counts.updated + counts.removed).sum();
    if changed + summary.results.sent + summary.deliveries.fetched > 0 {
        figures.problems.push("the sync with nothing to do did something".to_owned());
    }
}

/// Some takers have another family name: the office imports them again.
async fn rename_some(stage: &Stage, takers: &[&Taker], figures: &mut Figures) -> Result<(), Failure> {
    let path = write(stage, "renamed-takers.csv", renamed_csv(takers).as_bytes())?;
    let Running { context, node, .. } = &stage.central;
    let report = import::bring_in(context, node, RosterKind::TestTakers, path, ChangeOptions::default()).await?;
    let summary = synchronise(stage, What::All, "changed", figures).await?;
    let arrived = summary.types.get(&EntityType::TestTaker).map_or(0, |counts| counts.updated);
    if (report.updated, arrived) != (takers.len() as u64, takers.len() as u64) {
        let counts = format!("{} at central, {arrived} at the school", report.updated);
        figures.problems.push(format!("{} takers have another name, but {counts}", takers.len()));
    }
    figures.changed_takers = takers.len();
    Ok(())
}

/// A taker leaves: the school forgets them because central says so.
async fn take_away(stage: &Stage, taker: &Taker, figures: &mut Figures) -> Result<(), Failure> {
    let Running { context, node, .. } = &stage.central;
    let entrance = stage.entrance()?;
    let could_sign_in = play::can_sign_in(&entrance, taker).await?;
    let key = Key::Login(taker.login.clone());
    let found = node.store.entities_find(std::slice::from_ref(&key)).await?;
    let uris: Vec<_> = found.into_values().flatten().map(|stored| stored.entity.uri).collect();
    let [uri] = uris.as_slice() else {
        return Err(went_wrong(format!("central knows {} people {}", uris.len(), taker.login)));
    };
    let change = vec![Change::Remove(uri.clone())];
    changes::apply(context, node, change, ChangeOptions::default(), "entity.remove", uri).await?;
    let summary = synchronise(stage, What::All, "removed", figures).await?;
    let can_sign_in = play::can_sign_in(&entrance, taker).await?;
    let removed = summary.types.get(&EntityType::TestTaker).map_or(0, |counts| counts.removed);
    if removed != 1 || !could_sign_in || can_sign_in {
        let facts = format!("{removed} removed, sign-in before: {could_sign_in}, after: {can_sign_in}");
        figures.problems.push(format!("a taker was taken away, but at the school: {facts}"));
    }
    figures.removed = RemovedFigures { login: taker.login.clone(), could_sign_in, can_sign_in };
    Ok(())
}

async fn prove(stage: &Stage, data: &Data, attempts: &[uuid::Uuid], figures: &mut Figures) -> Result<(), Failure> {
    figures.results = proof::results(stage, attempts).await?;
    let results = &figures.results;
    if results.acknowledged != results.finished || results.at_central != results.finished {
        let counts = format!("{} confirmed, {} at central", results.acknowledged, results.at_central);
        figures.problems.push(format!("{} attempts were finished, but {counts}", results.finished));
    }
    figures.other_org = proof::other_org(stage, data).await?;
    let expected = data.takers_of(OTHER_ORG).len() as u64;
    if (figures.other_org.at_central, figures.other_org.at_local) != (expected, 0) {
        let counts = format!(
            "{} of {expected} at central, {} at the school",
            figures.other_org.at_central, figures.other_org.at_local
        );
        figures.problems.push(format!("takers of {OTHER_ORG}: {counts}"));
    }
    let mut unequal = Vec::new();
    figures.types = proof::both_sides(stage, &mut unequal).await?;
    proof::recompute(stage, &mut unequal).await?;
    let synced = ["first", "nothing_new", "changed", "removed"];
    let said = synced.iter().all(|name| figures.syncs.get(name).is_some_and(|summary| summary.digest_equal));
    figures.digest_equal = said && unequal.is_empty();
    figures.problems.extend(unequal);
    Ok(())
}
