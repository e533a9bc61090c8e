//! Inserting the same final rows into the same tables with the same indexes and as many commits.
//!
//! The rows are read from the database the program has just written, whatever its schema, so the limit can never
//! drift away from the product.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Row, Sqlite, TypeInfo, ValueRef};

/// SQLite's default limit of bound values in one statement.
const MAX_BOUND: usize = 32_766;
const MAX_ROWS_PER_STATEMENT: usize = 500;

/// Number of rows a database holds in each table.
pub type RowCounts = BTreeMap<String, usize>;

/// Which rows of a database are inserted again.
pub enum Which<'a> {
    /// Those that were not there before, in key order.
    AddedSince(&'a RowCounts),
    /// The same share of every table, for changes that replace rows. At least one row of a table that has any.
    Share(f64),
}

/// Rows and schema taken from a database.
pub struct Captured {
    schema: Vec<String>,
    tables: Vec<Table>,
}

struct Table {
    name: String,
    columns: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// Rows in each table of a node's database.
pub fn count_rows(node: &Path) -> anyhow::Result<RowCounts> {
    blocking(async {
        let (_copy, mut database) = open_copy(node).await?;
        let mut counts = RowCounts::new();
        for name in table_names(&mut database).await? {
            let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(format!("SELECT count(*) FROM \"{name}\"")));
            counts.insert(name, count.fetch_one(&mut database).await? as usize);
        }
        Ok(counts)
    })
}

/// Takes rows and schema from a node's database.
pub fn capture(node: &Path, which: &Which<'_>) -> anyhow::Result<Captured> {
    blocking(async {
        let (_copy, mut database) = open_copy(node).await?;
        let mut tables = Vec::new();
        for name in table_names(&mut database).await? {
            tables.push(capture_table(&mut database, name, which).await?);
        }
        let statements = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND type IN ('table', 'index') \
                          AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type DESC, name";
        let schema = sqlx::query_scalar(statements).fetch_all(&mut database).await?;
        Ok(Captured { schema, tables })
    })
}

/// Seconds of inserting what was captured into an empty database in `commits` transactions, each safe on disk.
pub fn insert(captured: &Captured, commits: usize) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    blocking(async {
        let mut database = open(&folder.path().join("limit.db")).await?;
        for statement in &captured.schema {
            sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut database).await?;
        }
        let commits = commits.max(1);
        let start = Instant::now();
        for commit in 0..commits {
            sqlx::query("BEGIN IMMEDIATE").execute(&mut database).await?;
            for table in &captured.tables {
                let part = |n: usize| table.rows.len() * n / commits;
                insert_rows(&mut database, table, &table.rows[part(commit)..part(commit + 1)]).await?;
            }
            sqlx::query("COMMIT").execute(&mut database).await?;
        }
        let seconds = start.elapsed().as_secs_f64();
        database.close().await?;
        Ok(seconds)
    })
}

async fn insert_rows(database: &mut SqliteConnection, table: &Table, rows: &[Vec<Cell>]) -> anyhow::Result<()> {
    let at_once = (MAX_BOUND / table.columns.len().max(1)).clamp(1, MAX_ROWS_PER_STATEMENT);
    let into = format!("INSERT INTO \"{}\" (\"{}\") ", table.name, table.columns.join("\", \""));
    for chunk in rows.chunks(at_once) {
        let mut query = sqlx::QueryBuilder::<Sqlite>::new(into.clone());
        query.push_values(chunk, |mut values, row| {
            for cell in row {
                match cell {
                    Cell::Null => values.push_bind(None::<i64>),
                    Cell::Integer(number) => values.push_bind(*number),
                    Cell::Real(number) => values.push_bind(*number),
                    Cell::Text(text) => values.push_bind(text.as_str()),
                    Cell::Blob(bytes) => values.push_bind(bytes.as_slice()),
                };
            }
        });
        query.build().execute(&mut *database).await?;
    }
    Ok(())
}

async fn capture_table(database: &mut SqliteConnection, name: String, which: &Which<'_>) -> anyhow::Result<Table> {
    let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(format!("SELECT count(*) FROM \"{name}\"")));
    let count = count.fetch_one(&mut *database).await? as usize;
    let (skipped, taken) = match which {
        Which::AddedSince(before) => {
            let before = before.get(&name).copied().unwrap_or(0).min(count);
            (before, count - before)
        }
        Which::Share(share) => (0, (count as f64 * share).ceil() as usize),
    };
    let select = format!("SELECT * FROM \"{name}\" LIMIT {taken} OFFSET {skipped}");
    let rows = sqlx::query(AssertSqlSafe(select)).fetch_all(database).await?;
    let columns = rows.first().map_or(Vec::new(), |row| row.columns().iter().map(|c| c.name().to_owned()).collect());
    let rows = rows.iter().map(cells).collect::<anyhow::Result<_>>()?;
    Ok(Table { name, columns, rows })
}

fn cells(row: &SqliteRow) -> anyhow::Result<Vec<Cell>> {
    (0..row.columns().len()).map(|column| cell(row, column)).collect()
}

fn cell(row: &SqliteRow, column: usize) -> anyhow::Result<Cell> {
    // The declared type of a column may be wider than what stands in it: ask the value.
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        return Ok(Cell::Null);
    }
    Ok(match value.type_info().name() {
        "REAL" => Cell::Real(row.try_get_unchecked(column)?),
        "TEXT" => Cell::Text(row.try_get_unchecked(column)?),
        "BLOB" => Cell::Blob(row.try_get_unchecked(column)?),
        _ => Cell::Integer(row.try_get_unchecked(column)?),
    })
}

async fn table_names(database: &mut SqliteConnection) -> anyhow::Result<Vec<String>> {
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                 ORDER BY name";
    Ok(sqlx::query_scalar(names).fetch_all(database).await?)
}

/// A copy of a node's database with its log, so that reading it leaves the node as it was.
async fn open_copy(node: &Path) -> anyhow::Result<(tempfile::TempDir, SqliteConnection)> {
    let original = database_file(node).with_context(|| format!("no SQLite database in {}", node.display()))?;
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("copy.db");
    std::fs::copy(&original, &copy)?;
    let log = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
    if log(&original).exists() {
        std::fs::copy(log(&original), log(&copy))?;
    }
    let database = open(&copy).await?;
    Ok((folder, database))
}

async fn open(path: &Path) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(false);
    Ok(options.connect().await?)
}

/// The largest file below a folder that begins as SQLite files do.
fn database_file(folder: &Path) -> Option<PathBuf> {
    let mut found: Option<(u64, PathBuf)> = None;
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).ok()?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if is_database(&path) {
                let bytes = entry.metadata().map_or(0, |m| m.len());
                found = found.filter(|(most, _)| *most >= bytes).or(Some((bytes, path)));
            }
        }
    }
    found.map(|(_, path)| path)
}

fn is_database(path: &Path) -> bool {
    let mut start = [0; 16];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && &start == b"SQLite format 3\0"
}

fn blocking<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node_with_rows(rows: i64) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("data")).expect("a folder");
        blocking(async {
            let mut database = open(&folder.path().join("data/node.db")).await?;
            let schema = "CREATE TABLE thing (id INTEGER PRIMARY KEY, uri TEXT NOT NULL UNIQUE, body BLOB, weight \
                          REAL) STRICT; CREATE INDEX thing_weight ON thing (weight); CREATE TABLE empty (x)";
            sqlx::raw_sql(schema).execute(&mut database).await?;
            for id in 0..rows {
                let insert = "INSERT INTO thing VALUES ($1, 'u' || $1, CASE WHEN $1 % 2 THEN x'00ff' END, 0.5)";
                sqlx::query(insert).bind(id).execute(&mut database).await?;
            }
            database.close().await?;
            Ok(())
        })
        .expect("a database");
        folder
    }

    #[test]
    fn rows_are_taken_as_they_stand_and_inserted_again() {
        let node = node_with_rows(1200);
        let counts = count_rows(node.path()).expect("counts");
        assert_eq!(counts, [("empty".to_owned(), 0), ("thing".to_owned(), 1200)].into());
        let all = capture(node.path(), &Which::AddedSince(&RowCounts::new())).expect("captured");
        assert_eq!(all.tables[1].rows.len(), 1200);
        assert!(
            matches!(&all.tables[1].rows[1][..], [Cell::Integer(1), Cell::Text(uri), Cell::Blob(body), Cell::Real(_)]
            if uri == "u1" && body == &[0, 255])
        );
        assert!(matches!(all.tables[1].rows[2][2], Cell::Null));
        assert!(insert(&all, 3).expect("inserts") > 0.0);
        let new = capture(node.path(), &Which::AddedSince(&[("thing".to_owned(), 1190)].into())).expect("captured");
        assert!(matches!(new.tables[1].rows[0][0], Cell::Integer(1190)) && new.tables[1].rows.len() == 10);
        let share = capture(node.path(), &Which::Share(0.001)).expect("captured");
        assert_eq!(share.tables[1].rows.len(), 2);
    }

    #[test]
    fn a_folder_without_a_database_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = count_rows(folder.path()).expect_err("nothing there").to_string();
        assert!(error.contains("no SQLite database"), "{error}");
    }
}
