//! SQL for both databases: the text is fixed when the program is built, everything that varies is a value beside it.

use std::fmt::{self, Write as _};

use crate::Kind;

/// Values of one statement at most: both databases count them in 16 bits.
pub const MAX_VALUES: usize = 65_535;
/// Bytes of all values of one statement at most: MySQL's smallest `max_allowed_packet` in use is 4 MiB.
pub const MAX_BYTES: usize = 3 * 1024 * 1024;
/// Values and bytes of one statement of a batch: large enough to be fast, small enough to be planned quickly.
const BATCH_VALUES: usize = 16_000;
const BATCH_BYTES: usize = 1024 * 1024;

/// A value beside the SQL. Its `Debug` shows no text: that may be a password's hash or an answer.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// No value.
    Null,
    /// A text.
    Text(String),
    /// A number.
    Integer(i64),
    /// A moment for a column of that kind, as `YYYY-MM-DD hh:mm:ss`, UTC.
    Moment(String),
    /// JSON for a column of that kind (PostgreSQL's `jsonb`, MySQL's `json`).
    Json(String),
}

impl Value {
    fn bytes(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Integer(_) => 8,
            Self::Text(text) | Self::Moment(text) | Self::Json(text) => text.len(),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Integer(number) => write!(f, "Integer({number})"),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Moment(text) => write!(f, "Moment({} bytes)", text.len()),
            Self::Json(text) => write!(f, "Json({} bytes)", text.len()),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[derive(Clone, Debug)]
enum Part {
    Sql(&'static str),
    /// The text for PostgreSQL, and that for MySQL.
    Either(&'static str, &'static str),
    /// A name that must be quoted, such as `time`.
    Name(&'static str),
    Value(Value),
    Among {
        column: &'static str,
        values: Vec<Value>,
    },
}

/// A statement, built from left to right.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Statement {
    parts: Vec<Part>,
}

/// A statement as one database wants it.
pub(crate) struct Rendered {
    pub sql: String,
    pub values: Vec<Value>,
}

impl Statement {
    /// A statement that begins so.
    pub fn new(sql: &'static str) -> Self {
        Self { parts: vec![Part::Sql(sql)] }
    }

    /// Adds SQL.
    pub fn push(mut self, sql: &'static str) -> Self {
        self.parts.push(Part::Sql(sql));
        self
    }

    /// Adds SQL that differs between the databases.
    pub fn either(mut self, postgres: &'static str, mysql: &'static str) -> Self {
        self.parts.push(Part::Either(postgres, mysql));
        self
    }

    /// Adds the name of a column that is a word of SQL, quoted.
    pub fn name(mut self, name: &'static str) -> Self {
        self.parts.push(Part::Name(name));
        self
    }

    /// Adds a value.
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.parts.push(Part::Value(value.into()));
        self
    }

    /// Adds values in brackets, for `IN`. Without any it holds `NULL`, which nothing is equal to.
    pub fn list<V: Into<Value>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        let mut separator = "(";
        for value in values {
            self = self.push(separator).bind(value);
            separator = ", ";
        }
        if separator == "(" { self.push("(NULL)") } else { self.push(")") }
    }

    /// Adds rows for `VALUES`; see [`batches`] for how many.
    pub fn tuples(mut self, rows: &[Vec<Value>]) -> Self {
        for (place, row) in rows.iter().enumerate() {
            if place > 0 {
                self = self.push(", ");
            }
            self = self.list(row.iter().cloned());
        }
        self
    }

    /// Adds "column = value", byte for byte also where MySQL's collation would fold case or blanks. The index on the
    /// column is used.
    pub fn equals(self, column: &'static str, value: impl Into<Value>) -> Self {
        self.among(column, [value.into()])
    }

    /// Adds "column is one of these", byte for byte as [`Statement::equals`].
    pub fn among<V: Into<Value>>(mut self, column: &'static str, values: impl IntoIterator<Item = V>) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.parts.push(Part::Among { column, values });
        self
    }

    pub(crate) fn render(&self, kind: Kind) -> Rendered {
        let mut rendered = Rendered { sql: String::new(), values: Vec::new() };
        for part in &self.parts {
            match (part, kind) {
                (Part::Sql(sql), _) | (Part::Either(sql, _), Kind::Postgres) | (Part::Either(_, sql), Kind::MySql) => {
                    rendered.sql.push_str(sql);
                }
                (Part::Name(name), Kind::Postgres) => add(&mut rendered.sql, format_args!("\"{name}\"")),
                (Part::Name(name), Kind::MySql) => add(&mut rendered.sql, format_args!("`{name}`")),
                (Part::Value(value), _) => rendered.bind(value, kind),
                (Part::Among { column, values }, Kind::Postgres) => {
                    rendered.sql.push_str(column);
                    rendered.in_list(values, kind);
                }
                (Part::Among { column, values }, Kind::MySql) => {
                    // The first half finds by the index, the second compares bytes.
                    add(&mut rendered.sql, format_args!("({column}"));
                    rendered.in_list(values, kind);
                    add(&mut rendered.sql, format_args!(" AND CAST(CONVERT({column} USING utf8mb4) AS BINARY)"));
                    rendered.in_list(values, kind);
                    rendered.sql.push(')');
                }
            }
        }
        rendered
    }
}

fn add(sql: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = sql.write_fmt(text);
}

impl Rendered {
    /// Bytes of all values.
    pub fn bytes(&self) -> usize {
        self.values.iter().map(Value::bytes).sum()
    }

    fn bind(&mut self, value: &Value, kind: Kind) {
        // Without a value there is nothing PostgreSQL could take the type of a place from.
        if *value == Value::Null {
            self.sql.push_str("NULL");
            return;
        }
        self.values.push(value.clone());
        let number = self.values.len();
        match (kind, value) {
            (Kind::MySql, _) => self.sql.push('?'),
            (Kind::Postgres, Value::Moment(_)) => add(&mut self.sql, format_args!("CAST(${number} AS timestamp)")),
            (Kind::Postgres, Value::Json(_)) => add(&mut self.sql, format_args!("CAST(${number} AS jsonb)")),
            (Kind::Postgres, _) => add(&mut self.sql, format_args!("${number}")),
        }
    }

    fn in_list(&mut self, values: &[Value], kind: Kind) {
        self.sql.push_str(" IN (");
        for (place, value) in values.iter().enumerate() {
            if place > 0 {
                self.sql.push_str(", ");
            }
            self.bind(value, kind);
        }
        if values.is_empty() {
            self.sql.push_str("NULL");
        }
        self.sql.push(')');
    }
}

/// Cuts rows into batches of which each fits one statement.
pub fn batches(rows: &[Vec<Value>]) -> Vec<&[Vec<Value>]> {
    let (mut batches, mut rest) = (Vec::new(), rows);
    while !rest.is_empty() {
        let (mut values, mut bytes, mut number) = (0, 0, 0);
        for row in rest {
            values += row.len();
            bytes += row.iter().map(Value::bytes).sum::<usize>();
            if number > 0 && (values > BATCH_VALUES || bytes > BATCH_BYTES) {
                break;
            }
            number += 1;
        }
        let (batch, others) = rest.split_at(number);
        batches.push(batch);
        rest = others;
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(statement: &Statement) -> [String; 2] {
        [Kind::Postgres, Kind::MySql].map(|kind| statement.render(kind).sql)
    }

    #[test]
    fn one_statement_is_written_for_both_databases() {
        let statement = Statement::new("UPDATE t SET ")
            .name("time")
            .push(" = ")
            .bind(Value::Moment("2026-05-12 08:00:00".into()))
            .push(", a = ")
            .bind(None::<&str>)
            .push(" WHERE b IN ")
            .list([1, 2].map(Value::Integer))
            .either(" FOR UPDATE", " LOCK IN SHARE MODE");
        assert_eq!(
            sql(&statement),
            [
                "UPDATE t SET \"time\" = CAST($1 AS timestamp), a = NULL WHERE b IN ($2, $3) FOR UPDATE",
                "UPDATE t SET `time` = ?, a = NULL WHERE b IN (?, ?) LOCK IN SHARE MODE",
            ]
        );
        assert_eq!(
            sql(&Statement::new("SELECT 1 WHERE 1 IN ").list(Vec::<Value>::new()))[0],
            "SELECT 1 WHERE 1 IN (NULL)"
        );
    }

    #[test]
    fn texts_are_compared_byte_for_byte() {
        let statement = Statement::new("SELECT 1 FROM t WHERE ").equals("a", "x");
        let [postgres, mysql] = sql(&statement);
        assert_eq!(postgres, "SELECT 1 FROM t WHERE a IN ($1)");
        assert_eq!(mysql, "SELECT 1 FROM t WHERE (a IN (?) AND CAST(CONVERT(a USING utf8mb4) AS BINARY) IN (?))");
        assert_eq!(statement.render(Kind::MySql).values.len(), 2);
    }

    #[test]
    fn rows_are_cut_into_batches_by_number_and_by_size() {
        let row = |text: &str| vec![Value::from(text), Value::Integer(1)];
        let many: Vec<_> = (0..BATCH_VALUES).map(|_| row("a")).collect();
        let cut = batches(&many);
        assert_eq!(cut.iter().map(|batch| batch.len()).collect::<Vec<_>>(), [BATCH_VALUES / 2, BATCH_VALUES / 2]);
        let large: Vec<_> = (0..3).map(|_| row(&"x".repeat(BATCH_BYTES - 8))).collect();
        assert_eq!(batches(&large).len(), 3);
        assert!(batches(&[]).is_empty());
    }

    #[test]
    fn debug_shows_no_text() {
        let shown = format!("{:?}", Statement::new("SELECT ").bind("secret").list(["hash"]));
        assert!(!shown.contains("secret") && !shown.contains("hash"), "{shown}");
    }
}
