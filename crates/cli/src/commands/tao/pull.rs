//! `taosync tao pull`: TAO's data into the feed (central), what came from central into TAO (local).

use serde::Serialize;
use taosync_store::settings::Role;
use taosync_sync::down::guard::Removals;
use taosync_sync::session::Mode;
use taosync_sync::tao_database::central_pull::{self, Delivery, Found};
use taosync_sync::tao_database::projection::{self, DeliveryState, Projected, Projection, Reach};
use taosync_sync::tao_database::{Installation, Outcome, TaoDatabaseError};

use super::Flow;
use crate::changes::{self, ChangeOptions, Ended, Report, Said, UnderWay};
use crate::context::Context;
use crate::failure::Failure;
use crate::locks::{self, Way};
use crate::node::Node;
use crate::output;

pub(super) async fn run(context: &Context, flow: Flow) -> Result<(), Failure> {
    let node = Node::open(context).await?;
    match node.identity.role {
        Role::Central => {
            node.store.views_refresh().await?;
            let answer = central(context, &node, flow.change()).await?;
            context.output.answer(&answer, || answer.to_text())
        }
        Role::Local => {
            // Not while a sync goes on, which writes into TAO at its end.
            let _lock = locks::sync_lock(node.place.dir(), Way::Down, &*node.clock)?;
            let removals = if flow.yes { Removals::Accepted } else { Removals::Guarded };
            let projected = local(&node, flow.mode(), removals, Reach::Everything).await?;
            context.output.answer(&projected, || to_text(&projected))
        }
    }
}

/// What a pull at central did.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// Whether TAO's data were as at the last pull, and so were not read.
    pub as_before: bool,
    /// What changed here.
    #[serde(flatten)]
    pub report: Report,
    /// What became of packages.
    pub packages: Outcome,
}

impl Answer {
    fn to_text(&self) -> String {
        let packages = if self.packages.counts.is_empty() && self.packages.notes.is_empty() {
            String::new()
        } else {
            format!("packages:\n{}", self.packages.told())
        };
        let data = if self.as_before {
            "TAO's data are as at the last pull.\n".to_owned()
        } else {
            format!("from TAO: {}", Report { dry_run: false, ..self.report.clone() }.to_text())
        };
        let end = if self.report.dry_run { "This was a dry run: nothing was changed.\n" } else { "" };
        format!("{data}{packages}{end}")
    }
}

/// Brings TAO's data in: entities in one transaction, under the guard of removals, then packages one by one.
pub async fn central(context: &Context, node: &Node, change: ChangeOptions) -> Result<Answer, Failure> {
    let mode = if change.dry_run { Mode::DryRun } else { Mode::Apply };
    // Two pulls at once would both see what is missing here.
    let _lock = locks::change_lock(node.place.dir()).await?;
    let installation = match mode {
        Mode::DryRun => Installation::open(&node.store).await?,
        Mode::Apply => Installation::open_adopted(&node.store).await?,
    };
    let brought = bring(context, node, &installation, change).await;
    installation.database.close().await;
    let Brought { as_before, report, deliveries } = brought?;
    let packages = central_pull::packages(&node.store, &installation, &deliveries, mode).await?;
    Ok(Answer { as_before, report, packages })
}

/// What came of the data of a TAO.
struct Brought {
    as_before: bool,
    report: Report,
    deliveries: Vec<Delivery>,
}

/// Brings entities in, part by part in one transaction; a person's word that is needed is asked for after it was undone.
async fn bring(
    context: &Context,
    node: &Node,
    installation: &Installation,
    mut change: ChangeOptions,
) -> Result<Brought, Failure> {
    loop {
        let mut pull = match central_pull::find(&node.store, installation).await? {
            Found::Unchanged(deliveries) => {
                let report = Report { dry_run: change.dry_run, ..Report::default() };
                return Ok(Brought { as_before: true, report, deliveries });
            }
            Found::Changed(pull) => pull,
        };
        let mut ready = pull.next(&node.store).await?;
        let mut under_way = UnderWay::begin(node).await?;
        while let Some(changes) = ready {
            // While one part is written, the next is read.
            let (written, next) = futures_util::future::join(under_way.add(changes), pull.next(&node.store)).await;
            written?;
            ready = next?;
        }
        let (pulled, deliveries) = pull.end();
        let said = Said { act: "tao.pull", object: "tao", pulled: Some(&pulled) };
        match under_way.end(change, None, &said).await? {
            Ended::Done(applied) => {
                return Ok(Brought { as_before: false, report: Report::of(&applied, change), deliveries });
            }
            Ended::NeedsWord(large) => change = changes::word(context, change, &large).await?,
        }
    }
}

/// Writes what came from central into TAO.
pub async fn local(node: &Node, mode: Mode, removals: Removals, reach: Reach) -> Result<Projected, Failure> {
    let installation = match mode {
        Mode::DryRun => Installation::open(&node.store).await?,
        Mode::Apply => Installation::open_adopted(&node.store).await?,
    };
    let plan = Projection {
        store: &node.store,
        database: &installation.database,
        schema: &installation.schema,
        files: installation.files.as_deref(),
        command: installation.command.as_deref(),
        mode,
        removals,
        reach,
    };
    let projected = projection::project(&plan).await;
    installation.database.close().await;
    Ok(projected.map_err(TaoDatabaseError::from)?)
}

/// Leaves TAO so that taoSync can go on.
pub async fn hand_back(node: &Node) -> Result<(), Failure> {
    let _lock = locks::sync_lock(node.place.dir(), Way::Down, &*node.clock)?;
    let Installation { database, schema, .. } = Installation::open_adopted(&node.store).await?;
    let done = projection::hand_back(&node.store, &database, &schema).await;
    database.close().await;
    done.map_err(TaoDatabaseError::from)?;
    Ok(())
}

/// The answer for people.
pub fn to_text(projected: &Projected) -> String {
    if projected.types.is_empty() && projected.deliveries.is_empty() && projected.held.is_empty() {
        return "TAO has everything as it is here.\n".to_owned();
    }
    let rows = projected.types.iter().map(|(entity_type, tally)| {
        let numbers = [tally.created, tally.updated, tally.removed, tally.recognised + tally.unchanged];
        let numbers = numbers.map(|number| number.to_string());
        [entity_type.to_string()].into_iter().chain(numbers).collect()
    });
    let mut text = output::table(&["into TAO", "created", "updated", "removed", "as it was"], rows);
    for delivery in &projected.deliveries {
        let told = match (&delivery.reason, delivery.state) {
            (Some(reason), _) => reason,
            (None, DeliveryState::Imported) if projected.dry_run => "to be imported by TAO",
            (None, DeliveryState::Imported) => "imported by TAO",
            (None, _) => continue,
        };
        output::add(&mut text, format_args!("{} ({}): {told}\n", delivery.label, delivery.uri));
    }
    for waiting in &projected.waiting {
        output::add(
            &mut text,
            format_args!("{} {} stays for now: {}\n", waiting.entity_type, waiting.uri, waiting.reason),
        );
    }
    for (entity_type, number) in &projected.held {
        output::add(
            &mut text,
            format_args!(
                "{number} {entity_type}s that central does not have stay; remove them with --accept-removals\n"
            ),
        );
    }
    if projected.dry_run {
        text.push_str("This was a dry run: nothing was changed.\n");
    }
    text
}
