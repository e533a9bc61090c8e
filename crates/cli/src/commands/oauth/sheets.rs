//! Sheets of paper that connect machines: one for each, with everything that has to be typed there.

mod page;

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan as _};
use serde::Serialize;
use serde_json::json;
use taosync_model::OrgId;
use taosync_roster::{RosterKind, parse};
use taosync_vault::enrolment_code::EnrolmentCode;
use taosync_vault::tls::{Fingerprint, Pin};
use taosync_vault::tokens::TokenHash;
use url::Url;
use zeroize::Zeroizing;

use super::generate;
use crate::commands::import::{read_bounded, wrong_lines};
use crate::context::Context;
use crate::failure::Failure;
use crate::node::Node;

/// Days a code is good unless somebody says otherwise.
pub const VALID_DAYS: u16 = 30;
/// Letters of a label in the name of a file.
const NAME_LETTERS: usize = 60;

/// A machine that is to be connected.
pub struct Machine {
    /// Where it stands, for people.
    pub label: String,
    /// Its organisations.
    pub orgs: Vec<OrgId>,
}

/// A code for a consumer, to be printed.
pub struct Code {
    /// Client key of the consumer.
    pub key: String,
    /// Its organisations.
    pub orgs: Vec<OrgId>,
    /// Where it stands, for people.
    pub label: String,
    /// Where central is.
    pub root_url: Url,
    /// Not good from then on.
    pub expires_at: Timestamp,
    /// The code, a line each.
    pub lines: Vec<Zeroizing<String>>,
}

/// A sheet that was written.
#[derive(Debug, Serialize)]
struct Written {
    file: String,
    key: String,
    label: String,
    orgs: Vec<OrgId>,
    expires_at: Timestamp,
}

/// The machines of a file: one for each line.
pub fn machines_of(file: &Path) -> Result<Vec<Machine>, Failure> {
    let bytes = read_bounded(file)?;
    let roster = parse(RosterKind::TestCenters, &file.display().to_string(), &bytes).map_err(wrong_lines)?;
    let machine = |(label, org): (&str, &str)| {
        let org = OrgId::new(org).map_err(|error| {
            Failure::wrong_text(format!("'{org}' is no organisation id"), "correct the file").because(error)
        })?;
        Ok(Machine { label: label.to_owned(), orgs: vec![org] })
    };
    roster.places().into_iter().map(machine).collect()
}

/// Makes a consumer and a code for each machine, and writes the sheets.
pub async fn write_all(
    context: &Context,
    node: &Node,
    machines: Vec<Machine>,
    out: &Path,
    valid_days: u16,
) -> Result<(), Failure> {
    make_dir(out)?;
    let mut written = Vec::with_capacity(machines.len());
    for machine in machines {
        let made = generate::generate(node, machine.orgs, machine.label.clone()).await?;
        let code = make(node, &made.key, made.orgs.clone(), machine.label, valid_days).await?;
        let file = write(out, &code)?;
        let file = file.display().to_string();
        written.push(Written { file, key: made.key, label: code.label, orgs: code.orgs, expires_at: code.expires_at });
    }
    let document = json!({"sheets": written});
    context.output.answer(&document, || {
        let files: String = written.iter().flat_map(|sheet| ["  ", &sheet.file, "\n"]).collect();
        format!(
            "{} sheets, each with a code that is good once, for {valid_days} days:\n{files}Print them, hand them over, and delete the \
             files. 'oauth list' shows which were used; 'oauth revoke KEY' ends one.\n",
            written.len()
        )
    })
}

/// A fresh code for a consumer.
pub async fn make(node: &Node, key: &str, orgs: Vec<OrgId>, label: String, valid_days: u16) -> Result<Code, Failure> {
    let (root_url, _) = generate::urls(node, generate::Client::Taosync).await?;
    let pin = node.tls()?.map(|tls| tls.fingerprint().parse::<Fingerprint>()).transpose()?.map(Pin::Whole);
    let code = EnrolmentCode::generate(root_url.as_str(), pin)
        .map_err(|error| Failure::new("TS-408", error.to_string(), "set a shorter public_url"))?;
    let now = node.clock.now();
    let expires_at = now.checked_add((i64::from(valid_days) * 24).hours()).unwrap_or(now);
    node.store.code_add(key, &TokenHash::of(&code.secret()), expires_at).await?;
    node.audit("consumer.code", key, json!({"orgs": orgs, "expires_at": expires_at})).await?;
    Ok(Code { key: key.to_owned(), orgs, label, root_url, expires_at, lines: code.to_lines() })
}

/// Writes a sheet, for its owner only.
pub fn write(out: &Path, code: &Code) -> Result<PathBuf, Failure> {
    let path = out.join(format!("{}-{}.html", name_of(&code.label), &code.key[..8.min(code.key.len())]));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let page = page::of(code);
    file.and_then(|mut file| file.write_all(page.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(|source| Failure::file("write", &path, source))?;
    Ok(path)
}

/// Makes the folder for sheets, for its owner only.
pub fn make_dir(out: &Path) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(out).map_err(|source| Failure::file("create", out, source))
}

/// What of a label can stand in the name of a file everywhere.
fn name_of(label: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() { c } else { '-' };
    let name: String = label.chars().take(NAME_LETTERS).map(plain).collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() { "machine".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_make_names_of_files() {
        for (label, name) in
            [("North School", "North-School"), ("../../etc", "etc"), ("", "machine"), ("École 3", "École-3")]
        {
            assert_eq!(name_of(label), name);
        }
    }
}
