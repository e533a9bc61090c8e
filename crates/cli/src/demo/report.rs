//! The story as text.

use std::fmt::Write as _;
use std::path::Path;

use taosync_model::EntityType;
use taosync_sync::session::Summary;

use super::data::{OTHER_ORG, OUR_ORG};
use super::figures::Figures;
use super::stage::Stage;
use crate::output;

/// Problems that are shown; `--json` has them all.
const SHOWN: usize = 20;

/// The whole story, with its ending.
pub fn ending(figures: &Figures) -> String {
    let mut page = Page::default();
    servers(&mut page, figures);
    central(&mut page, figures);
    first_sync(&mut page, figures);
    exam(&mut page, figures);
    later_syncs(&mut page, figures);
    proof(&mut page, figures);
    page.0
}

/// Where the servers are that go on running, and what to try.
pub fn invitation(stage: &Stage, program: &Path) -> String {
    let (central, local) = (&stage.central, &stage.local);
    let (program, place) = (program.display(), |dir: &Path| dir.display().to_string());
    let (central_dir, local_dir) = (place(central.node.place.dir()), place(local.node.place.dir()));
    let end = if stage.is_kept() { "the directory stays" } else { "the directory goes with them" };
    format!(
        "\nBoth servers are running. Ctrl-C ends them; {end}.\n\
         \n  central  {}  {central_dir}\n  school   {}  {local_dir}\n\
         \nTry in another terminal:\n\
         \n  {program} --dir {central_dir} results list\n  {program} --dir {local_dir} sync all\n  {program} --dir {local_dir} status\n",
        central.url, local.url
    )
}

/// Lines with their figures under each other.
#[derive(Default)]
struct Page(String);

impl Page {
    fn title(&mut self, text: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        // Writing to a string never fails.
        let _ = writeln!(self.0, "{gap}{text}");
    }

    fn line(&mut self, label: &str, figure: impl ToString, note: &str) {
        let figure = figure.to_string();
        let line = format!("  {label:<34}{figure:>9}  {note}");
        // As above.
        let _ = writeln!(self.0, "{}", line.trim_end());
    }

    fn sync(&mut self, label: &str, summary: &Summary) {
        let traffic = output::bytes(summary.bytes_down + summary.bytes_up);
        let requests = if summary.requests == 1 { "request" } else { "requests" };
        self.line(label, time(summary.seconds), &format!("{} {requests}, {traffic}", summary.requests));
    }
}

fn servers(page: &mut Page, figures: &Figures) {
    page.title(&format!("A central server and a school's server, and {} test takers", figures.takers));
    for (name, node) in &figures.nodes {
        let label = if *name == "central" { "central".to_owned() } else { format!("school of {OUR_ORG}") };
        page.line(&label, "", node.url.as_str());
    }
}

fn central(page: &mut Page, figures: &Figures) {
    let data = &figures.data;
    let count = |entity_type| data.created.get(&entity_type).copied().unwrap_or(0);
    page.title("Central takes in its data");
    page.line("organisations", data.orgs, &format!("{OUR_ORG} and {OTHER_ORG}"));
    page.line("test centers", count(EntityType::TestCenter), "");
    page.line(
        "administrators and proctors",
        count(EntityType::Administrator) + count(EntityType::Proctor),
        "some work for both",
    );
    page.line("test takers", count(EntityType::TestTaker), "");
    page.line("lists of who may sit which test", count(EntityType::Eligibility), "");
    page.line("tests", count(EntityType::Delivery), &figures.package.deliveries.join("; "));
    page.line("files in a test", figures.package.files, &output::bytes(figures.package.bytes));
    page.line("time", time(data.seconds + figures.package.seconds), "");
}

fn first_sync(page: &mut Page, figures: &Figures) {
    let Some(first) = figures.syncs.get("first") else { return };
    let count = |entity_type| first.types.get(&entity_type).map_or(0, |counts| counts.created);
    page.title("The evening before: the school fetches what is its own");
    page.line("test takers", count(EntityType::TestTaker), &format!("those of {OUR_ORG}"));
    let people = count(EntityType::Administrator) + count(EntityType::Proctor);
    page.line("administrators and proctors", people, "");
    page.line("tests, ready to run", first.deliveries.compiled, &output::bytes(first.deliveries.bytes));
    page.sync("time", first);
}

fn exam(page: &mut Page, figures: &Figures) {
    let exam = &figures.exam;
    page.title("The morning: an exam, with no need of central");
    page.line("pupils who finished", exam.attempts, &format!("{} questions each", exam.questions));
    page.line("pictures shown", exam.pictures, "");
    page.line("answers and scores saved", exam.variables, &format!("mean score {:.1}", exam.mean_score));
    page.line("time", time(exam.seconds), &format!("{} requests", exam.requests));
}

fn later_syncs(page: &mut Page, figures: &Figures) {
    page.title("After it: results up, changes down");
    if let Some(hand_in) = figures.syncs.get("hand_in") {
        page.line("results handed in and confirmed", hand_in.results.sent, "");
        page.sync("time", hand_in);
    }
    if let Some(nothing_new) = figures.syncs.get("nothing_new") {
        page.sync("again, with nothing to do", nothing_new);
    }
    if let Some(changed) = figures.syncs.get("changed") {
        page.line("test takers with another name", figures.changed_takers, "1 %");
        page.sync("time", changed);
    }
    if let Some(removed) = figures.syncs.get("removed") {
        let then = if figures.removed.can_sign_in { "can still sign in" } else { "can no longer sign in" };
        page.line("test takers taken away", 1, then);
        page.sync("time", removed);
    }
}

fn proof(page: &mut Page, figures: &Figures) {
    page.title("Is it true? Everything is read again and compared");
    page.line("", "central", &format!("{:>7}", "school"));
    for (entity_type, sides) in &figures.types {
        page.line(&plural(*entity_type), sides.central, &format!("{:>7}", sides.local));
    }
    let results = &figures.results;
    page.line("results", results.at_central, &format!("{:>7}  {} confirmed", results.finished, results.acknowledged));
    let other = &figures.other_org;
    page.line(
        &format!("test takers of {}", other.org),
        other.at_central,
        &format!("{:>7}  none of its business", other.at_local),
    );
    for problem in figures.problems.iter().take(SHOWN) {
        // As above.
        let _ = writeln!(page.0, "  NOT RIGHT: {problem}");
    }
    let verdict = match (figures.digest_equal, figures.problems.is_empty()) {
        (true, true) => "Both sides are equal, and every result is at central.",
        (true, false) => "Both sides are equal, but not everything is right.",
        (false, _) => "Both sides are NOT equal.",
    };
    page.title(&format!("{verdict} ({})", time(figures.seconds)));
}

fn plural(entity_type: EntityType) -> String {
    match entity_type {
        EntityType::Class => "classes".to_owned(),
        EntityType::Eligibility => "lists of who may sit which test".to_owned(),
        EntityType::Delivery => "tests".to_owned(),
        other => format!("{}s", other.as_str().replace('-', " ")),
    }
}

fn time(seconds: f64) -> String {
    format!("{seconds:.2} s")
}
