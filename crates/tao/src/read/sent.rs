//! What taoSync says it has handed in (WIRE §9.6, §15, `synchronisation_result`), and what of that is only said.
//!
//! A result that fails for the second time is marked as handed in. It can be told from the logs: central takes the log
//! of an execution only when it holds the result, so rows that stay unsynced beside a "synchronized" result mean that
//! nothing proves it. Test sessions prove nothing: taoSync marks all that it has sent, whatever the answer.

use std::collections::HashMap;

use super::rows::Rows;
use crate::{Schema, Statement, TaoError};

/// Marked as handed in.
pub const SYNCHRONIZED: &str = "synchronized";
/// Reactivated after it was handed in.
pub const TO_BE_RE_SYNCED: &str = "to_be_re_synced";

/// What taoSync says of one execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// `synchronized`, `failed` or `to_be_re_synced`.
    pub status: String,
    /// Log rows that central has confirmed.
    pub logs_confirmed: i64,
    /// Log rows that it has not.
    pub logs_open: i64,
}

impl Sent {
    /// Whether it is marked as handed in although nothing shows that central holds it.
    pub fn is_only_claimed(&self) -> bool {
        self.status == SYNCHRONIZED && self.logs_confirmed == 0 && self.logs_open > 0
    }

    /// Whether it is to be handed in (again), as far as taoSync knows.
    pub fn is_open(&self) -> bool {
        self.status != SYNCHRONIZED || self.is_only_claimed()
    }
}

/// What taoSync says of these executions; those it never tried are left out.
pub async fn read(
    from: &mut impl Rows,
    schema: &Schema,
    executions: &[String],
) -> Result<HashMap<String, Sent>, TaoError> {
    if executions.is_empty() || !schema.has_table("synchronisation_result") {
        return Ok(HashMap::new());
    }
    let statement = Statement::new("SELECT id, status FROM synchronisation_result WHERE ").among("id", executions);
    let mut sent = HashMap::new();
    for row in from.answer(&statement).await? {
        let state = Sent { status: row.text(1)?.to_owned(), logs_confirmed: 0, logs_open: 0 };
        sent.insert(row.text(0)?.to_owned(), state);
    }
    count_logs(from, schema, &mut sent).await?;
    Ok(sent)
}

async fn count_logs(from: &mut impl Rows, schema: &Schema, sent: &mut HashMap<String, Sent>) -> Result<(), TaoError> {
    let marked: Vec<&String> = sent.iter().filter(|(_, s)| s.status == SYNCHRONIZED).map(|(id, _)| id).collect();
    if marked.is_empty() || !schema.has_table("delivery_log") || !schema.log_is_synced {
        return Ok(());
    }
    let statement = Statement::new(
        "SELECT delivery_execution_id, COUNT(CASE WHEN is_synced = 0 THEN NULL ELSE 1 END),
           COUNT(CASE WHEN is_synced = 0 THEN 1 ELSE NULL END) FROM delivery_log WHERE ",
    )
    .among("delivery_execution_id", marked)
    .push(" GROUP BY delivery_execution_id");
    for row in from.answer(&statement).await? {
        if let Some(state) = sent.get_mut(row.text(0)?) {
            (state.logs_confirmed, state.logs_open) = (row.integer(1)?, row.integer(2)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_no_log_confirms_is_only_a_claim() {
        let sent = |status: &str, logs_confirmed, logs_open| Sent { status: status.into(), logs_confirmed, logs_open };
        assert!(sent(SYNCHRONIZED, 0, 3).is_only_claimed());
        // Logs written after the result was taken prove nothing against it.
        assert!(!sent(SYNCHRONIZED, 3, 1).is_only_claimed());
        assert!(!sent(SYNCHRONIZED, 0, 0).is_only_claimed());
        assert!(sent("failed", 0, 3).is_open() && !sent("failed", 0, 3).is_only_claimed());
        assert!(sent(TO_BE_RE_SYNCED, 3, 0).is_open());
        assert!(!sent(SYNCHRONIZED, 3, 0).is_open());
    }
}
