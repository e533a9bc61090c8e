//! `taosync import`: people, centers and eligibilities from CSV.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::json;
use taosync_model::{Clock, EntityType, vocabulary};
use taosync_roster::{
    Claims, Found, FoundEntity, Lookup, LookupBy, MAX_FILE, Naming, PartPlace, Plan, Roster, RosterFile, RosterKind,
    RosterProblem,
};
use taosync_store::Store;
use taosync_store::entities::{Applied, Change, Key, Stored};

use crate::changes::{self, ChangeOptions, Ended, Report, Said, UnderWay};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::locks;
use crate::node::Node;
use crate::progress::Bar;

/// Bring people, centers and eligibilities in from CSV (central)
#[derive(Debug, Args)]
#[command(after_help = "The files are those of TAO's importers: a header line, then one row each;
comma, semicolon or tab; UTF-8; lists separated by '|'; references by login,
label, organisation id or URI. A wrong line changes nothing at all, and the
same file twice changes nothing. Columns (those after the semicolon may miss):

  test-centers   label, organisation id;
                 administrators, proctors, sub centers, uri
  test-takers    label, interface language, login, password;
                 default language, first name, last name, mail, uri
  administrators, proctors
                 as test-takers; test centers
  sync-managers  as test-takers, and organisation id
  eligibilities  test center, delivery, test takers; is proctored, label, uri

Examples:
  taosync --dir /srv/central import test-centers centers.csv
  taosync --dir /srv/central import test-takers takers.csv --dry-run")]
pub struct Options {
    /// What the file holds
    #[arg(value_enum)]
    kind: Kind,
    /// The CSV file; '-' for standard input
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
    #[command(flatten)]
    change: ChangeOptions,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    TestCenters,
    Administrators,
    Proctors,
    TestTakers,
    SyncManagers,
    Eligibilities,
}

impl Kind {
    const fn of_roster(self) -> RosterKind {
        match self {
            Self::TestCenters => RosterKind::TestCenters,
            Self::Administrators => RosterKind::Administrators,
            Self::Proctors => RosterKind::Proctors,
            Self::TestTakers => RosterKind::TestTakers,
            Self::SyncManagers => RosterKind::SyncManagers,
            Self::Eligibilities => RosterKind::Eligibilities,
        }
    }
}

impl Options {
    /// Imports the file.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let node = Node::open_to_change(context).await?;
        let kind = self.kind.of_roster();
        let file = self.file.display().to_string();
        let report = bring_in(context, &node, kind, self.file, self.change).await?;
        context.output.answer(&report, || format!("{kind} from {file}: {}", report.to_text()))?;
        Ok(Exit::Done)
    }
}

/// Brings one file in, all of it or nothing. Rows are looked up, planned and written some thousand at a time in one
/// transaction, so that memory does not grow with the file; while one part is written, the next is planned.
pub async fn bring_in(
    context: &Context,
    node: &Node,
    kind: RosterKind,
    file: PathBuf,
    mut change: ChangeOptions,
) -> Result<Report, Failure> {
    let bar = Bar::phase(context.output, &format!("reading {}", file.display()));
    let roster = Arc::new(read_roster(kind, file).await?);
    let _lock = locks::change_lock(node.place.dir()).await?;
    loop {
        bar.begin(&format!("writing {} rows of {kind}", roster.row_count()));
        let mut under_way = UnderWay::begin(node).await?;
        let counts = write_parts(node, &roster, &mut under_way).await?;
        // A bar cannot be drawn while a question is asked.
        bar.end();
        let said = Said { act: "import", object: kind.as_str(), pulled: None };
        match under_way.end(change, None, &said).await? {
            Ended::Done(applied) => return Ok(counts.report(&applied, change)),
            Ended::NeedsWord(large) => change = changes::word(context, change, &large).await?,
        }
    }
}

/// Rows by what they do.
#[derive(Default)]
struct Counts {
    created: u64,
    updated: u64,
    unchanged: u64,
    related: u64,
}

impl Counts {
    fn add(&mut self, plan: &Plan) {
        self.created += plan.created as u64;
        self.updated += plan.updated as u64;
        self.unchanged += plan.unchanged as u64;
        self.related += plan.related as u64;
    }

    fn report(self, applied: &Applied, change: ChangeOptions) -> Report {
        let Self { created, updated, unchanged, related } = self;
        Report { created, updated, unchanged, related, ..Report::of(applied, change) }
    }
}

/// Plans part after part, and writes each while the next is planned. After the first problem nothing more is written, but
/// all that is wrong is looked for.
async fn write_parts(node: &Node, roster: &Arc<RosterFile>, under_way: &mut UnderWay<'_>) -> Result<Counts, Failure> {
    let (mut counts, mut problems) = (Counts::default(), Vec::new());
    let mut parts = Parts { roster: roster.clone(), place: None, claims: Claims::default() };
    let mut ready = parts.next(node).await?;
    while let Some(planned) = ready.take() {
        let changes = match planned {
            Ok(plan) => {
                counts.add(&plan);
                plan.upserts.into_iter().map(|(entity_type, entity)| Change::Upsert(entity_type, entity)).collect()
            }
            Err(more) => {
                problems.extend(more);
                Vec::new()
            }
        };
        if problems.len() >= taosync_roster::MAX_PROBLEMS {
            break;
        }
        let write = async { if problems.is_empty() { under_way.add(changes).await } else { Ok(()) } };
        let (written, next) = futures_util::future::join(write, parts.next(node)).await;
        written?;
        ready = next?;
    }
    problems.truncate(taosync_roster::MAX_PROBLEMS);
    if problems.is_empty() { Ok(counts) } else { Err(wrong_lines(problems)) }
}

/// The parts of a file, on their way to being planned.
struct Parts {
    roster: Arc<RosterFile>,
    place: Option<PartPlace>,
    claims: Claims,
}

impl Parts {
    /// The plan of the next part, or what is wrong with it; none at the end.
    async fn next(&mut self, node: &Node) -> Result<Option<Result<Plan, Vec<RosterProblem>>>, Failure> {
        let (roster, place) = (self.roster.clone(), self.place);
        let Some((part, place)) = tokio::task::spawn_blocking(move || roster.part(place)).await? else {
            return Ok(None);
        };
        self.place = Some(place);
        let found = answers(&node.store, &part).await?;
        let claims = std::mem::take(&mut self.claims);
        let (planned, claims) = plan(part, found, claims, node).await?;
        self.claims = claims;
        Ok(Some(planned))
    }
}

async fn read_roster(kind: RosterKind, path: PathBuf) -> Result<RosterFile, Failure> {
    tokio::task::spawn_blocking(move || {
        let bytes = read_bounded(&path)?;
        RosterFile::check(kind, &path.display().to_string(), bytes).map_err(wrong_lines)
    })
    .await?
}

/// Reads a file, or standard input for `-`, up to one byte more than may be: the parser then says that it is too large.
pub fn read_bounded(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = MAX_FILE as u64 + 1;
    let read = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|source| Failure::file("read", path, source))?;
    Ok(bytes)
}

/// The problems of a file as one error.
pub fn wrong_lines(problems: Vec<RosterProblem>) -> Failure {
    let file = problems.first().map(|problem| problem.file.clone()).unwrap_or_default();
    let number = problems.len();
    let more = if number >= taosync_roster::MAX_PROBLEMS { " or more" } else { "" };
    let noun = if number == 1 { "problem" } else { "problems" };
    let message = format!("{file} has {number}{more} {noun}: nothing was changed");
    let mut failure = Failure::new("TS-401", message, "correct the lines named above, then import the file again");
    failure.lines = problems.iter().map(ToString::to_string).collect();
    failure.errors = problems
        .iter()
        .map(|p| json!({"file": p.file, "line": p.line, "column": p.column, "message": p.message, "advice": p.advice}))
        .collect();
    failure
}

/// Asks the store everything the roster has to know.
async fn answers(store: &Store, roster: &Roster) -> Result<Found, Failure> {
    let mut found = Found::default();
    loop {
        let open = roster.lookups(&found);
        if open.is_empty() {
            return Ok(found);
        }
        answer(store, open, &mut found).await?;
    }
}

async fn answer(store: &Store, open: Vec<Lookup>, found: &mut Found) -> Result<(), Failure> {
    let keys: Vec<Key> = open.iter().filter_map(key).collect();
    let by_key = store.entities_find(&keys).await?;
    let eligibilities = if open.iter().any(|lookup| lookup.by == LookupBy::TestCenter) {
        eligibilities(store).await?
    } else {
        Vec::new()
    };
    for lookup in open {
        let stored: Vec<&Stored> = match key(&lookup) {
            Some(key) => by_key.get(&key).into_iter().flatten().collect(),
            None => eligibilities.iter().collect(),
        };
        let matching = stored.into_iter().filter(|stored| is_answer(&lookup, stored));
        let entities =
            matching.map(|stored| FoundEntity { types: stored.types.clone(), entity: stored.entity.clone() }).collect();
        found.insert(lookup, entities);
    }
    Ok(())
}

fn key(lookup: &Lookup) -> Option<Key> {
    let text = lookup.text.clone();
    match lookup.by {
        LookupBy::Login => Some(Key::Login(text)),
        LookupBy::Label => Some(Key::Label(text)),
        LookupBy::OrganisationId => Some(Key::OrganisationId(text)),
        LookupBy::Uri => Some(Key::Uri(text)),
        LookupBy::TestCenter => None,
    }
}

/// The store finds by an index that folds case; a roster compares exactly.
fn is_answer(lookup: &Lookup, stored: &Stored) -> bool {
    let has = |predicate| stored.entity.values(predicate).iter().any(|value| value.text == lookup.text);
    let is_named = match lookup.by {
        LookupBy::Login => has(vocabulary::USER_LOGIN),
        LookupBy::Label => has(vocabulary::RDFS_LABEL),
        LookupBy::OrganisationId => has(vocabulary::ORGANISATION_ID),
        LookupBy::TestCenter => has(vocabulary::ELIGIBLE_TEST_CENTER),
        LookupBy::Uri => stored.entity.uri == lookup.text,
    };
    is_named && stored.types.iter().any(|entity_type| lookup.types.contains(entity_type))
}

/// All eligibilities, complete with their test takers.
async fn eligibilities(store: &Store) -> Result<Vec<Stored>, Failure> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = store.entities_list(EntityType::Eligibility, None, after).await?;
        let Some((last, _)) = page.last() else { return Ok(all) };
        after = Some(*last);
        let keys: Vec<Key> = page.into_iter().map(|(_, entity)| Key::Uri(entity.uri)).collect();
        all.extend(store.entities_find(&keys).await?.into_values().flatten());
    }
}

/// Plans on a thread of its own: thousands of passwords are hashed.
async fn plan(
    part: Roster,
    found: Found,
    mut claims: Claims,
    node: &Node,
) -> Result<(Result<Plan, Vec<RosterProblem>>, Claims), Failure> {
    let base = naming_base(node);
    let clock: Arc<dyn Clock> = node.clock.clone();
    let work = move || {
        let planned = part.plan_part(&found, &Naming { base: &base, clock: &*clock }, &mut claims);
        (planned, claims)
    };
    Ok(tokio::task::spawn_blocking(work).await?)
}

/// What new URIs begin with: TAO wants them to look like web addresses; nobody fetches them.
pub fn naming_base(node: &Node) -> String {
    match &node.config.public_url {
        Some(url) => format!("{}/taosync.rdf#", url.as_str().trim_end_matches('/')),
        None => format!("https://{}.taosync.invalid/taosync.rdf#", node.identity.node.simple()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_lines_are_listed_with_what_to_do() {
        let problems = taosync_roster::parse(RosterKind::TestTakers, "t.csv", b"label,login\nAnna,anna\n").unwrap_err();
        let failure = wrong_lines(problems);
        insta::assert_snapshot!(failure.to_text());
        let json = failure.to_json();
        assert_eq!(json["error"]["code"], "TS-401");
        assert_eq!(json["errors"][0]["file"], "t.csv");
        assert_eq!(json["errors"][0]["line"], 1);
    }

    #[test]
    fn what_differs_in_case_is_no_answer() {
        let entity = taosync_model::Entity::new("u", "c").with(vocabulary::USER_LOGIN, "Anna");
        let stored = Stored {
            types: vec![EntityType::TestTaker],
            entity,
            digest: taosync_model::Digest::default(),
            tao_checksum: None,
            orgs: vec![],
        };
        let lookup = |text: &str, types| Lookup { types, by: LookupBy::Login, text: text.to_owned() };
        assert!(is_answer(&lookup("Anna", &[EntityType::TestTaker]), &stored));
        assert!(!is_answer(&lookup("anna", &[EntityType::TestTaker]), &stored));
        assert!(!is_answer(&lookup("Anna", &[EntityType::Proctor]), &stored));
    }
}
