//! What is read alike from a picture and within a change.

use std::future::Future;

use crate::{Change, Reading, Row, Statement, TaoError};

/// Something that answers statements.
pub trait Rows: Send {
    /// What a statement answers.
    fn answer(&mut self, statement: &Statement) -> impl Future<Output = Result<Vec<Row>, TaoError>> + Send;
}

impl Rows for Reading {
    fn answer(&mut self, statement: &Statement) -> impl Future<Output = Result<Vec<Row>, TaoError>> + Send {
        self.rows(statement)
    }
}

impl Rows for Change {
    fn answer(&mut self, statement: &Statement) -> impl Future<Output = Result<Vec<Row>, TaoError>> + Send {
        self.rows(statement)
    }
}
