//! `taosync sync`: data down and results up.

use clap::{Args, Subcommand};
use taosync_model::{EntityType, OrgId};
use taosync_store::outbox::AfterReceipt;
use taosync_store::settings::Role;
use taosync_sync::down::guard::Removals;
use taosync_sync::link::patience::Patience;
use taosync_sync::session::summary::DeliveryCounts;
use taosync_sync::session::{self, Mode, Plan, Summary, What};
use taosync_sync::tao_database::Installation;
use taosync_sync::tao_database::projection::Reach;
use taosync_sync::up::UpLimits;
use taosync_vault::random;

use crate::chores;
use crate::commands::doctor::encryption;
use crate::commands::tao::{pull, push};
use crate::config::ResultService;
use crate::context::Context;
use crate::failure::{CODES, Exit, Failure};
use crate::locks::{self, Lock, Way};
use crate::node::{ACTOR, Node, VERSION};
use crate::output;
use crate::progress::Bar;
use crate::readiness;
use crate::verification::{self, Pace};

/// Exchange data and results with central (local)
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  taosync --dir /srv/local sync all
  taosync --dir /srv/local sync data --type test-taker
  taosync --dir /srv/local sync data --dry-run
  taosync --dir /srv/local sync data --accept-removals")]
pub struct Options {
    #[command(subcommand)]
    what: Directions,
}

#[derive(Debug, Subcommand)]
enum Directions {
    /// Fetch people, centers, eligibilities and tests
    Data {
        /// Of this type only; may be repeated
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<EntityType>,
        #[command(flatten)]
        common: Common,
    },
    /// Hand in results
    Results {
        #[command(flatten)]
        common: Common,
    },
    /// Hand in results, fetch data, and make sure that both sides are equal
    All {
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Clone, Debug, Args)]
struct Common {
    /// Ask central what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Apply removals of a large part of the data that nobody approved at central
    #[arg(long)]
    accept_removals: bool,
    /// Of one organisation only
    #[arg(long, visible_alias = "org", value_name = "ORG")]
    organisation_id: Option<OrgId>,
}

impl Options {
    /// Syncs.
    pub async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let (what, types, common) = match self.what {
            Directions::Data { types, common } => (What::Data, types, common),
            Directions::Results { common } => (What::Results, Vec::new(), common),
            Directions::All { common } => (What::All, Vec::new(), common),
        };
        if let Some(other) = types.iter().find(|t| !EntityType::FEED.contains(t)) {
            return Err(Failure::wrong_text(
                format!("entities of type {other} are never synced"),
                "choose another --type",
            ));
        }
        let node = Node::open_as(context, Role::Local).await?;
        let plan = Plan { types, ..plan(&node, what, common) };
        let summary = synchronise(context, &node, &plan).await?;
        let is_dry_run = plan.mode == Mode::DryRun;
        context.output.answer(&Answer { summary: &summary, dry_run: is_dry_run }, || to_text(&summary, plan.mode))?;
        Ok(exit_of(&summary))
    }
}

/// Does a sync while a person watches, and keeps what it means for readiness.
pub async fn synchronise(context: &Context, node: &Node, plan: &Plan) -> Result<Summary, Failure> {
    let _locks = locks(node, plan.what)?;
    locked(context, node, plan).await
}

/// As [`synchronise`], by whoever holds the locks.
pub async fn locked(context: &Context, node: &Node, plan: &Plan) -> Result<Summary, Failure> {
    let hands_in = plan.mode == Mode::Apply && plan.what != What::Data;
    // What TAO's own database refuses holds up nothing else; it is told when everything else is done.
    let taken = if hands_in { push::before_hand_in(node).await } else { Ok(()) };
    let bar = Bar::phase(context.output, "connecting with central");
    let watched = bar.clone();
    let result = session::run(&node.store, plan, &move |progress| watched.follow(&progress)).await;
    bar.end();
    let mut summary = result?;
    let told = if hands_in { push::after_hand_in(node).await } else { Ok(()) };
    if plan.mode == Mode::Apply && summary.code.is_none() {
        look_again(node).await?;
        if plan.what != What::Results && Installation::is_adopted(&node.store).await? {
            into_tao(node, plan.removals, &mut summary).await;
        }
    }
    // Central may have said just now that what it holds is in a backup.
    chores::purge_confirmed(node).await?;
    readiness::note(node).await?;
    taken.and(told)?;
    Ok(summary)
}

/// What came is written into TAO's own database too. The sync itself has succeeded, whatever becomes of that.
async fn into_tao(node: &Node, removals: Removals, summary: &mut Summary) {
    match pull::local(node, Mode::Apply, removals, Reach::Changes).await {
        Ok(projected) => summary.tao = Some(projected),
        Err(failure) => {
            "partial".clone_into(&mut summary.status);
            summary.code = Some(failure.code.to_owned());
            summary.temporary = failure.exit == Exit::Later;
            summary.reason = Some(failure.message);
            summary.advice.push(failure.advice);
        }
    }
}

/// After damage, only another look says whether the sync has mended it.
async fn look_again(node: &Node) -> Result<(), Failure> {
    let was_damaged = verification::last(&node.store).await?.is_some_and(|last| last.problems > 0);
    if was_damaged {
        verification::pass(node, Pace::AtOnce, &|_, _, _| {}).await?;
    }
    Ok(())
}

/// A sync of everything this server has to do, as configured.
pub fn usual_plan(node: &Node, what: What) -> Plan {
    plan(node, what, Common { dry_run: false, accept_removals: false, organisation_id: None })
}

/// The answer: the summary, and whether it is only what would be.
#[derive(serde::Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    dry_run: bool,
}

/// The locks of a sync, or who holds them.
pub fn locks(node: &Node, what: What) -> Result<Vec<Lock>, Failure> {
    let ways: &[Way] = match what {
        What::Data => &[Way::Down],
        What::Results => &[Way::Up],
        What::All => &[Way::Down, Way::Up],
    };
    ways.iter().map(|&way| locks::sync_lock(node.place.dir(), way, &*node.clock)).collect()
}

fn plan(node: &Node, what: What, common: Common) -> Plan {
    Plan {
        what,
        types: Vec::new(),
        org: common.organisation_id,
        mode: if common.dry_run { Mode::DryRun } else { Mode::Apply },
        removals: if common.accept_removals { Removals::Accepted } else { Removals::Guarded },
        chunk_size: node.config.sync_service.chunk_size as usize,
        patience: Patience::usual(random::unit),
        up: up_limits(&node.config.result_service),
        actor: ACTOR.to_owned(),
        version: VERSION.to_owned(),
        encrypted: encryption::is_encrypted(node.place.dir()),
        proxy: node.proxy(),
    }
}

fn up_limits(config: &ResultService) -> UpLimits {
    UpLimits {
        items: config.chunk_size,
        states: config.status_executions_to_sync.clone(),
        after_receipt: if config.delete_after_send { AfterReceipt::Hide } else { AfterReceipt::Keep },
        ..UpLimits::default()
    }
}

/// A sync that waits for a person has done what it could; one that failed may be worth another try.
fn exit_of(summary: &Summary) -> Exit {
    match summary.code {
        None => Exit::Done,
        Some(_) if summary.temporary => Exit::Later,
        Some(_) => Exit::Failed,
    }
}

fn to_text(summary: &Summary, mode: Mode) -> String {
    let mut text = String::new();
    if mode == Mode::DryRun {
        text.push_str("This was a dry run: nothing was changed. A sync would bring:\n");
    }
    let rows =
        summary.types.iter().filter(|(_, c)| c.created + c.updated + c.removed + c.unchanged > 0).map(|(t, c)| {
            let numbers = [c.created, c.updated, c.removed, c.unchanged].map(|number| number.to_string());
            std::iter::once(t.to_string()).chain(numbers).collect()
        });
    let rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        text.push_str(&output::table(&["", "new", "changed", "removed", "same"], rows));
    }
    let (tests, results) = (&summary.deliveries, &summary.results);
    if tests.fetched + tests.failed > 0 {
        let (verb, bytes) = (if mode == Mode::DryRun { "to fetch" } else { "fetched" }, output::bytes(tests.bytes));
        let DeliveryCounts { fetched, files, chunks, failed, .. } = tests;
        output::add(
            &mut text,
            format_args!("Tests: {fetched} {verb} ({files} files, {bytes} in {chunks} parts), {failed} not ready\n"),
        );
    }
    if results.sent + results.pending + results.refused > 0 {
        output::add(
            &mut text,
            format_args!(
                "Results: {} confirmed by central, {} waiting to be handed in, {} refused\n",
                results.sent, results.pending, results.refused
            ),
        );
    }
    if let Some(tao) = summary.tao.as_ref().filter(|tao| tao.is_change() || tao.waits()) {
        text.push_str(&pull::to_text(tao));
    }
    text.push_str(&sentence(summary, mode));
    text.extend(summary.advice.iter().map(|advice| format!("  → {advice}\n")));
    text
}

fn sentence(summary: &Summary, mode: Mode) -> String {
    let traffic = output::bytes(summary.bytes_down + summary.bytes_up);
    let figures = format!("{} requests, {traffic}, {:.1} s", summary.requests, summary.seconds);
    match (&summary.code, summary.status.as_str()) {
        (Some(code), _) => {
            let reason = summary.reason.as_deref().unwrap_or_default();
            let meaning =
                CODES.iter().find(|(known, _)| known == code).map_or("the sync failed", |(_, meaning)| meaning);
            let reason = if reason.is_empty() { meaning } else { reason };
            format!("The sync failed [{code}]: {reason} ({figures})\n")
        }
        _ if mode == Mode::DryRun => format!("({figures})\n"),
        (None, "success") if summary.proof == "digest" => format!("Equal to central ({figures}).\n"),
        (None, "success") if summary.proof == "listing" => {
            format!("Everything that central lists is here ({figures}).\n")
        }
        (None, "success") => format!("Done ({figures}).\n"),
        _ => format!("Done, but something is left to do ({figures}).\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taosync_sync::session::summary::{ResultCounts, TypeCounts};

    fn summary() -> Summary {
        let counts = TypeCounts { created: 12, updated: 1, removed: 0, unchanged: 187 };
        Summary {
            status: "success".into(),
            digest_equal: true,
            proof: "digest".into(),
            types: [(EntityType::TestTaker, counts), (EntityType::Proctor, TypeCounts::default())].into(),
            deliveries: DeliveryCounts {
                fetched: 1,
                bytes: 2_500_000,
                files: 20,
                chunks: 24,
                ..DeliveryCounts::default()
            },
            results: ResultCounts { sent: 27, ..ResultCounts::default() },
            requests: 5,
            bytes_down: 4_000,
            bytes_up: 1_000,
            seconds: 1.25,
            ..Summary::default()
        }
    }

    #[test]
    fn a_success_is_short() {
        insta::assert_snapshot!(to_text(&summary(), Mode::Apply));
        assert_eq!(exit_of(&summary()), Exit::Done);
    }

    #[test]
    fn a_failure_says_why_and_what_to_do() {
        let failed = Summary {
            status: "failed".into(),
            code: Some("TS-203".into()),
            temporary: true,
            reason: Some("no connection to central.example:8443: timed out".into()),
            advice: vec!["check the cable".into()],
            ..Summary::default()
        };
        insta::assert_snapshot!(to_text(&failed, Mode::Apply));
        assert_eq!(exit_of(&failed), Exit::Later);
        let refused = Summary { code: Some("TS-210".into()), temporary: false, ..failed };
        assert_eq!(exit_of(&refused), Exit::Failed);
    }

    #[test]
    fn a_dry_run_says_so() {
        insta::assert_snapshot!(to_text(&summary(), Mode::DryRun));
    }

    #[test]
    fn the_json_has_every_promised_field_at_the_top() {
        let value = serde_json::to_value(Answer { summary: &summary(), dry_run: false }).unwrap();
        for field in [
            "status",
            "epoch",
            "seq",
            "digest_equal",
            "proof",
            "requests",
            "bytes_down",
            "bytes_up",
            "bytes_socket",
            "seconds",
        ] {
            assert!(value.get(field).is_some(), "{field}");
        }
        for field in ["created", "updated", "removed", "unchanged"] {
            assert!(value["types"]["test-taker"].get(field).is_some(), "{field}");
        }
        for field in ["fetched", "compiled", "bytes", "files", "chunks", "failed", "seconds"] {
            assert!(value["deliveries"].get(field).is_some(), "{field}");
        }
        for field in ["sent", "duplicate", "refused", "pending"] {
            assert!(value["results"].get(field).is_some(), "{field}");
        }
    }

    #[test]
    fn the_configuration_reaches_the_hand_in() {
        let config = ResultService { delete_after_send: true, chunk_size: 7, ..ResultService::default() };
        let limits = up_limits(&config);
        assert_eq!(limits.items, 7);
        assert!(matches!(limits.after_receipt, AfterReceipt::Hide));
        assert_eq!(limits.states, config.status_executions_to_sync);
    }
}
