//! Variables of results (WIRE §15, `variables_storage`).

use std::collections::HashMap;

use super::rows::Rows;
use crate::{Statement, TaoError};

/// What can be seen of a result without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Variables it has.
    pub variables: i64,
    /// Number of the last one that was written.
    pub last: i64,
    /// Bytes of all their values.
    pub bytes: i64,
}

/// A variable as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredVariable {
    /// Of a variable of the test: the execution.
    pub call_id_test: Option<String>,
    /// Of a variable of an item: execution, item, try.
    pub call_id_item: Option<String>,
    /// The test.
    pub test: Option<String>,
    /// The item.
    pub item: Option<String>,
    /// JSON of the variable.
    pub value: String,
}

impl std::fmt::Debug for StoredVariable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let call = self.call_id_item.as_ref().or(self.call_id_test.as_ref());
        f.debug_struct("StoredVariable").field("call", &call).finish_non_exhaustive()
    }
}

/// A first look at the results of these executions; those without variables are left out.
pub async fn looks(from: &mut impl Rows, executions: &[String]) -> Result<HashMap<String, Look>, TaoError> {
    if executions.is_empty() {
        return Ok(HashMap::new());
    }
    let statement = Statement::new("SELECT results_result_id, COUNT(*), MAX(variable_id), ")
        .either("CAST(SUM(OCTET_LENGTH(value)) AS BIGINT)", "CAST(SUM(OCTET_LENGTH(value)) AS SIGNED)")
        .push(" FROM variables_storage WHERE ")
        .among("results_result_id", executions)
        .push(" GROUP BY results_result_id");
    let rows = from.answer(&statement).await?;
    rows.iter()
        .map(|row| {
            let bytes = row.optional_integer(3)?.unwrap_or_default();
            Ok((row.text(0)?.to_owned(), Look { variables: row.integer(1)?, last: row.integer(2)?, bytes }))
        })
        .collect()
}

/// The variables of these executions, in the order in which they were written. Whoever asks bounds how much that is by
/// [`looks`].
pub async fn read(
    from: &mut impl Rows,
    executions: &[String],
) -> Result<HashMap<String, Vec<StoredVariable>>, TaoError> {
    let mut found: HashMap<String, Vec<StoredVariable>> = HashMap::new();
    if executions.is_empty() {
        return Ok(found);
    }
    let statement = Statement::new(
        "SELECT results_result_id, call_id_test, call_id_item, test, item, value FROM variables_storage WHERE ",
    )
    .among("results_result_id", executions)
    .push(" ORDER BY variable_id");
    for mut row in from.answer(&statement).await? {
        let text = |column| Ok::<_, TaoError>(row.optional_text(column)?.map(str::to_owned));
        let (call_id_test, call_id_item, test, item) = (text(1)?, text(2)?, text(3)?, text(4)?);
        let execution = row.text(0)?.to_owned();
        let value = row.take_text(5)?;
        found.entry(execution).or_default().push(StoredVariable { call_id_test, call_id_item, test, item, value });
    }
    Ok(found)
}
