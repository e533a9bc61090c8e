//! One connection out of a pool, with an open transaction on it.

use std::pin::pin;

use futures_util::{Stream, TryStreamExt as _};
use sqlx::mysql::MySqlArguments;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, MySql, Postgres};

use crate::statement::{MAX_BYTES, MAX_VALUES, Rendered};
use crate::{Kind, Row, Statement, TaoError, Value};

/// A connection; dropping it gives it back to its pool, which undoes what is open and lets go of the lock. One that is
/// dropped in the middle of a statement is closed instead: what its database still answers would be taken for the answer
/// to the next one, and the server undoes and lets go by itself.
pub(crate) struct Connection {
    link: Link,
    /// A statement was sent and its answer not read to the end.
    is_busy: bool,
}

enum Link {
    Postgres(PoolConnection<Postgres>),
    MySql(PoolConnection<MySql>),
    Closed,
}

/// All rows of an answer, each in our form as it comes: the database's own would take as much again. The answer is read to
/// its end, also when a row of it cannot be read.
async fn collected<R>(
    rows: impl Stream<Item = Result<R, sqlx::Error>>,
    of: impl Fn(&R) -> Result<Row, sqlx::Error>,
) -> Result<Vec<Row>, sqlx::Error> {
    let (mut rows, mut collected) = (pin!(rows), Ok(Vec::new()));
    while let Some(row) = rows.try_next().await? {
        if let Ok(list) = &mut collected {
            match of(&row) {
                Ok(row) => list.push(row),
                Err(error) => collected = Err(error),
            }
        }
    }
    collected
}

impl Connection {
    pub const fn postgres(connection: PoolConnection<Postgres>) -> Self {
        Self { link: Link::Postgres(connection), is_busy: false }
    }

    pub const fn mysql(connection: PoolConnection<MySql>) -> Self {
        Self { link: Link::MySql(connection), is_busy: false }
    }

    pub const fn kind(&self) -> Kind {
        match self.link {
            Link::Postgres(_) => Kind::Postgres,
            Link::MySql(_) | Link::Closed => Kind::MySql,
        }
    }

    /// Runs statements that have no values and give no rows.
    pub async fn run(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        self.is_busy = true;
        let answer = match &mut self.link {
            Link::Postgres(connection) => sqlx::raw_sql(sql).execute(&mut **connection).await.map(drop),
            Link::MySql(connection) => sqlx::raw_sql(sql).execute(&mut **connection).await.map(drop),
            Link::Closed => Err(sqlx::Error::PoolClosed),
        };
        self.is_busy = false;
        answer
    }

    pub async fn rows(&mut self, statement: &Statement, what: &'static str) -> Result<Vec<Row>, TaoError> {
        let Rendered { sql, values } = self.render(statement, what)?;
        self.is_busy = true;
        let answer = match &mut self.link {
            Link::Postgres(connection) => {
                let query = postgres_query(sql, values);
                collected(query.fetch(&mut **connection), Row::of_postgres).await
            }
            Link::MySql(connection) => {
                let query = mysql_query(sql, values);
                collected(query.fetch(&mut **connection), Row::of_mysql).await
            }
            Link::Closed => Err(sqlx::Error::PoolClosed),
        };
        self.is_busy = false;
        answer.map_err(TaoError::sql(what))
    }

    pub async fn execute(&mut self, statement: &Statement, what: &'static str) -> Result<u64, TaoError> {
        let Rendered { sql, values } = self.render(statement, what)?;
        self.is_busy = true;
        let answer = match &mut self.link {
            Link::Postgres(connection) => {
                let query = postgres_query(sql, values);
                query.execute(&mut **connection).await.map(|done| done.rows_affected())
            }
            Link::MySql(connection) => {
                let query = mysql_query(sql, values);
                query.execute(&mut **connection).await.map(|done| done.rows_affected())
            }
            Link::Closed => Err(sqlx::Error::PoolClosed),
        };
        self.is_busy = false;
        answer.map_err(TaoError::sql(what))
    }

    fn render(&self, statement: &Statement, what: &'static str) -> Result<Rendered, TaoError> {
        let rendered = statement.render(self.kind());
        let (values, bytes) = (rendered.values.len(), rendered.bytes());
        if values > MAX_VALUES || bytes > MAX_BYTES {
            return Err(TaoError::TooLarge { what, values, bytes });
        }
        Ok(rendered)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.is_busy {
            match std::mem::replace(&mut self.link, Link::Closed) {
                Link::Postgres(connection) => drop(connection.detach()),
                Link::MySql(connection) => drop(connection.detach()),
                Link::Closed => {}
            }
        }
    }
}

// Most statements differ in their number of values: keeping each prepared would only fill memory.

fn postgres_query(sql: String, values: Vec<Value>) -> Query<'static, Postgres, PgArguments> {
    let query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    values.into_iter().fold(query, |query, value| match value {
        Value::Integer(number) => query.bind(number),
        Value::Text(text) | Value::Moment(text) | Value::Json(text) => query.bind(text),
        Value::Null => query,
    })
}

fn mysql_query(sql: String, values: Vec<Value>) -> Query<'static, MySql, MySqlArguments> {
    let query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    values.into_iter().fold(query, |query, value| match value {
        Value::Integer(number) => query.bind(number),
        Value::Text(text) | Value::Moment(text) | Value::Json(text) => query.bind(text),
        Value::Null => query,
    })
}
