//! A cheap first look: whether anything in `statements` is another than at the last one.

use crate::{Reading, Statement, TaoError};

/// What is seen of `statements` as a whole: number of rows, highest id, and a sum of the hashes of all rows. Two looks that
/// are equal have seen the same rows (a change that keeps all three has one chance in four thousand million).
pub async fn look(reading: &mut Reading) -> Result<String, TaoError> {
    let statement = Statement::new("SELECT COUNT(*), ")
        .either("CAST(MAX(id) AS text), CAST(SUM(CAST(hashtext(", "CAST(MAX(id) AS CHAR), CAST(SUM(CRC32(")
        .either(
            "concat_ws(chr(31), id, subject, predicate, object, l_language)) AS bigint)) AS text)",
            "CONCAT_WS(CHAR(31), id, subject, predicate, object, l_language))) AS CHAR)",
        )
        .push(" FROM statements");
    let rows = reading.rows(&statement).await?;
    let row = rows.first().ok_or_else(|| TaoError::Damaged { what: "the number of statements".to_owned() })?;
    let text = |column| Ok::<_, TaoError>(row.optional_text(column)?.unwrap_or("none").to_owned());
    Ok(format!("{} {} {}", row.integer(0)?, text(1)?, text(2)?))
}
