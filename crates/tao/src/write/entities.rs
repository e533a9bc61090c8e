//! Subjects of `statements`: read in one statement for many, written in few.

use std::collections::{BTreeMap, HashMap};

use taosync_model::vocabulary as v;

use super::difference::{Difference, Stored, Triple};
use super::wanted::Literal;
use crate::schema::{Holds, StatementId};
use crate::statement::batches;
use crate::{Change, Row, Schema, Statement, TaoError, Value};

/// The moment of a write, in the forms TAO's tables want.
#[derive(Clone, Debug)]
pub struct Moment {
    /// `YYYY-MM-DD hh:mm:ss`, UTC.
    pub epoch: String,
    /// Unix seconds with up to four decimals, as `UpdatedAt` and `CreatedAt` hold them.
    pub stamp: String,
}

impl Moment {
    /// A moment from milliseconds since 1970.
    pub fn of_milliseconds(ms: i64) -> Self {
        let at = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MIN);
        let decimals = format!("{:03}", ms.rem_euclid(1_000));
        let decimals = decimals.trim_end_matches('0');
        let point = if decimals.is_empty() { "" } else { "." };
        Self {
            epoch: at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            stamp: format!("{}{point}{decimals}", ms.div_euclid(1_000)),
        }
    }
}

/// Makes ids of rows, for TAOs where they are texts.
pub type NewIds<'a> = &'a (dyn Fn() -> String + Send + Sync);

/// Whether a subject is new to TAO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// TAO has nothing of it: as TAO does, a class gets its moment of creation.
    NewClass,
    /// TAO has nothing of it.
    NewEntity,
    /// TAO has it.
    Known,
}

/// A subject and what is to be done with it.
#[derive(Clone, Debug)]
pub struct Edit {
    /// URI.
    pub subject: String,
    /// Rows that go and statements that come.
    pub difference: Difference,
    /// Whether it is new.
    pub novelty: Novelty,
}

/// Asks for all statements of these subjects; [`stored`] reads the answer.
pub fn statements_of<'a>(subjects: impl IntoIterator<Item = &'a str>) -> Statement {
    Statement::new("SELECT id, subject, predicate, object, l_language FROM statements WHERE ")
        .among("subject", subjects)
        .push(" AND object IS NOT NULL ORDER BY id")
}

/// The statements by subject, in the order of their ids. A subject without any is not in the answer.
pub fn stored(schema: &Schema, rows: Vec<Row>) -> Result<HashMap<String, Vec<Stored>>, TaoError> {
    let mut found: HashMap<String, Vec<Stored>> = HashMap::new();
    for mut row in rows {
        let id = match schema.statement_id {
            StatementId::Counted => Value::Integer(row.integer(0)?),
            StatementId::Text => Value::Text(row.take_text(0)?),
        };
        let language = row.optional_text(4)?.unwrap_or_default().to_owned();
        let (subject, predicate) = (row.take_text(1)?, row.take_text(2)?);
        let literal = Literal { object: row.take_text(3)?, language };
        found.entry(subject).or_default().push(Stored { id, predicate, literal });
    }
    Ok(found)
}

/// Does what the edits say: a few statements for all of them. Each changed subject is stamped with `UpdatedAt`, once.
pub async fn apply(
    change: &mut Change,
    schema: &Schema,
    edits: &[Edit],
    moment: &Moment,
    ids: NewIds<'_>,
) -> Result<(), TaoError> {
    let edits: Vec<&Edit> = edits.iter().filter(|edit| !edit.difference.is_empty()).collect();
    let gone: Vec<Value> = edits.iter().flat_map(|edit| &edit.difference.gone).cloned().collect();
    delete_rows(change, &gone).await?;
    delete_stamps(change, &edits).await?;
    let mut rows = Vec::new();
    for edit in edits {
        let stamps = stamps(edit.novelty).iter().map(|predicate| stamp(predicate, moment));
        for triple in edit.difference.come.iter().cloned().chain(stamps) {
            rows.push(row(schema, &edit.subject, triple, moment, ids));
        }
    }
    insert(change, schema, &rows).await
}

/// Adds one statement without a language.
pub(super) async fn add(
    change: &mut Change,
    schema: &Schema,
    subject: &str,
    (predicate, object): (&str, &str),
    moment: &Moment,
    ids: NewIds<'_>,
) -> Result<(), TaoError> {
    let literal = Literal { object: object.to_owned(), language: String::new() };
    let triple = Triple { predicate: predicate.to_owned(), literal };
    insert(change, schema, &[row(schema, subject, triple, moment, ids)]).await
}

/// Removes everything that is said of these subjects. What others say of them stays, as TAO leaves it.
pub async fn remove<'a>(change: &mut Change, subjects: impl IntoIterator<Item = &'a str>) -> Result<u64, TaoError> {
    change.execute(&Statement::new("DELETE FROM statements WHERE ").among("subject", subjects)).await
}

fn stamps(novelty: Novelty) -> &'static [&'static str] {
    match novelty {
        Novelty::NewClass => &[v::UPDATED_AT, v::CREATED_AT],
        Novelty::NewEntity | Novelty::Known => &[v::UPDATED_AT],
    }
}

fn stamp(predicate: &str, moment: &Moment) -> Triple {
    let literal = Literal { object: moment.stamp.clone(), language: String::new() };
    Triple { predicate: predicate.to_owned(), literal }
}

async fn delete_rows(change: &mut Change, ids: &[Value]) -> Result<(), TaoError> {
    for part in ids.chunks(10_000) {
        let statement = Statement::new("DELETE FROM statements WHERE id IN ").list(part.iter().cloned());
        change.execute(&statement).await?;
    }
    Ok(())
}

/// The old moments of change of subjects that change.
async fn delete_stamps(change: &mut Change, edits: &[&Edit]) -> Result<(), TaoError> {
    let known: Vec<&str> =
        edits.iter().filter(|edit| edit.novelty == Novelty::Known).map(|edit| edit.subject.as_str()).collect();
    if known.is_empty() {
        return Ok(());
    }
    let statement = Statement::new("DELETE FROM statements WHERE predicate = ")
        .bind(v::UPDATED_AT)
        .push(" AND ")
        .among("subject", known);
    change.execute(&statement).await.map(drop)
}

/// A row of `statements` as TAO writes it: model 1, nobody's, now.
fn row(schema: &Schema, subject: &str, triple: Triple, moment: &Moment, ids: NewIds<'_>) -> Vec<Value> {
    let Triple { predicate, literal } = triple;
    let mut row = vec![
        Value::Integer(1),
        subject.into(),
        predicate.into(),
        literal.object.into(),
        literal.language.into(),
        "".into(),
        epoch(schema, moment),
    ];
    if schema.statement_id == StatementId::Text {
        row.push(ids().into());
    }
    row
}

fn epoch(schema: &Schema, moment: &Moment) -> Value {
    match schema.holds("statements", "epoch") {
        Some(Holds::Moment) => Value::Moment(moment.epoch.clone()),
        _ => Value::Text(moment.epoch.clone()),
    }
}

/// Inserts rows of `statements`: model, subject, predicate, object, language, author, moment, and where it is a text, the id.
pub(super) async fn insert(change: &mut Change, schema: &Schema, rows: &[Vec<Value>]) -> Result<(), TaoError> {
    let columns = match schema.statement_id {
        StatementId::Text => {
            "INSERT INTO statements (modelid, subject, predicate, object, l_language, author, epoch, id) VALUES "
        }
        StatementId::Counted => {
            "INSERT INTO statements (modelid, subject, predicate, object, l_language, author, epoch) VALUES "
        }
    };
    for batch in batches(rows) {
        change.execute(&Statement::new(columns).tuples(batch)).await?;
    }
    Ok(())
}

/// Which subjects of the edits are changed, by URI.
pub fn changed(edits: &[Edit]) -> BTreeMap<&str, Novelty> {
    let changed = edits.iter().filter(|edit| !edit.difference.is_empty());
    changed.map(|edit| (edit.subject.as_str(), edit.novelty)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_tao_s_forms() {
        let moment = Moment::of_milliseconds(1_795_449_713_850);
        assert_eq!((moment.epoch.as_str(), moment.stamp.as_str()), ("2026-11-23 16:01:53", "1795449713.85"));
        assert_eq!(Moment::of_milliseconds(1_795_449_713_000).stamp, "1795449713");
    }
}
