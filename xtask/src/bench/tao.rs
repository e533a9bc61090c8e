//! A TAO's own database: what a pull of it costs, beside raw reads of the same rows, and what it costs to write the same
//! people into an empty one in a school, beside raw inserts of the same rows.

mod raw;

use std::time::Instant;

use anyhow::{Context as _, ensure};
use taosync_testbed::dump::Dump;
use taosync_testbed::server::{Care, Server};
use taosync_testbed::{Kind, TestDatabase, tao};
use tokio::runtime::Runtime;

use super::limits::insert::{self, RowCounts, Which};
use super::limits::{Limits, median_of};
use super::node::{Central, Local, TaoCentral};
use super::paths::Bench;
use super::report::{Line, Sample};
use super::targets::Target;

/// Test takers of the installation that is measured.
pub const TAKERS: usize = 5_000;
/// The golden state that holds it.
const INSTALLATION: &str = "perf-central-5000-takers";
/// The golden state of a school's TAO before its first sync.
const EMPTY: &str = "1-client-empty";
/// Everything there is: the installation is not kept by organisations.
const ALL: &str = "*";
/// Every row a pull has to read.
const ROWS: &str = "SELECT subject, predicate, object, l_language FROM statements WHERE subject IN
    (SELECT subject FROM statements WHERE predicate = 'http://www.tao.lu/Ontologies/generis.rdf#login'
     UNION SELECT subject FROM statements
     WHERE predicate = 'http://www.tao.lu/Ontologies/TAOProctor.rdf#EligibileTestCenter')";

/// What is pulled for the first time from this kind of database.
fn first(kind: Kind) -> String {
    format!("TAO pull, first, {}", kind.as_str())
}

/// What is pulled when nothing has changed.
fn unchanged(kind: Kind) -> String {
    format!("TAO pull, no change, {}", kind.as_str())
}

/// What is written into an empty TAO of this kind.
fn written(kind: Kind) -> String {
    format!("into an empty TAO, {}", kind.as_str())
}

impl Bench {
    /// First pull, pull with no change, and the same written into an empty TAO of a school, for each kind of database there is. Nothing where the golden states are not.
    pub fn tao(&self) -> anyhow::Result<Vec<Line>> {
        let (Some(full), Some(empty)) = (tao::golden(INSTALLATION), tao::golden(EMPTY)) else {
            return Ok(Vec::new());
        };
        let dumps = Dumps { full, empty };
        let runtime = Runtime::new().context("cannot make a runtime")?;
        let mut lines = Vec::new();
        for kind in Kind::BOTH {
            match Server::start(kind, Care::Durable) {
                Ok(server) => lines.extend(self.tao_of(kind, &server, &dumps, &runtime)?),
                Err(reason) => println!("SKIPPED: {reason}"),
            }
        }
        Ok(lines)
    }

    fn tao_of(&self, kind: Kind, server: &Server, dumps: &Dumps, runtime: &Runtime) -> anyhow::Result<Vec<Line>> {
        let database = runtime.block_on(loaded(kind, server, &dumps.full));
        let folder = self.folder()?;
        let (mut samples, mut again, mut before) = (Vec::new(), Vec::new(), RowCounts::new());
        let (mut dir, mut last) = (folder.path().to_owned(), None);
        for run in 0..self.runs {
            dir = folder.path().join(format!("central-{run}"));
            let central = TaoCentral::new(&self.program, &dir, database.url())?;
            before = insert::count_rows(&dir)?;
            let (finished, pulled) = central.pull()?;
            let takers = pulled.types.get("test-taker").map_or(0, |takers| takers.created);
            ensure!(!pulled.as_before && takers >= TAKERS, "{TAKERS} takers were to come, it was {pulled:?}");
            samples.push(Sample::from(&finished));
            let (finished, pulled) = central.pull()?;
            ensure!(pulled.as_before, "nothing was to come, it was {pulled:?}");
            again.push(Sample::from(&finished));
            last = Some(central);
        }
        let captured = insert::capture(&dir, &Which::AddedSince(&before))?;
        let read = median_of(self.runs, || {
            let start = Instant::now();
            let rows = runtime.block_on(database.texts(ROWS)).len();
            ensure!(rows > TAKERS, "only {rows} rows were read");
            Ok(start.elapsed().as_secs_f64())
        })?;
        let limits =
            Limits { insert: median_of(self.runs, || insert::insert(&captured, 1))?, read, ..Limits::default() };
        runtime.block_on(async { drop(database) });
        let central = last.context("a central was measured")?.serve()?;
        let school = School { kind, server, empty: &dumps.empty, runtime };
        Ok(vec![
            Line::new(&first(kind), TAKERS, &samples, limits),
            Line::new(&unchanged(kind), TAKERS, &again, Limits::default()),
            self.writes_into_tao(&school, &central)?,
        ])
    }

    /// Each run has a school and a TAO of its own; the sync before is not measured.
    fn writes_into_tao(&self, school: &School<'_>, central: &Central) -> anyhow::Result<Line> {
        let folder = self.folder()?;
        let (mut samples, mut rows) = (Vec::new(), None);
        for run in 0..self.runs {
            let consumer = central.consumer_of(ALL)?;
            let local = Local::connect(&self.program, &folder.path().join(format!("local-{run}")), &consumer)?;
            local.sync(central)?;
            let tao = school.empty_tao();
            let before = raw::highest(&tao, school.runtime)?;
            let (finished, projected) = local.project(tao.url())?;
            let takers = projected.types.get("test-taker").map_or(0, |takers| takers.created);
            ensure!(takers >= TAKERS, "{TAKERS} takers were to be written, it was {projected:?}");
            samples.push(Sample::of_local(&finished));
            if rows.is_none() {
                rows = Some(raw::Written::read(&tao, before, school.runtime));
            }
            school.runtime.block_on(async { drop(tao) });
        }
        let rows = rows.context("something was written")?;
        let insert = median_of(self.runs, || {
            let tao = school.empty_tao();
            let seconds = rows.insert(&tao, school.runtime);
            school.runtime.block_on(async { drop(tao) });
            Ok(seconds)
        })?;
        Ok(Line::new(&written(school.kind), TAKERS, &samples, Limits { insert, ..Limits::default() }))
    }
}

/// What is loaded.
struct Dumps {
    full: Dump,
    empty: Dump,
}

/// Where schools get their TAOs from.
struct School<'a> {
    kind: Kind,
    server: &'a Server,
    empty: &'a Dump,
    runtime: &'a Runtime,
}

impl School<'_> {
    fn empty_tao(&self) -> TestDatabase {
        self.runtime.block_on(loaded(self.kind, self.server, self.empty))
    }
}

async fn loaded(kind: Kind, server: &Server, dump: &Dump) -> TestDatabase {
    let database = TestDatabase::on(kind, server.url()).await;
    database.load(dump).await;
    database
}

/// At most 3 s at first, 0.5 s with no change, 5 s into an empty TAO.
pub fn targets(lines: &[Line]) -> Vec<Target> {
    let wall = |path: String| lines.iter().find(|line| line.path == path).map(|line| line.wall);
    let of = |kind: Kind| {
        [
            wall(first(kind)).map(|wall| Target::at_most(&format!("{}, {TAKERS} takers", first(kind)), "s", 3.0, wall)),
            wall(unchanged(kind))
                .map(|wall| Target::at_most(&format!("{}, {TAKERS} takers", unchanged(kind)), "s", 0.5, wall)),
            wall(written(kind))
                .map(|wall| Target::at_most(&format!("{}, {TAKERS} takers", written(kind)), "s", 5.0, wall)),
        ]
    };
    Kind::BOTH.into_iter().flat_map(of).flatten().collect()
}
