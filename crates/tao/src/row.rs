//! What a database answers: texts and numbers, nothing else. Moments and JSON are cast to text in the statement.

use sqlx::mysql::MySqlRow;
use sqlx::postgres::PgRow;
use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _};

use crate::{TaoError, Value};

/// One row of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    cells: Vec<Value>,
}

impl Row {
    /// The text in a column, counted from 0.
    pub fn text(&self, column: usize) -> Result<&str, TaoError> {
        self.optional_text(column)?.ok_or_else(|| damaged(column, "is empty where a text has to be"))
    }

    /// The text in a column, if there is one.
    pub fn optional_text(&self, column: usize) -> Result<Option<&str>, TaoError> {
        match self.cells.get(column) {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Null) => Ok(None),
            _ => Err(damaged(column, "is not a text")),
        }
    }

    /// Takes the text out of a column; it is empty afterwards.
    pub fn take_text(&mut self, column: usize) -> Result<String, TaoError> {
        match self.cells.get_mut(column).map(|cell| std::mem::replace(cell, Value::Null)) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(damaged(column, "is not a text")),
        }
    }

    /// The number in a column; one that is written as text is read.
    pub fn integer(&self, column: usize) -> Result<i64, TaoError> {
        self.optional_integer(column)?.ok_or_else(|| damaged(column, "is empty where a number has to be"))
    }

    /// The number in a column, if there is one.
    pub fn optional_integer(&self, column: usize) -> Result<Option<i64>, TaoError> {
        match self.cells.get(column) {
            Some(Value::Integer(number)) => Ok(Some(*number)),
            Some(Value::Null) => Ok(None),
            Some(Value::Text(text)) => text.trim().parse().map(Some).map_err(|_| damaged(column, "is not a number")),
            _ => Err(damaged(column, "is not a number")),
        }
    }

    pub(crate) fn of_postgres(row: &PgRow) -> Result<Self, sqlx::Error> {
        let cells = (0..row.len()).map(|column| {
            let raw = row.try_get_raw(column)?;
            if raw.is_null() {
                return Ok(Value::Null);
            }
            match raw.type_info().name() {
                "INT2" => row.try_get_unchecked::<i16, _>(column).map(|number| Value::Integer(number.into())),
                "INT4" => row.try_get_unchecked::<i32, _>(column).map(|number| Value::Integer(number.into())),
                "INT8" => row.try_get_unchecked(column).map(Value::Integer),
                "BOOL" => row.try_get_unchecked::<bool, _>(column).map(|yes| Value::Integer(yes.into())),
                "TEXT" | "VARCHAR" | "CHAR" | "NAME" => row.try_get_unchecked(column).map(Value::Text),
                other => Err(not_cast(row.column(column).name(), other)),
            }
        });
        Ok(Self { cells: cells.collect::<Result<_, _>>()? })
    }

    pub(crate) fn of_mysql(row: &MySqlRow) -> Result<Self, sqlx::Error> {
        let cells = (0..row.len()).map(|column| {
            let raw = row.try_get_raw(column)?;
            if raw.is_null() {
                return Ok(Value::Null);
            }
            let name = raw.type_info().name().to_owned();
            match name.as_str() {
                "BIGINT UNSIGNED" | "INT UNSIGNED" | "MEDIUMINT UNSIGNED" | "SMALLINT UNSIGNED"
                | "TINYINT UNSIGNED" => {
                    let number = row.try_get_unchecked::<u64, _>(column)?;
                    Ok(Value::Integer(number.try_into().unwrap_or(i64::MAX)))
                }
                "BIGINT" | "INT" | "MEDIUMINT" | "SMALLINT" | "TINYINT" | "BOOLEAN" => {
                    row.try_get_unchecked(column).map(Value::Integer)
                }
                // Catalogues and casts come with the flag of bytes.
                "VARCHAR" | "CHAR" | "TEXT" | "TINYTEXT" | "MEDIUMTEXT" | "LONGTEXT" | "VARBINARY" | "BINARY"
                | "BLOB" | "TINYBLOB" | "MEDIUMBLOB" | "LONGBLOB" | "ENUM" => {
                    let bytes = row.try_get_unchecked::<Vec<u8>, _>(column)?;
                    String::from_utf8(bytes).map(Value::Text).map_err(|error| sqlx::Error::Decode(error.into()))
                }
                other => Err(not_cast(row.column(column).name(), other)),
            }
        });
        Ok(Self { cells: cells.collect::<Result<_, _>>()? })
    }
}

/// A statement of ours that asks for what is neither text nor number.
fn not_cast(column: &str, kind: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("column {column} is of type {kind} and was not cast to text").into())
}

fn damaged(column: usize, what: &str) -> TaoError {
    TaoError::Damaged { what: format!("column {} of an answer {what}", column + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_as_what_they_are() {
        let mut row = Row { cells: vec![Value::from("a"), Value::Integer(7), Value::Null, Value::from("12")] };
        assert_eq!(row.text(0).unwrap(), "a");
        assert_eq!((row.integer(1).unwrap(), row.integer(3).unwrap()), (7, 12));
        assert_eq!((row.optional_text(2).unwrap(), row.optional_integer(2).unwrap()), (None, None));
        for wrong in [row.text(2).err(), row.text(1).err(), row.text(9).err(), row.integer(0).err()] {
            assert!(matches!(wrong, Some(TaoError::Damaged { .. })), "{wrong:?}");
        }
        assert_eq!(row.take_text(0).unwrap(), "a");
        assert!(row.take_text(0).is_err());
    }
}
