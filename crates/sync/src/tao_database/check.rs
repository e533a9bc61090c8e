//! What is there in a TAO, and what stands in the way of adopting it. Changes nothing.

mod standing;

use std::collections::BTreeMap;

use serde::Serialize;
use taosync_model::vocabulary as v;
use taosync_store::settings::Role;
use taosync_tao::read::entities::Overview;
use taosync_tao::schema::{Executions, History, StatementId};
use taosync_tao::{Kind, Reading, Schema, Statement, TaoError};

use super::{Installation, TaoDatabaseError, claimed};

/// Version text of one approved TAO.
const VM_VERSION: &str = "http://www.tao.lu/Ontologies/TAO.rdf#TaoVMVersion";
/// URIs named in one finding.
const NAMED: usize = 5;

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// Kind of the database.
    pub database: String,
    /// Which variant of TAO's tables, in words.
    pub variant: String,
    /// Whether this node does the syncing.
    pub adopted: bool,
    /// Versions of TAO that TAO itself lets sync.
    pub versions: Vec<String>,
    /// Entities by type, and what else is counted.
    pub counts: BTreeMap<String, u64>,
    /// What deserves a look.
    pub findings: Vec<Finding>,
}

/// One thing that deserves a look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether it stands in the way.
    pub severity: Severity,
    /// What is so.
    pub what: String,
    /// What to do.
    pub advice: String,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing can be adopted before it is gone.
    Stops,
    /// Everything works, but not for what it names.
    Warns,
}

impl Findings {
    /// What stands in the way.
    pub fn stoppers(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Stops)
    }

    /// Adds a finding.
    pub fn add(&mut self, severity: Severity, what: impl Into<String>, advice: impl Into<String>) {
        self.findings.push(Finding { severity, what: what.into(), advice: advice.into() });
    }
}

/// Looks at everything, in one unchanging picture.
pub async fn run(installation: &Installation, role: Role) -> Result<Findings, TaoDatabaseError> {
    let schema = &installation.schema;
    let mut findings = Findings {
        database: schema.kind.as_str().to_owned(),
        variant: variant(schema),
        adopted: installation.is_adopted,
        versions: Vec::new(),
        counts: BTreeMap::new(),
        findings: Vec::new(),
    };
    let mut reading = installation.database.read().await?;
    engine(&mut reading, &mut findings).await?;
    if schema.statement_id == StatementId::Text {
        let what = "the statements have texts as ids, which do not say what was written first";
        findings.add(Severity::Warns, what, "values of one property may come in another order than in TAO");
    }
    findings.versions = versions(&mut reading).await?;
    entities(&mut reading, installation, role, &mut findings).await?;
    if role == Role::Local {
        claimed(&mut reading, schema, &mut findings).await?;
    }
    standing::encryption(&mut reading, &mut findings).await?;
    standing::tasks(&mut reading, schema, &mut findings).await?;
    drop(reading);
    standing::rights(installation, role, &mut findings).await?;
    Ok(findings)
}

/// Results that taoSync will never hand in again although nothing shows that central has them.
async fn claimed(reading: &mut Reading, schema: &Schema, findings: &mut Findings) -> Result<(), TaoDatabaseError> {
    let claimed = claimed::find(reading, schema).await?;
    if !claimed.is_empty() {
        let what = format!(
            "taoSync marks {} as handed in, but central has confirmed nothing of the log: {}",
            several(claimed.len(), ["execution", "executions"]),
            named(&claimed)
        );
        findings.add(Severity::Warns, what, "once adopted, 'taosync tao push' takes them into the outbox");
    }
    Ok(())
}

fn variant(schema: &Schema) -> String {
    let executions = match schema.executions {
        Executions::Ontology => "executions among the statements",
        Executions::Table => "executions in a table of their own",
        Executions::KeyValue => "executions in the key-value store",
    };
    let history = match schema.history {
        History::Absent => "no taoSync",
        History::ByEntity => "taoSync for one organisation",
        History::ByOrganisation => "taoSync for several organisations",
    };
    format!("{executions}, {history}")
}

/// Without transactions nothing can be written wholly or not at all.
async fn engine(reading: &mut Reading, findings: &mut Findings) -> Result<(), TaoError> {
    if reading.kind() != Kind::MySql {
        return Ok(());
    }
    let statement = Statement::new(
        "SELECT table_name, engine FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN ",
    )
    .list([
        "statements",
        "kv_store",
        "results_storage",
        "variables_storage",
        "delivery_log",
        "delivery_executions",
    ]);
    for row in reading.rows(&statement).await? {
        if row.optional_text(1)? != Some("InnoDB") {
            let what = format!("table {} has no transactions", row.text(0)?);
            findings.add(Severity::Stops, what, "ALTER TABLE … ENGINE=InnoDB, after a backup");
        }
    }
    Ok(())
}

async fn versions(reading: &mut Reading) -> Result<Vec<String>, TaoError> {
    let statement = Statement::new("SELECT DISTINCT object FROM statements WHERE ")
        .equals("predicate", VM_VERSION)
        .push(" AND object IS NOT NULL ORDER BY object");
    reading.rows(&statement).await?.iter_mut().map(|row| row.take_text(0)).collect()
}

async fn entities(
    reading: &mut Reading,
    installation: &Installation,
    role: Role,
    findings: &mut Findings,
) -> Result<(), TaoError> {
    let overview = Overview::read(reading).await?;
    findings.counts = overview.counts().into_iter().map(|(entity_type, n)| (entity_type.to_string(), n)).collect();
    if role == Role::Local {
        return Ok(());
    }
    let all = overview.others(reading, &taosync_model::scope::FieldChoices::tao_default()).await?;
    let of =
        |entity_type| all.iter().filter(move |taken| taken.types.contains(&entity_type)).map(|taken| &taken.entity);
    let without: Vec<_> = of(taosync_model::EntityType::Delivery)
        .filter(|delivery| delivery.values(v::ORIGIN_TEST_PACKAGE).is_empty())
        .map(|delivery| delivery.uri.clone())
        .collect();
    if !without.is_empty() {
        let number = several(without.len(), ["delivery", "deliveries"]);
        let what = format!("of {number} TAO has made no package: {}", named(&without));
        findings.add(Severity::Warns, what, "save the properties in TAO once, with taoSync installed");
    }
    if installation.files.is_none() && of(taosync_model::EntityType::Delivery).next().is_some() {
        let what = "TAO's files are not known here, so that no package can be published";
        findings.add(Severity::Warns, what, "run 'taosync tao connect' again with --files DIR");
    }
    let no_org: Vec<_> = of(taosync_model::EntityType::TestCenter)
        .filter(|center| center.values(v::ORGANISATION_ID).is_empty())
        .map(|center| center.uri.clone())
        .collect();
    if !no_org.is_empty() {
        let number = several(no_org.len(), ["test center without", "test centers without"]);
        let what = format!("{number} an organisation id: {}", named(&no_org));
        findings.add(Severity::Warns, what, "only an unscoped local server ('*') sees this; give it an id in TAO");
    }
    Ok(())
}

fn several(number: usize, [single, many]: [&str; 2]) -> String {
    format!("{number} {}", if number == 1 { single } else { many })
}

fn named(uris: &[String]) -> String {
    let more = if uris.len() > NAMED { format!(" and {} more", uris.len() - NAMED) } else { String::new() };
    format!("{}{more}", uris.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", "))
}
