//! `taosync tao check` and `taosync tao adopt`: what is there, and whether this node may take over.

use serde_json::json;
use taosync_sync::tao_database::Installation;
use taosync_sync::tao_database::check::{self, Finding, Findings, Severity};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;
use crate::output;

/// Says what is there; changes nothing.
pub async fn run(context: &Context) -> Result<Exit, Failure> {
    let node = Node::open(context).await?;
    let installation = Installation::open(&node.store).await?;
    let findings = check::run(&installation, node.identity.role).await?;
    context.output.answer(&findings, || to_text(&findings))?;
    Ok(if findings.stoppers().next().is_some() { Exit::Failed } else { Exit::Done })
}

/// Takes over, unless something stops it.
pub async fn adopt(context: &Context) -> Result<(), Failure> {
    let node = Node::open(context).await?;
    let installation = Installation::open(&node.store).await?;
    let findings = check::run(&installation, node.identity.role).await?;
    let stoppers: Vec<_> = findings.stoppers().collect();
    if !stoppers.is_empty() {
        let message = "TAO cannot be adopted as it is: nothing was changed";
        let mut failure = Failure::new("TS-509", message, "do what is named above, then try again");
        failure.lines = stoppers.iter().map(|finding| format!("{}; {}", finding.what, finding.advice)).collect();
        failure.errors = stoppers.iter().map(|finding| json!(finding)).collect();
        return Err(failure);
    }
    if !installation.is_adopted {
        // Whoever changes TAO's data at this moment is waited for.
        let database = installation.database.clone().adopted();
        let lock = database.change("adopt").await.map_err(taosync_sync::tao_database::TaoDatabaseError::from)?;
        node.store.tao_adopt().await?;
        lock.rollback().await.map_err(taosync_sync::tao_database::TaoDatabaseError::from)?;
        node.audit("tao.adopt", "tao", json!({"database": findings.database})).await?;
    }
    context.output.answer(&json!({"adopted": true, "findings": findings.findings}), || {
        let mut text = String::new();
        for Finding { what, advice, .. } in &findings.findings {
            output::add(&mut text, format_args!("{what}\n  → {advice}\n"));
        }
        text.push_str("Adopted: taosync does the syncing from here on. 'taosync tao release' hands it back.\n");
        text
    })
}

fn to_text(findings: &Findings) -> String {
    let mut text = format!("TAO on {}, {}\n", findings.database, findings.variant);
    output::add(&mut text, format_args!("adopted: {}\n", if findings.adopted { "yes" } else { "no" }));
    if !findings.versions.is_empty() {
        output::add(&mut text, format_args!("versions that may sync: {}\n", findings.versions.join(", ")));
    }
    let rows = findings.counts.iter().map(|(what, number)| vec![what.clone(), number.to_string()]);
    if findings.counts.is_empty() {
        text.push_str("there are no entities yet\n");
    } else {
        text.push_str(&output::table(&["what", "number"], rows));
    }
    for finding in &findings.findings {
        let word = match finding.severity {
            Severity::Stops => "stops",
            Severity::Warns => "warns",
        };
        output::add(&mut text, format_args!("{word}: {}\n  → {}\n", finding.what, finding.advice));
    }
    if findings.findings.is_empty() {
        text.push_str("Nothing stands in the way.\n");
    }
    text
}
