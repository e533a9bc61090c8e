//! In which language TAO's data are, and which predicates depend on one.

use std::collections::BTreeSet;

use taosync_model::vocabulary as v;

use crate::write::wanted::Languages;
use crate::{Reading, Statement, TaoError};

/// The declaration of a predicate.
const DEPENDENT: &str = "http://www.tao.lu/Ontologies/generis.rdf#is_language_dependent";
/// What TAO is installed with when nobody says otherwise.
const DEFAULT: &str = "en-US";

/// Depends on the language in every TAO.
const COMMENT: &str = "http://www.w3.org/2000/01/rdf-schema#comment";

/// Reads both. TAO keeps the language of its data in a file of its configuration: here it is the one that most labels
/// of this installation's own data are in, `en-US` in an empty one.
pub async fn languages(reading: &mut Reading) -> Result<Languages, TaoError> {
    let dependent = Statement::new("SELECT subject FROM statements WHERE predicate = ")
        .bind(DEPENDENT)
        .push(" AND object = ")
        .bind(v::GENERIS_TRUE);
    let dependent = reading.rows(&dependent).await?;
    let data = Statement::new("SELECT l_language FROM statements WHERE predicate = ")
        .bind(v::RDFS_LABEL)
        .push(" AND modelid = 1 AND l_language <> '' GROUP BY l_language ORDER BY count(*) DESC, l_language LIMIT 1");
    let data = reading.rows(&data).await?;
    let mut dependent: BTreeSet<String> =
        dependent.iter().map(|row| row.text(0).map(str::to_owned)).collect::<Result<_, _>>()?;
    dependent.extend([v::RDFS_LABEL, COMMENT].map(str::to_owned));
    Ok(Languages { data: data.first().map_or(Ok(DEFAULT), |row| row.text(0))?.to_owned(), dependent })
}
