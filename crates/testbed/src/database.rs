//! One database of one test, and what stands in it.

use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, PgConnection, QueryBuilder, Row as _};

use crate::convert;
use crate::dump::{Dump, Part, Rows};
use crate::server::{self, Kind, wait_for};

/// Values of one insert.
const INSERT_VALUES: usize = 16_000;

/// A database of its own; it goes when this is dropped.
#[derive(Debug)]
pub struct TestDatabase {
    kind: Kind,
    name: String,
    server: String,
    url: String,
}

impl TestDatabase {
    /// Makes an empty one. Says `SKIPPED:` when there is no such server on this machine.
    pub async fn new(kind: Kind) -> Option<Self> {
        match server::shared(kind) {
            Ok(server) => Some(Self::on(kind, server).await),
            Err(reason) => {
                println!("SKIPPED: {reason}");
                None
            }
        }
    }

    /// Makes an empty one on a server.
    ///
    /// # Panics
    /// When the server does not make it, as everything here does: a test has nothing to go on with then.
    pub async fn on(kind: Kind, server: &str) -> Self {
        let mut random = [0; 8];
        #[expect(clippy::disallowed_methods, reason = "the name of a throw-away database is no secret")]
        getrandom::fill(&mut random).expect("the system has randomness");
        let name = format!("tao_{}", hex::encode(random));
        let (base, _) = server.rsplit_once('/').expect("the address of a server names a database");
        let database = Self { kind, url: format!("{base}/{name}"), server: server.to_owned(), name };
        let sql = format!("CREATE DATABASE {}", database.name);
        run(kind, &database.server, &sql).await;
        database
    }

    /// A new one with this TAO in it.
    pub async fn with(kind: Kind, tao: &Dump) -> Option<Self> {
        let database = Self::new(kind).await?;
        database.load(tao).await;
        Some(database)
    }

    /// Its kind.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Brings tables and rows in.
    pub async fn load(&self, dump: &Dump) {
        match self.kind {
            Kind::Postgres => self.load_postgres(dump).await,
            Kind::MariaDb => self.load_mariadb(dump).await,
        }
    }

    /// Replaces everything by this TAO: the same server at another time.
    pub async fn switch(&self, dump: &Dump) {
        match self.kind {
            Kind::Postgres => self.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await,
            Kind::MariaDb => {
                let drops = convert::TABLES.iter().rev().map(|table| format!("DROP TABLE IF EXISTS {table};"));
                self.execute(&drops.collect::<String>()).await;
            }
        }
        self.load(dump).await;
    }

    /// Runs statements, as TAO or a person would.
    pub async fn execute(&self, sql: &str) {
        run(self.kind, &self.url, sql).await;
    }

    /// What a statement answers, everything as text. Cast numbers and moments to text in the statement.
    pub async fn texts(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        match self.kind {
            Kind::Postgres => {
                let mut connection = postgres(&self.url).await;
                let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await;
                let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
                rows.iter()
                    .map(|row| (0..row.len()).map(|i| row.try_get_unchecked(i).expect("a text")).collect())
                    .collect()
            }
            Kind::MariaDb => {
                let mut connection = mariadb(&self.url).await;
                let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await;
                let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
                rows.iter()
                    .map(|row| (0..row.len()).map(|i| row.try_get_unchecked(i).expect("a text")).collect())
                    .collect()
            }
        }
    }

    /// Waits until so many transactions wait for the lock that taosync takes before it writes.
    pub async fn until_waiting(&self, number: usize) {
        let sql = match self.kind {
            Kind::Postgres => {
                "SELECT CAST(pid AS text) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            }
            Kind::MariaDb => {
                "SELECT CAST(id AS CHAR(19)) FROM information_schema.processlist
                 WHERE db = DATABASE() AND state = 'User lock'"
            }
        };
        while self.texts(sql).await.len() < number {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    async fn load_postgres(&self, dump: &Dump) {
        let mut connection = postgres(&self.url).await;
        for part in &dump.parts {
            match part {
                Part::Sql(sql) => {
                    let done = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(&mut connection).await;
                    done.expect("PostgreSQL takes the statements of its own dump");
                }
                Part::Rows(rows) => {
                    let columns: Vec<_> = rows.columns.iter().map(|column| format!("\"{column}\"")).collect();
                    let copy = format!("COPY public.{} ({}) FROM STDIN", rows.table, columns.join(", "));
                    let mut copy = connection.copy_in_raw(&copy).await.expect("PostgreSQL takes rows");
                    copy.send(rows.text.as_bytes()).await.expect("PostgreSQL takes rows");
                    copy.finish().await.expect("PostgreSQL takes rows");
                }
            }
        }
        // A dump does not bring what a running TAO has learnt of its tables.
        sqlx::raw_sql("ANALYZE").execute(&mut connection).await.expect("PostgreSQL looks at its tables");
    }

    async fn load_mariadb(&self, dump: &Dump) {
        let mut connection = mariadb(&self.url).await;
        for statement in convert::tables(&dump.sql()) {
            let done = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut connection).await;
            done.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        for rows in dump.rows().filter(|rows| convert::TABLES.contains(&rows.table.as_str())) {
            insert(&mut connection, rows).await;
        }
    }
}

impl Drop for TestDatabase {
    /// Whoever is still connected is thrown out: pools give their connections back on the thread that waits here.
    fn drop(&mut self) {
        let (kind, name, server) = (self.kind, self.name.clone(), self.server.clone());
        wait_for(async move {
            match kind {
                Kind::Postgres => run(kind, &server, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await,
                Kind::MariaDb => {
                    let mut connection = mariadb(&server).await;
                    let ids = "SELECT CAST(id AS CHAR) FROM information_schema.processlist WHERE db = ?";
                    let ids: Vec<String> =
                        sqlx::query_scalar(ids).bind(&name).fetch_all(&mut connection).await.expect("MariaDB lists");
                    for id in ids {
                        // One that has ended meanwhile cannot be thrown out.
                        let _ = sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}"))).execute(&mut connection).await;
                    }
                    run(kind, &server, &format!("DROP DATABASE IF EXISTS {name}")).await;
                }
            }
        });
    }
}

async fn insert(connection: &mut MySqlConnection, rows: &Rows) {
    let columns: Vec<_> = rows.columns.iter().map(|column| format!("`{column}`")).collect();
    let head = format!("INSERT INTO {} ({}) ", rows.table, columns.join(", "));
    let cells: Vec<_> = rows.cells().collect();
    let mut transaction = sqlx::Connection::begin(connection).await.expect("MariaDB begins");
    for part in cells.chunks(INSERT_VALUES / columns.len().max(1)) {
        let mut query = QueryBuilder::<sqlx::MySql>::new(&head);
        query.push_values(part, |mut row, cells| {
            for cell in cells {
                row.push_bind(cell);
            }
        });
        let done = query.build().persistent(false).execute(&mut *transaction).await;
        done.unwrap_or_else(|error| panic!("rows of {}: {error}", rows.table));
    }
    transaction.commit().await.expect("MariaDB commits");
}

async fn run(kind: Kind, url: &str, sql: &str) {
    let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    let done = match kind {
        Kind::Postgres => query.execute(&mut postgres(url).await).await.map(drop),
        Kind::MariaDb => query.execute(&mut mariadb(url).await).await.map(drop),
    };
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn postgres(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("PostgreSQL answers")
}

async fn mariadb(url: &str) -> MySqlConnection {
    MySqlConnection::connect(url).await.expect("MariaDB answers")
}
