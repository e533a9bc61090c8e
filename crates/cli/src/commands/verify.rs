//! `taosync verify`: recomputes everything that can be recomputed, and names what differs.

use clap::Args;
use serde::Serialize;
use taosync_store::settings::Role;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::locks;
use crate::node::Node;
use crate::output;
use crate::progress::Bar;
use crate::verification::{self, Finding, Found, Pace};

/// Recompute every digest from what is stored
#[derive(Debug, Args)]
#[command(after_help = "Recomputes digests from stored bodies, sums from members, hashes of all parts
of tests, opens every result, and compiles every test again. Exit code 1 when
something differs. On a local server what differs is marked, so that the next
'sync all' fetches it again from central; nothing else is changed. A running
server does the same once a day.

Examples:
  taosync --dir /srv/local verify
  taosync --dir /srv/central verify --mend")]
pub struct Options {
    /// Make digests, sums and lists again from the stored bodies first (central)
    #[arg(long)]
    mend: bool,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Verified {
    ok: bool,
    entities: i64,
    results: u64,
    chunks: usize,
    packages: usize,
    problems: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mended: Option<u64>,
}

impl Options {
    /// Verifies.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mended = if self.mend { Some(mend(context).await?) } else { None };
        let node = Node::open(context).await?;
        let bar = Bar::phase(context.output, "recomputing digests");
        let watched = bar.clone();
        let found = verification::pass(&node, Pace::AtOnce, &move |phase, done, of| {
            if done == 0 {
                watched.begin(phase);
            }
            watched.reach(done as u64, of as u64);
        })
        .await?;
        bar.end();
        let verified = verified(found, mended);
        context.output.answer(&verified, || to_text(&verified))?;
        Ok(if verified.ok { Exit::Done } else { Exit::Failed })
    }
}

/// What can be derived is derived again, in one transaction. Returns how many digests and sums were wrong.
async fn mend(context: &Context) -> Result<u64, Failure> {
    let node = Node::open_as(context, Role::Central).await?;
    let _lock = locks::change_lock(node.place.dir()).await?;
    let mended = node.store.scopes_mend().await?;
    node.audit("verify.mend", "scopes", serde_json::json!({"mended": mended})).await?;
    Ok(mended)
}

fn verified(found: Found, mended: Option<u64>) -> Verified {
    Verified {
        ok: found.problems.is_empty(),
        entities: found.entities,
        results: found.results,
        chunks: found.chunks,
        packages: found.packages,
        problems: found.problems,
        mended,
    }
}

fn to_text(verified: &Verified) -> String {
    let mut text = String::new();
    if let Some(mended) = verified.mended {
        output::add(&mut text, format_args!("{mended} digests and sums were made again.\n"));
    }
    let mut advice: Vec<&str> = Vec::new();
    for finding in &verified.problems {
        output::add(&mut text, format_args!("{}\n", finding.to_text()));
        if !advice.contains(&finding.advice.as_str()) {
            advice.push(&finding.advice);
        }
    }
    let number = verified.problems.len();
    let end = if verified.ok { "everything is as it must be".to_owned() } else { format!("{number} problems") };
    let figures = format!(
        "{} entities, {} results, {} parts of tests, {} tests",
        verified.entities, verified.results, verified.chunks, verified.packages
    );
    output::add(&mut text, format_args!("{figures}: {end}.\n"));
    text.extend(advice.iter().map(|advice| format!("  → {advice}\n")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verification::Part;

    #[test]
    fn problems_are_named_one_a_line() {
        let finding = Finding {
            part: Part::Data,
            org: Some("School-7".parse().unwrap()),
            what: "urn:anna".into(),
            problem: "its digest is not that of its body".into(),
            advice: "run 'taosync sync all': it is fetched again".into(),
        };
        let found =
            Found { entities: 7, results: 2, chunks: 3, packages: 1, problems: vec![finding], ..Found::default() };
        insta::assert_snapshot!(to_text(&verified(found, None)), @r"
        data urn:anna (org School-7): its digest is not that of its body
        7 entities, 2 results, 3 parts of tests, 1 tests: 1 problems.
          → run 'taosync sync all': it is fetched again
        ");
    }
}
