//! The paths that are measured. Every run checks that the work it times was really done.

use std::path::{Path, PathBuf};

use anyhow::ensure;

use super::limits::insert::{self, RowCounts, Which};
use super::limits::{Limits, codec, median_of, proofs, tls};
use super::node::{self, Answers, Central, Local, Synced, TypeReport};
use super::report::{Line, Sample};
use super::{data, package};

/// Test takers of one eligibility, unless a path asks for another number.
pub(super) const TAKERS_PER_ELIGIBILITY: usize = 1_000;
/// Attempts handed to one `execution submit`, all of one test taker.
const ATTEMPTS_PER_TAKER: usize = 100;

/// What all paths share.
pub struct Bench {
    pub program: PathBuf,
    pub scratch: PathBuf,
    pub runs: usize,
    /// Records in one commit of the program.
    pub commit: usize,
}

/// A central with one center, one delivery, and test takers in eligibilities.
pub(super) struct School {
    pub(super) central: Central,
    pub(super) folder: tempfile::TempDir,
    pub(super) delivery: String,
    pub(super) takers: usize,
    per_eligibility: usize,
}

impl Bench {
    /// Initial sync, no change, 1 % changed, 1 % removed.
    pub fn takers(&self, size: usize) -> anyhow::Result<Vec<Line>> {
        let school = self.school(size, TAKERS_PER_ELIGIBILITY)?;
        let all = school.everything();
        let hundredth = size / 100;

        let (samples, local, before) = self.initial(&school)?;
        let rows = Which::AddedSince(&before);
        let initial = self.line("initial", size, &samples, &local, &rows, all.as_bytes())?;

        let samples = self.repeat(|_| expect(local.sync(&school.central)?, TypeReport::default()))?;
        let unchanged = self.line("no change", size, &samples, &local, &Which::Share(0.0), b"")?;

        let mut changed_lines = String::new();
        let samples = self.repeat(|run| {
            let numbers = (0..hundredth).map(|n| n * 100);
            changed_lines = numbers.map(|n| data::taker(n, run + 1, n / school.per_eligibility)).collect();
            school.central.load(&changed_lines)?;
            expect(local.sync(&school.central)?, TypeReport { updated: hundredth, ..TypeReport::default() })
        })?;
        let rows = Which::Share(0.01);
        let changed = self.line("1 % changed", size, &samples, &local, &rows, changed_lines.as_bytes())?;

        let samples = self.repeat(|_| {
            school.central.load(&school.eligibilities(|taker| taker % 100 != 0))?;
            let synced =
                expect(local.sync(&school.central)?, TypeReport { removed: hundredth, ..TypeReport::default() })?;
            school.central.load(&school.eligibilities(|_| true))?;
            expect(local.sync(&school.central)?, TypeReport { created: hundredth, ..TypeReport::default() })?;
            Ok(synced)
        })?;
        let uris: String = (0..hundredth).map(|n| data::taker_uri(n * 100)).collect();
        let removed = self.line("1 % removed", size, &samples, &local, &rows, uris.as_bytes())?;
        Ok(vec![initial, unchanged, changed, removed])
    }

    /// One taker out of one large eligibility.
    pub fn eligibility(&self, size: usize) -> anyhow::Result<Vec<Line>> {
        let school = self.school(size, size)?;
        let local = self.connect(&school, "local")?;
        local.sync(&school.central)?;
        let samples = self.repeat(|run| {
            school.central.load(&school.eligibilities(|taker| taker != run))?;
            let synced = expect(local.sync(&school.central)?, TypeReport { removed: 1, ..TypeReport::default() })?;
            school.central.load(&school.eligibilities(|_| true))?;
            expect(local.sync(&school.central)?, TypeReport { created: 1, ..TypeReport::default() })?;
            Ok(synced)
        })?;
        let rows = Which::Share(1.0 / size as f64);
        let bytes = data::taker_uri(0);
        Ok(vec![self.line("1 taker out of 1 eligibility", size, &samples, &local, &rows, bytes.as_bytes())?])
    }

    /// Finished attempts from local to central, sealed at the source and kept readable.
    pub fn results(&self, size: usize) -> anyhow::Result<Vec<Line>> {
        Ok(vec![self.results_up(size, Answers::Sealed)?, self.results_up(size, Answers::Readable)?])
    }

    fn results_up(&self, size: usize, answers: Answers) -> anyhow::Result<Line> {
        let takers = size.div_ceil(ATTEMPTS_PER_TAKER);
        let school = self.school_with(takers, TAKERS_PER_ELIGIBILITY, answers)?;
        let local = self.connect(&school, "local")?;
        local.sync(&school.central)?;
        let (mut before, mut xml) = (RowCounts::new(), String::new());
        let samples = self.repeat(|run| {
            xml = submit(&school, &local, size, run)?;
            before = insert::count_rows(school.central.dir())?;
            let synced = local.sync(&school.central)?;
            let results = synced.report.results;
            ensure!(
                results.sent == size && results.refused == 0 && results.pending == 0,
                "{size} results were to be handed in, it was {results:?}"
            );
            Ok(synced)
        })?;
        let captured = insert::capture(school.central.dir(), &Which::AddedSince(&before))?;
        // Central commits once a request; feed and report are the other two.
        let commits = samples.last().map_or(0, |sample| sample.requests.saturating_sub(2)) as usize;
        let limits = Limits { insert: self.insert(&captured, commits)?, ..limits_of_bytes(&samples, xml.as_bytes())? };
        Ok(Line::new(&answers.path(), size, &samples, limits))
    }

    /// CSV import on a central that serves nobody.
    pub fn import(&self, size: usize) -> anyhow::Result<Vec<Line>> {
        let folder = self.folder()?;
        let csv = folder.path().join("takers.csv");
        let text = data::takers_csv(size);
        std::fs::write(&csv, &text)?;
        let (mut samples, mut before, mut dir) = (Vec::new(), RowCounts::new(), PathBuf::new());
        for run in 0..self.runs {
            dir = folder.path().join(format!("central-{run}"));
            let central = node::Importer::new(&self.program, &dir)?;
            before = insert::count_rows(&dir)?;
            samples.push(Sample::from(&central.import_takers(&csv)?));
        }
        let captured = insert::capture(&dir, &Which::AddedSince(&before))?;
        let limits = Limits {
            insert: self.insert(&captured, size.div_ceil(self.commit))?,
            hash: median_of(self.runs, || Ok(codec::hash(text.as_bytes())))?,
            ..Limits::default()
        };
        Ok(vec![Line::new("CSV import", size, &samples, limits)])
    }

    /// Syncs a fresh local in every run; gives the last one, and what its database held before.
    fn initial(&self, school: &School) -> anyhow::Result<(Vec<Sample>, Local, RowCounts)> {
        let mut samples = Vec::new();
        loop {
            let local = self.connect(school, &format!("local-{}", samples.len()))?;
            let before = insert::count_rows(local.dir())?;
            let created = TypeReport { created: school.takers, ..TypeReport::default() };
            samples.push(Sample::from(&expect(local.sync(&school.central)?, created)?));
            if samples.len() >= self.runs {
                return Ok((samples, local, before));
            }
        }
    }

    pub(super) fn repeat(&self, mut path: impl FnMut(usize) -> anyhow::Result<Synced>) -> anyhow::Result<Vec<Sample>> {
        (0..self.runs).map(|run| Ok(Sample::from(&path(run)?))).collect()
    }

    /// A path that ends in local's database.
    fn line(
        &self,
        path: &str,
        size: usize,
        samples: &[Sample],
        local: &Local,
        rows: &Which<'_>,
        plain: &[u8],
    ) -> anyhow::Result<Line> {
        let mut limits = limits_of_bytes(samples, plain)?;
        if !plain.is_empty() {
            let share = if let Which::Share(share) = rows { *share } else { 1.0 };
            let commits = (size as f64 * share / self.commit as f64).ceil() as usize;
            limits.insert = self.insert(&insert::capture(local.dir(), rows)?, commits)?;
        }
        Ok(Line::new(path, size, samples, limits))
    }

    fn insert(&self, rows: &insert::Captured, commits: usize) -> anyhow::Result<f64> {
        median_of(self.runs, || insert::insert(rows, commits))
    }

    pub(super) fn school(&self, takers: usize, per_eligibility: usize) -> anyhow::Result<School> {
        self.school_with(takers, per_eligibility, Answers::Sealed)
    }

    fn school_with(&self, takers: usize, per_eligibility: usize, answers: Answers) -> anyhow::Result<School> {
        let folder = self.folder()?;
        let central = Central::start(&self.program, &folder.path().join("central"), answers)?;
        let zip = folder.path().join("test.zip");
        package::write(&zip)?;
        let delivery = central.publish(&zip)?;
        let school = School { central, folder, delivery, takers, per_eligibility };
        school.central.load(&school.everything())?;
        Ok(school)
    }

    pub(super) fn connect(&self, school: &School, name: &str) -> anyhow::Result<Local> {
        Local::connect(&self.program, &school.folder.path().join(name), &school.central.consumer()?)
    }

    pub(super) fn folder(&self) -> anyhow::Result<tempfile::TempDir> {
        Ok(tempfile::tempdir_in(&self.scratch)?)
    }
}

impl School {
    /// Center, test takers and eligibilities, as lines of JSON.
    fn everything(&self) -> String {
        let takers = (0..self.takers).map(|taker| data::taker(taker, 0, taker / self.per_eligibility));
        std::iter::once(data::center()).chain(takers).chain([self.eligibilities(|_| true)]).collect()
    }

    /// All eligibilities with the takers that `holds` keeps.
    fn eligibilities(&self, holds: impl Fn(usize) -> bool) -> String {
        let count = self.takers.div_ceil(self.per_eligibility);
        let one = |number: usize| {
            let first = number * self.per_eligibility;
            let takers = first..(first + self.per_eligibility).min(self.takers);
            data::eligibility(number, &self.delivery, takers.filter(|taker| holds(*taker)))
        };
        (0..count).map(one).collect()
    }
}

/// Hands finished attempts to local; gives their XML.
fn submit(school: &School, local: &Local, size: usize, run: usize) -> anyhow::Result<String> {
    let folder = tempfile::tempdir_in(school.folder.path())?;
    let mut all = String::new();
    for (taker, first) in (0..size).step_by(ATTEMPTS_PER_TAKER).enumerate() {
        let mut files = Vec::new();
        for number in first..(first + ATTEMPTS_PER_TAKER).min(size) {
            let xml = data::result(run * size + number, taker);
            files.push(write_result(folder.path(), number, &xml)?);
            all.push_str(&xml);
        }
        local.submit(&files, &school.delivery, &data::taker_login(taker))?;
    }
    Ok(all)
}

fn write_result(folder: &Path, number: usize, xml: &str) -> anyhow::Result<PathBuf> {
    let file = folder.join(format!("{number}.xml"));
    std::fs::write(&file, xml)?;
    Ok(file)
}

/// A sync that did something else than asked for is not worth a number.
pub(super) fn expect(synced: Synced, takers: TypeReport) -> anyhow::Result<Synced> {
    ensure!(synced.takers() == takers, "test takers: {takers:?} was to happen, it was {:?}", synced.takers());
    Ok(synced)
}

/// The limits that need no database: the bytes on the socket through TLS, the plain bytes through hash and zstd.
fn limits_of_bytes(samples: &[Sample], plain: &[u8]) -> anyhow::Result<Limits> {
    let socket = samples.last().map_or(0, |sample| sample.bytes_socket);
    let runs = samples.len();
    Ok(Limits {
        insert: 0.0,
        tls: median_of(runs, || tls::download(socket))?,
        hash: median_of(runs, || Ok(codec::hash(plain)))?,
        zstd: median_of(runs, || codec::zstd(plain))?,
        proofs: median_of(runs, || proofs::proofs(samples.last().map_or(0, |sample| sample.requests)))?,
        disk: 0.0,
        server: 0.0,
        ..Limits::default()
    })
}
