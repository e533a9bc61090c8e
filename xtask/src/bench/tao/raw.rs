//! The rows a school's TAO was given, inserted by nobody but the database's own client.

use std::time::Instant;

use anyhow::Context as _;
use taosync_testbed::{Kind, TestDatabase};
use tokio::runtime::Runtime;

/// Entities the program writes in one commit: a statement for each value, a checksum, a line of history.
const COMMIT: usize = 500;
/// Commits sent at once: below MariaDB's largest packet.
const AT_ONCE: usize = 10;

/// The rows, table by table, as lists of values.
pub struct Written {
    statements: Vec<String>,
    checksums: Vec<String>,
    history: Vec<String>,
}

/// The highest id of a statement.
pub fn highest(tao: &TestDatabase, runtime: &Runtime) -> anyhow::Result<i64> {
    let rows = runtime.block_on(tao.texts("SELECT CAST(MAX(id) AS CHAR(20)) FROM statements"));
    let cell = rows.into_iter().flatten().flatten().next().context("a TAO has statements")?;
    Ok(cell.trim().parse()?)
}

impl Written {
    /// Reads what came after a statement.
    pub fn read(tao: &TestDatabase, after: i64, runtime: &Runtime) -> Self {
        let rows = |sql: &str, row: fn(&str) -> String| -> Vec<String> {
            let rows = runtime.block_on(tao.texts(sql));
            rows.into_iter().map(|cells| row(&literals(tao.kind(), cells))).collect()
        };
        let statements =
            format!("SELECT subject, predicate, object, l_language FROM statements WHERE id > {after} ORDER BY id");
        Self {
            statements: rows(&statements, |cells| format!("(1, {cells}, '', '2026-05-12 08:00:00')")),
            checksums: rows("SELECT kv_id, kv_value FROM kv_store WHERE kv_id LIKE 'entity-checksum-%'", |cells| {
                format!("({cells}, 0)")
            }),
            history: rows("SELECT action, entity_id, type FROM synchronisation", |cells| {
                format!("(1, {cells}, '2026-05-12 08:00:00')")
            }),
        }
    }

    /// Inserts them into another TAO, in as many commits as the program makes; gives seconds.
    pub fn insert(&self, tao: &TestDatabase, runtime: &Runtime) -> f64 {
        let commits = self.history.len().div_ceil(COMMIT).max(1);
        let part = |rows: &[String], number: usize| {
            let size = rows.len().div_ceil(commits);
            rows.iter().skip(size * number).take(size).cloned().collect::<Vec<_>>().join(", ")
        };
        let heads = [
            "INSERT INTO statements (modelid, subject, predicate, object, l_language, author, epoch) VALUES ",
            "INSERT INTO kv_store (kv_id, kv_value, kv_time) VALUES ",
            "INSERT INTO synchronisation (sync_id, action, entity_id, type, time) VALUES ",
        ];
        let tables = [&self.statements, &self.checksums, &self.history];
        let transaction = |number: usize| {
            let inserts = heads.iter().zip(tables).map(|(head, rows)| (head, part(rows, number)));
            let inserts = inserts.filter(|(_, rows)| !rows.is_empty()).map(|(head, rows)| format!("{head}{rows};"));
            format!("BEGIN; {} COMMIT;", inserts.collect::<String>())
        };
        let transactions: Vec<String> = (0..commits).map(transaction).collect();
        let start = Instant::now();
        for some in transactions.chunks(AT_ONCE) {
            runtime.block_on(tao.execute(&some.concat()));
        }
        start.elapsed().as_secs_f64()
    }
}

/// Values as SQL writes them.
fn literals(kind: Kind, cells: Vec<Option<String>>) -> String {
    let literal = |cell: Option<String>| match (cell, kind) {
        (None, _) => "NULL".to_owned(),
        (Some(text), Kind::Postgres) => format!("'{}'", text.replace('\'', "''")),
        (Some(text), Kind::MariaDb) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''")),
    };
    cells.into_iter().map(literal).collect::<Vec<_>>().join(", ")
}
