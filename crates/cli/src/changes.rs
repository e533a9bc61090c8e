//! Changing what is true at central: one transaction, a person's word for large removals, and the answer about it.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use clap::Args;
use serde::Serialize;
use serde_json::json;
use taosync_model::{EntityType, OrgId};
use taosync_store::audit::AuditEntry;
use taosync_store::entities::{Applied, Change, Tally};
use taosync_store::scopes::OrgEffect;
use taosync_store::tao::Pulled;
use taosync_store::{Durability, Tx};
use taosync_sync::tao::orphans;

use crate::context::Context;
use crate::failure::Failure;
use crate::node::{ACTOR, Node};
use crate::output;

/// Options of everything that changes entities.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ChangeOptions {
    /// Do everything, say what it would change, and undo it
    #[arg(long)]
    pub dry_run: bool,
    /// Approve large removals without being asked
    #[arg(long)]
    pub yes: bool,
}

/// What a change did, for people and programs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// New ones.
    pub created: u64,
    /// Known ones with other content.
    pub updated: u64,
    /// Known ones that were the same.
    pub unchanged: u64,
    /// Removed ones.
    pub removed: u64,
    /// Other entities that changed with them.
    pub related: u64,
    /// Everything that was written, per type.
    pub types: BTreeMap<EntityType, Tally>,
    /// Where members came or went.
    pub orgs: Vec<Effect>,
    /// Whether everything was undone again.
    pub dry_run: bool,
}

/// What a change means for an org.
#[derive(Clone, Debug, Serialize)]
pub struct Effect {
    org: OrgId,
    #[serde(rename = "type")]
    entity_type: EntityType,
    entered: u64,
    left: u64,
    before: u64,
    large_removal: bool,
}

impl Report {
    /// Whether anything is another than before.
    pub const fn is_change(&self) -> bool {
        self.created + self.updated + self.removed > 0
    }

    /// The sums over all types.
    pub fn of(applied: &Applied, options: ChangeOptions) -> Self {
        let mut report = Self { types: applied.types.clone(), dry_run: options.dry_run, ..Self::default() };
        for tally in applied.types.values() {
            report.created += tally.created;
            report.updated += tally.updated;
            report.unchanged += tally.unchanged;
            report.removed += tally.removed;
        }
        report.orgs = applied.orgs.iter().map(effect).collect();
        report
    }

    /// The answer for people.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{} created, {} updated, {} unchanged, {} removed",
            self.created, self.updated, self.unchanged, self.removed
        );
        if self.related > 0 {
            output::add(&mut text, format_args!("; {} others changed with them", self.related));
        }
        text.push('\n');
        if !self.orgs.is_empty() {
            let rows = self.orgs.iter().map(|effect| {
                let numbers = [effect.entered, effect.left, effect.before].map(|number| number.to_string());
                [effect.org.to_string(), effect.entity_type.to_string()].into_iter().chain(numbers).collect()
            });
            text.push_str(&output::table(&["org", "type", "entered", "left", "had before"], rows));
        }
        if self.dry_run {
            text.push_str("This was a dry run: nothing was changed.\n");
        }
        text
    }
}

fn effect(effect: &OrgEffect) -> Effect {
    Effect {
        org: effect.org.clone(),
        entity_type: effect.entity_type,
        entered: effect.entered,
        left: effect.left,
        before: effect.before,
        large_removal: effect.is_large_removal(),
    }
}

/// What a change is called in the audit log, and what is noted with it.
pub struct Said<'a> {
    /// The act.
    pub act: &'a str,
    /// What it was done to.
    pub object: &'a str,
    /// What a pull from TAO's database has found.
    pub pulled: Option<&'a Pulled>,
}

/// Applies changes in one transaction, or says why not. `act` and `object` go to the audit log.
pub async fn apply(
    context: &Context,
    node: &Node,
    changes: Vec<Change>,
    mut options: ChangeOptions,
    act: &str,
    object: &str,
) -> Result<Applied, Failure> {
    let said = &Said { act, object, pulled: None };
    // Who removes one entity by name has said what is meant: only what leaves with it may need a word.
    let named = match &changes[..] {
        [Change::Remove(uri)] => Some(uri.clone()),
        _ => None,
    };
    let mut again = may_ask(context, options).then(|| changes.clone());
    let (mut next, mut unsaid) = (Some(changes), Vec::new());
    while let Some(changes) = next.take() {
        let mut under_way = UnderWay::begin(node).await?;
        under_way.add(changes).await?;
        match under_way.end(options, named.as_deref(), said).await? {
            Ended::Done(applied) => return Ok(applied),
            Ended::NeedsWord(large) => {
                options = word(context, options, &large).await?;
                (next, unsaid) = (again.take(), large);
            }
        }
    }
    Err(needs_word(&unsaid))
}

/// Asks for the word that a large removal needs, and gives the options that say it. Nobody waits for a lock while a person
/// thinks: everything was undone, and is done again after a yes.
pub async fn word(context: &Context, options: ChangeOptions, large: &[OrgEffect]) -> Result<ChangeOptions, Failure> {
    if may_ask(context, options) && ask(large).await? {
        return Ok(ChangeOptions { yes: true, ..options });
    }
    Err(needs_word(large))
}

fn may_ask(context: &Context, options: ChangeOptions) -> bool {
    !options.yes && !options.dry_run && output::somebody_is_there(context.output)
}

/// A change that is made part by part, in one transaction. Dropped, it never was.
pub struct UnderWay<'a> {
    node: &'a Node,
    tx: Tx,
    applied: Applied,
}

/// How a change ended.
pub enum Ended {
    /// It is made, or was undone as a dry run.
    Done(Applied),
    /// It was undone: these removals need somebody's word.
    NeedsWord(Vec<OrgEffect>),
}

impl<'a> UnderWay<'a> {
    /// Begins; other writers wait until its end.
    pub async fn begin(node: &'a Node) -> Result<Self, Failure> {
        let tx = node.store.write("entities_change", Durability::Flushed).await?;
        Ok(Self { node, tx, applied: Applied::default() })
    }

    /// Makes a part. No entity may be in two of them.
    pub async fn add(&mut self, changes: Vec<Change>) -> Result<(), Failure> {
        let applied = self.node.store.entities_change(&mut self.tx, changes).await?;
        self.applied.add(applied);
        Ok(())
    }

    /// Makes it true, unless it is a dry run or needs a word. `named` is what somebody removes by name.
    pub async fn end(self, options: ChangeOptions, named: Option<&str>, said: &Said<'_>) -> Result<Ended, Failure> {
        let Self { node, mut tx, applied } = self;
        if options.dry_run {
            tx.undo().await?;
            return Ok(Ended::Done(applied));
        }
        let single = if named.is_some() { applied.singly_removed() } else { Vec::new() };
        let is_single = |effect: &OrgEffect| single.contains(&(effect.org.clone(), effect.entity_type));
        let asks = |effect: &&OrgEffect| effect.is_large_removal() && !is_single(effect);
        let large: Vec<_> = applied.orgs.iter().filter(asks).cloned().collect();
        if !large.is_empty() {
            if !options.yes {
                tx.undo().await?;
                return Ok(Ended::NeedsWord(large));
            }
            let approved: Vec<_> = large.iter().map(|effect| (effect.org.clone(), effect.entity_type)).collect();
            node.store.removals_approve(&mut tx, &approved).await?;
        }
        if let Some(uri) = named {
            node.store.removals_approve_single(&mut tx, &single, uri).await?;
        }
        if let Some(pulled) = said.pulled {
            tx.tao_pulled(pulled).await?;
        }
        // A pull that finds nothing new comes every minute.
        if said.pulled.is_none() || Report::of(&applied, options).is_change() {
            let detail = json!({"types": applied.types, "large_removals": large});
            let (act, object) = (said.act, said.object);
            node.store.audit_add(&mut tx, &AuditEntry { actor: ACTOR, act, object, detail }).await?;
        }
        tx.commit().await?;
        // The change is made; a log that is cut later only takes room on the disk.
        if let Err(error) = node.store.log_cut().await {
            tracing::warn!(%error, "the log of the database could not be cut");
        }
        orphans(node).await;
        Ok(Ended::Done(applied))
    }
}

/// Says which keys go on without the sync manager who connected their machines. The change is made; what is not noted now
/// the server notes later.
pub async fn orphans(node: &Node) {
    match orphans::note(&node.store).await {
        Ok(keys) if keys.is_empty() => {}
        Ok(keys) => tracing::warn!(
            "the sync manager who connected them is gone or elsewhere, and these keys go on: {}; see 'taosync doctor'",
            keys.join(", ")
        ),
        Err(error) => tracing::warn!(%error, "keys of sync managers who are gone could not be looked for"),
    }
}

fn sentence(effect: &OrgEffect) -> String {
    format!("{} of {} {}s leave org {}", effect.left, effect.before, effect.entity_type, effect.org)
}

fn needs_word(large: &[OrgEffect]) -> Failure {
    let message = format!("nothing was changed: {}", large.iter().map(sentence).collect::<Vec<_>>().join("; "));
    let mut failure =
        Failure::new("TS-402", message, "see it with --dry-run; when it is meant, run the same command with --yes");
    failure.errors = large.iter().map(|large| json!(effect(large))).collect();
    failure
}

/// Asks the person at the keyboard.
async fn ask(large: &[OrgEffect]) -> Result<bool, Failure> {
    let mut question: String = large.iter().flat_map(|effect| [sentence(effect), "\n".to_owned()]).collect();
    question.push_str("Local servers will remove them at their next sync. Go on? [y/N] ");
    let answer = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        io::stderr().write_all(question.as_bytes()).and_then(|()| io::stdin().read_line(&mut answer)).map(|_| answer)
    });
    let answer = answer
        .await?
        .map_err(|source| Failure::new("TS-402", "the question was not answered", "use --yes").because(source))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaving(left: u64, before: u64) -> OrgEffect {
        let org = OrgId::new("School-7").unwrap();
        OrgEffect { org, entity_type: EntityType::TestTaker, entered: 0, left, before }
    }

    #[test]
    fn a_large_removal_is_explained() {
        insta::assert_snapshot!(needs_word(&[leaving(30, 100)]).to_text(), @r"
        error[TS-402]: nothing was changed: 30 of 100 test-takers leave org School-7
          → see it with --dry-run; when it is meant, run the same command with --yes
        ");
    }

    #[test]
    fn a_report_reads_well() {
        let tally = Tally { created: 2, updated: 0, removed: 1, unchanged: 4 };
        let applied = Applied { types: [(EntityType::TestTaker, tally)].into(), orgs: vec![leaving(1, 7)] };
        let report = Report::of(&applied, ChangeOptions { dry_run: true, yes: false });
        insta::assert_snapshot!(report.to_text(), @r"
        2 created, 0 updated, 4 unchanged, 1 removed
        org       type        entered  left  had before
        School-7  test-taker  0        1     7
        This was a dry run: nothing was changed.
        ");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["orgs"][0]["type"], "test-taker");
        assert_eq!(json["dry_run"], true);
    }
}
