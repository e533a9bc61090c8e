//! Rosters as CSV. The first byte of an input says which of the six kinds it is.

use taosync_roster::{Plan, RosterKind, RosterProblem, parse};

use crate::roster_problems;
use crate::school::School;

/// Imports the file into a small school, and then once more.
pub fn check(input: &[u8]) {
    let [kind, file @ ..] = input else { return };
    let kind = RosterKind::ALL[usize::from(*kind) % RosterKind::ALL.len()];
    let mut school = School::new();
    let plan = match import(&school, kind, file) {
        Ok(plan) => plan,
        Err(problems) => {
            roster_problems(&problems);
            // New ones are numbered, and a complaint may name them.
            let again = import(&School::new(), kind, file).expect_err("it does not mend itself");
            return assert_eq!(again, problems);
        }
    };
    assert!(plan.upserts.windows(2).all(|pair| pair[0].0 <= pair[1].0), "types come in the order of a sync");
    let written = plan.upserts.clone();
    plan.upserts.into_iter().for_each(|(entity_type, entity)| school.put(entity_type, entity));
    let again = import(&school, kind, file).unwrap_or_else(|p| panic!("what was imported can be again: {p:?}"));
    assert_eq!(again.upserts, [], "the same file twice changes nothing; first it wrote {written:?}");
    assert_eq!((again.created, again.updated, again.related), (0, 0, 0));
}

fn import(school: &School, kind: RosterKind, file: &[u8]) -> Result<Plan, Vec<RosterProblem>> {
    let roster = parse(kind, "input.csv", file)?;
    let lines = file.split(|byte| matches!(byte, b'\n' | b'\r')).count();
    assert!(roster.row_count() < lines, "{} rows in {lines} lines", roster.row_count());
    school.plan(roster)
}
