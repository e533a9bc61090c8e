//! Which of TAO's variants a database is (WIRE §15). What is unknown is refused before anything is written.

use std::collections::BTreeMap;

use Holds::{Integer, Json, Moment, Text};

use crate::{Kind, Reading, Row, Statement, TaoError};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A number.
    Integer,
    /// A text.
    Text,
    /// A moment.
    Moment,
    /// JSON.
    Json,
    /// Something else.
    Other,
}

/// A column as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Column {
    holds: Holds,
    /// Whether a row can be written without it.
    may_miss: bool,
}

/// How the `id` of `statements` is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementId {
    /// Counted by the database.
    Counted,
    /// A text the writer makes ("new SQL" variant); it does not say what was written first.
    Text,
}

/// Where TAO keeps delivery executions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executions {
    /// In `statements`, TAO's default.
    Ontology,
    /// In the table `delivery_executions`.
    Table,
    /// In `kv_store`, under `kve_de_…`.
    KeyValue,
}

/// What the history of a client (`synchronisation`) is kept by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// There is no such table: taoSync was never installed.
    Absent,
    /// By entity.
    ByEntity,
    /// By entity and organisation, which is a text in `organisation_id`.
    ByOrganisation,
}

/// A TAO database this program knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Kind of the database.
    pub kind: Kind,
    /// How the ids of statements are made.
    pub statement_id: StatementId,
    /// Where delivery executions are.
    pub executions: Executions,
    /// What the client's history is kept by.
    pub history: History,
    /// Whether rows of `delivery_log` say that they were synced (a column taoSync adds).
    pub log_is_synced: bool,
    tables: BTreeMap<String, BTreeMap<String, Column>>,
}

/// A table of WIRE §15 with the columns this program reads or writes, and what they hold.
struct Known {
    table: &'static str,
    columns: &'static [(&'static str, &'static [Holds])],
}

const NUMBER: &[Holds] = &[Integer];
const TEXT: &[Holds] = &[Text];
const MOMENT: &[Holds] = &[Moment];
/// As a text in versions before, and in those that keep seconds with a fraction.
const TEXT_OR_MOMENT: &[Holds] = &[Text, Moment];
const NUMBER_OR_TEXT: &[Holds] = &[Integer, Text];
const TEXT_OR_JSON: &[Holds] = &[Text, Json];

const STATEMENTS: Known = Known {
    table: "statements",
    columns: &[
        ("modelid", NUMBER),
        ("subject", TEXT),
        ("predicate", TEXT),
        ("object", TEXT),
        ("l_language", TEXT),
        ("id", NUMBER_OR_TEXT),
        ("author", TEXT),
        ("epoch", TEXT_OR_MOMENT),
    ],
};

/// Tables that a TAO may lack.
const OTHERS: &[Known] = &[
    Known { table: "kv_store", columns: &[("kv_id", TEXT), ("kv_value", TEXT), ("kv_time", NUMBER)] },
    Known {
        table: "synchronisation",
        columns: &[
            ("sync_id", NUMBER),
            ("action", TEXT),
            ("entity_id", TEXT),
            ("type", TEXT),
            ("time", MOMENT),
            ("id", NUMBER),
        ],
    },
    Known {
        table: "synchronisation_result",
        columns: &[("id", TEXT), ("status", TEXT), ("time", MOMENT), ("session_synced", NUMBER)],
    },
    Known {
        table: "delivery_log",
        columns: &[
            ("id", NUMBER),
            ("delivery_execution_id", TEXT),
            ("event_id", TEXT),
            ("data", TEXT),
            ("created_at", TEXT),
            ("created_by", TEXT),
        ],
    },
    Known { table: "results_storage", columns: &[("result_id", TEXT), ("test_taker", TEXT), ("delivery", TEXT)] },
    Known {
        table: "variables_storage",
        columns: &[
            ("variable_id", NUMBER),
            ("call_id_test", TEXT),
            ("call_id_item", TEXT),
            ("test", TEXT),
            ("item", TEXT),
            ("value", TEXT),
            ("identifier", TEXT),
            ("results_result_id", TEXT),
            ("variable_hash", TEXT),
        ],
    },
    Known {
        table: "delivery_executions",
        columns: &[
            ("id", TEXT),
            ("delivery_id", TEXT),
            ("user_id", TEXT),
            ("label", TEXT),
            ("status", TEXT),
            ("started_at", MOMENT),
            ("finished_at", MOMENT),
        ],
    },
    Known {
        table: "delivery_monitoring",
        columns: &[
            ("delivery_execution_id", TEXT),
            ("status", TEXT),
            ("test_taker", TEXT),
            ("delivery_id", TEXT),
            ("extra_data", TEXT_OR_JSON),
        ],
    },
];

/// Columns that exist in some variants only.
const OPTIONAL: &[(&str, &str)] = &[("synchronisation", "organisation_id"), ("delivery_log", "is_synced")];

impl Schema {
    /// Looks which variant this is. A table that is not as expected is an error that names it.
    pub async fn recognise(reading: &mut Reading) -> Result<Self, TaoError> {
        reading.note_recognised(false);
        let tables = tables(reading).await?;
        if !tables.contains_key(STATEMENTS.table) {
            return Err(TaoError::NoTao);
        }
        known(&tables, &STATEMENTS)?;
        for other in OTHERS.iter().filter(|known| tables.contains_key(known.table)) {
            known(&tables, other)?;
        }
        let schema = Self {
            kind: reading.kind(),
            statement_id: match column(&tables, "statements", "id").map(|column| column.holds) {
                Some(Integer) => StatementId::Counted,
                _ => StatementId::Text,
            },
            executions: executions(reading, &tables).await?,
            history: history(&tables)?,
            log_is_synced: column(&tables, "delivery_log", "is_synced").is_some(),
            tables,
        };
        reading.note_recognised(true);
        Ok(schema)
    }

    /// Whether there is a table of this name.
    pub fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// What a column holds, if there is one.
    pub fn holds(&self, table: &str, name: &str) -> Option<Holds> {
        column(&self.tables, table, name).map(|column| column.holds)
    }
}

type Tables = BTreeMap<String, BTreeMap<String, Column>>;

fn column(tables: &Tables, table: &str, name: &str) -> Option<Column> {
    tables.get(table)?.get(name).copied()
}

/// All tables of TAO's own schema, with their columns.
async fn tables(reading: &mut Reading) -> Result<Tables, TaoError> {
    let statement = Statement::new(
        "SELECT table_name, column_name, data_type,
           CASE WHEN is_nullable = 'YES' OR column_default IS NOT NULL",
    )
    .either(" OR is_identity = 'YES'", " OR extra LIKE '%auto_increment%'")
    .push(" THEN 1 ELSE 0 END FROM information_schema.columns WHERE table_schema = ")
    .either("current_schema()", "DATABASE()");
    let mut tables = Tables::new();
    for row in reading.rows(&statement).await? {
        let column = Column { holds: holds(row.text(2)?), may_miss: row.integer(3)? != 0 };
        tables.entry(name(&row, 0)?).or_default().insert(name(&row, 1)?, column);
    }
    Ok(tables)
}

/// Names are folded: MySQL on some systems gives tables in capitals.
fn name(row: &Row, column: usize) -> Result<String, TaoError> {
    Ok(row.text(column)?.to_ascii_lowercase())
}

fn holds(data_type: &str) -> Holds {
    let data_type = data_type.to_ascii_lowercase();
    match data_type.as_str() {
        "text" | "character varying" | "character" | "varchar" | "char" | "tinytext" | "mediumtext" | "longtext" => {
            Text
        }
        "json" | "jsonb" => Json,
        "datetime" => Moment,
        "integer" | "int" | "bigint" | "smallint" | "mediumint" | "tinyint" => Integer,
        _ if data_type.starts_with("timestamp") => Moment,
        _ => Holds::Other,
    }
}

/// Whether a table has the columns of WIRE §15, and none that must be filled and is unknown.
fn known(tables: &Tables, known: &Known) -> Result<(), TaoError> {
    let table = known.table;
    let Some(found) = tables.get(table) else {
        return Err(unrecognised(format!("there is no table {table}")));
    };
    for (name, may_hold) in known.columns {
        match found.get(*name) {
            None => return Err(unrecognised(format!("table {table} has no column {name}"))),
            Some(column) if !may_hold.contains(&column.holds) => {
                return Err(unrecognised(format!("column {name} of table {table} holds another kind of value")));
            }
            Some(_) => {}
        }
    }
    let is_known =
        |name: &str| known.columns.iter().any(|(known, _)| *known == name) || OPTIONAL.contains(&(table, name));
    match found.iter().find(|(name, column)| !column.may_miss && !is_known(name)) {
        Some((name, _)) => Err(unrecognised(format!("table {table} has an unknown column {name} that must be filled"))),
        None => Ok(()),
    }
}

fn unrecognised(what: String) -> TaoError {
    TaoError::Unrecognised { what }
}

fn history(tables: &Tables) -> Result<History, TaoError> {
    let Some(columns) = tables.get("synchronisation") else { return Ok(History::Absent) };
    if columns.contains_key("organisationid") {
        let what = "column organisationId of table synchronisation is that of an early taoSync".to_owned();
        return Err(unrecognised(what));
    }
    match columns.get("organisation_id").map(|column| column.holds) {
        None => Ok(History::ByEntity),
        Some(Text) => Ok(History::ByOrganisation),
        Some(_) => Err(unrecognised("column organisation_id of table synchronisation is not a text".to_owned())),
    }
}

/// The storage that is in use; TAO's default where nobody has taken a test yet. TAO installs the tables of the others
/// beside it, so that a table alone says nothing.
async fn executions(reading: &mut Reading, tables: &Tables) -> Result<Executions, TaoError> {
    if tables.contains_key("delivery_executions")
        && any(reading, &Statement::new("SELECT id FROM delivery_executions LIMIT 1")).await?
    {
        return Ok(Executions::Table);
    }
    if tables.contains_key("kv_store")
        && any(reading, &Statement::new("SELECT kv_id FROM kv_store WHERE kv_id LIKE 'kve#_de#_%' ESCAPE '#' LIMIT 1"))
            .await?
    {
        return Ok(Executions::KeyValue);
    }
    Ok(Executions::Ontology)
}

async fn any(reading: &mut Reading, statement: &Statement) -> Result<bool, TaoError> {
    Ok(!reading.rows(statement).await?.is_empty())
}
