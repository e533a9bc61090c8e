//! `taosync audit verify`: whether the log is whole, by itself and against what others hold.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use taosync_model::audit::AuditHead;
use taosync_model::item::Receipt;
use taosync_store::audit::verify::{AuditVerdict, Broken, BrokenEntry};
use taosync_vault::receipts;

use crate::bounded;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::node::Node;

/// Bytes of a file with heads at most.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Check that no entry was changed, left out or cut off
#[derive(Debug, Args)]
pub struct Options {
    /// Where the log ended at some time, as somebody else noted it; may be repeated
    #[arg(long = "head", value_name = "NO:DIGEST")]
    heads: Vec<AuditHead>,
    /// What 'taosync audit heads --json' printed on a local server; may be repeated
    #[arg(long = "heads", value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What `audit heads` prints.
#[derive(Deserialize)]
struct Heads {
    heads: Vec<HeadInReceipt>,
}

#[derive(Deserialize)]
struct HeadInReceipt {
    receipt: Receipt,
}

impl Options {
    /// Verifies.
    pub async fn run(mut self, context: &Context, node: &Node) -> Result<Exit, Failure> {
        for file in &self.files {
            self.heads.extend(read(node, file)?);
        }
        let verdict = node.store.audit_verify(&self.heads).await?;
        if let Some(broken) = &verdict.broken {
            return Err(failure(broken, &verdict));
        }
        let document = json!({
            "ok": true, "entries": verdict.entries, "head": verdict.head.to_string(), "heads_compared": verdict.heads,
            "broken": null,
        });
        context.output.answer(&document, || {
            format!(
                "The log is whole: {} entries, compared with {} heads held elsewhere.\nIt ends at {}\n",
                verdict.entries, verdict.heads, verdict.head
            )
        })?;
        Ok(Exit::Done)
    }
}

/// Heads from receipts of this node; somebody else's receipts prove nothing here.
fn read(node: &Node, file: &Path) -> Result<Vec<AuditHead>, Failure> {
    let failed = |error| Failure::file("read", file, error);
    let text = bounded::text(File::open(file).map_err(failed)?, MAX_FILE).map_err(failed)?;
    let wrong = |what: &str| {
        let advice = "give what 'taosync audit heads --json' printed on a local server of this central";
        Failure::new("TS-421", format!("{}: {what}", file.display()), advice)
    };
    let Heads { heads } = serde_json::from_str(&text).map_err(|_| wrong("it holds no receipts"))?;
    let public = node.keyring.node_key().public();
    heads
        .into_iter()
        .map(|HeadInReceipt { receipt }| {
            let is_ours = receipt.central == node.identity.node && receipts::verify_receipt(&public, &receipt).is_ok();
            let proof = receipt.proof.filter(|_| is_ours);
            proof.map(|proof| proof.audit).ok_or_else(|| wrong("a receipt in it was not signed by this central"))
        })
        .collect()
}

fn failure(broken: &BrokenEntry, verdict: &AuditVerdict) -> Failure {
    let no = broken.no;
    let what = match broken.how {
        Broken::Missing => "is missing",
        Broken::Unlinked => "does not follow the one before it",
        Broken::Changed => "was changed",
        Broken::Unsigned => "is not signed by the key it names",
        Broken::OtherKey => "and all after it were signed by another key than this node's",
        Broken::CutOff => "is missing: the log was longer once, as a head held elsewhere shows",
        Broken::Rewritten => "differs from the head held elsewhere: it and those before it may have been written anew",
    };
    let mut failure = Failure::new(
        "TS-420",
        format!("the audit log is not whole: entry {no} {what}"),
        "keep this machine as it is and compare with an exported log or a backup; after a restore the entries made \
         since the backup are missing",
    );
    failure.errors = vec![json!({
        "no": no, "how": broken.how.as_str(), "entries": verdict.entries, "head": verdict.head.to_string(),
    })];
    failure
}
