//! QTI identifiers of tests and items: by them, not by its own URIs, TAO names both to central (WIRE §9.2).

use std::collections::{BTreeSet, HashMap};

use taosync_model::vocabulary::DELIVERY_ORIGIN;

use super::rows::Rows;
use crate::vocabulary::{QTI_ITEM_IDENTIFIER, QTI_TEST_IDENTIFIER};
use crate::{Statement, TaoError};

/// URIs in one statement.
const AT_ONCE: usize = 1_000;

/// QTI identifiers by resource, and the test that each delivery was made of.
#[derive(Debug, Default)]
pub struct QtiNames {
    origins: HashMap<String, String>,
    tests: HashMap<String, String>,
    items: HashMap<String, String>,
}

impl QtiNames {
    /// How central knows the test of a delivery; a test that is not known stays as it is stored.
    pub fn test(&self, delivery: &str, stored: Option<&str>) -> Option<String> {
        let stored = stored?;
        let name = self.origins.get(delivery).and_then(|origin| self.tests.get(origin));
        Some(name.map_or_else(|| stored.to_owned(), |name| beside(delivery, name)))
    }

    /// How central knows an item.
    pub fn item(&self, delivery: &str, stored: Option<&str>) -> Option<String> {
        let stored = stored?;
        Some(self.items.get(stored).map_or_else(|| stored.to_owned(), |name| beside(delivery, name)))
    }

    /// Reads what is not known yet of these deliveries and items.
    pub async fn learn(
        &mut self,
        from: &mut impl Rows,
        deliveries: &BTreeSet<&str>,
        items: &BTreeSet<&str>,
    ) -> Result<(), TaoError> {
        let new: Vec<&str> = deliveries.iter().copied().filter(|uri| !self.origins.contains_key(*uri)).collect();
        let origins = values(from, DELIVERY_ORIGIN, &new).await?;
        let tests: Vec<&str> = origins.values().map(String::as_str).collect();
        self.tests.extend(values(from, QTI_TEST_IDENTIFIER, &tests).await?);
        self.origins.extend(origins);
        let new: Vec<&str> = items.iter().copied().filter(|uri| !self.items.contains_key(*uri)).collect();
        self.items.extend(values(from, QTI_ITEM_IDENTIFIER, &new).await?);
        Ok(())
    }
}

fn beside(delivery: &str, identifier: &str) -> String {
    format!("{}#{identifier}", delivery.split('#').next().unwrap_or_default())
}

/// The last value of a property of each of these resources.
async fn values(
    from: &mut impl Rows,
    predicate: &'static str,
    subjects: &[&str],
) -> Result<HashMap<String, String>, TaoError> {
    let mut values = HashMap::new();
    for some in subjects.chunks(AT_ONCE) {
        let statement = Statement::new("SELECT subject, object FROM statements WHERE ")
            .among("subject", some.iter().copied())
            .push(" AND ")
            .equals("predicate", predicate)
            .push(" ORDER BY id");
        for row in from.answer(&statement).await? {
            if let Some(value) = row.optional_text(1)?.filter(|value| !value.is_empty()) {
                values.insert(row.text(0)?.to_owned(), value.to_owned());
            }
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_items_are_named_beside_their_delivery() {
        let pairs = |list: &[(&str, &str)]| list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let names = QtiNames {
            origins: pairs(&[("urn:c#d", "urn:l#t")]),
            tests: pairs(&[("urn:l#t", "Maths")]),
            items: pairs(&[("urn:l#i", "item-1")]),
        };
        assert_eq!(names.test("urn:c#d", Some("urn:l#x")).as_deref(), Some("urn:c#Maths"));
        assert_eq!(names.test("urn:c#other", Some("urn:l#x")).as_deref(), Some("urn:l#x"));
        assert_eq!(names.test("urn:c#d", None), None);
        assert_eq!(names.item("urn:c#d", Some("urn:l#i")).as_deref(), Some("urn:c#item-1"));
        assert_eq!(names.item("urn:c#d", Some("urn:l#other")).as_deref(), Some("urn:l#other"));
    }
}
