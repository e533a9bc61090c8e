//! TAO's own database at central: TAO's data become the feed.

mod check;
mod managers;
mod many;
mod own;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use taosync_testbed::dump::Dump;
use taosync_testbed::{Kind, TestDatabase, tao};

use crate::node::Node;
use crate::run::says;

const BASE: &str = "http://central.tao.local/tao.rdf#";

/// Several values that are equal as numbers: which of them TAO shows depends on the order PostgreSQL happened to give them
/// in, which no order in the table tells (WIRE §3).
const NUMBERS: &str = "http://central.tao.local/tao.rdf#tt06_numbers";

/// A central connected with a TAO.
struct Connected {
    central: Node,
    tao: TestDatabase,
}

impl Connected {
    async fn new(kind: Kind, dump: &Dump) -> Option<Self> {
        let tao = TestDatabase::with(kind, dump).await?;
        let central = Node::init("central");
        central.run(&["tao", "connect", "--database", tao.url()]).done();
        Some(Self { central, tao })
    }

    async fn adopted(kind: Kind, dump: &Dump) -> Option<Self> {
        let connected = Self::new(kind, dump).await?;
        connected.central.run(&["tao", "adopt"]).done();
        Some(connected)
    }

    fn pull(&self) -> Value {
        self.central.run(&["tao", "pull"]).done()
    }

    /// The entities whose checksum here is not TAO's.
    fn differing(&self, checksums: &BTreeMap<String, String>) -> Vec<String> {
        let differs = |(uri, sum): &(&String, &String)| self.entity(uri)["tao_checksum"] != json!(sum);
        checksums.iter().filter(differs).map(|(uri, _)| uri.clone()).collect()
    }

    fn entity(&self, uri: &str) -> Value {
        self.central.run(&["entity", "show", uri]).done()
    }
}

fn tallies(pulled: &Value) -> BTreeMap<String, [u64; 4]> {
    let of = |tally: &Value| ["created", "updated", "removed", "unchanged"].map(|name| tally[name].as_u64().unwrap());
    pulled["types"].as_object().unwrap().iter().map(|(name, tally)| (name.clone(), of(tally))).collect()
}

fn changed(pulled: &Value) -> BTreeMap<String, [u64; 3]> {
    let mut tallies = tallies(pulled);
    tallies.retain(|_, [created, updated, removed, _]| *created + *updated + *removed > 0);
    tallies.into_iter().map(|(name, [created, updated, removed, _])| (name, [created, updated, removed])).collect()
}

/// The checksums TAO itself has made of its entities: what its client kept of them.
fn checksums(client: &Dump) -> BTreeMap<String, String> {
    use base64::Engine as _;
    let rows = client.rows().find(|rows| rows.table == "kv_store").unwrap();
    let of = |cells: Vec<Option<String>>| {
        let uri = cells[0].as_deref()?.strip_prefix("entity-checksum-")?.to_owned();
        let sum = base64::engine::general_purpose::STANDARD.decode(cells[1].as_deref()?).unwrap();
        Some((uri, String::from_utf8(sum).unwrap()))
    };
    rows.cells().filter_map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_golden_tao_is_pulled_and_then_exactly_its_changes() {
    let names = ["1-central-published", "2-client-after-data-sync", "5-central-changed", "5-client-after-changes"];
    let Some([first, client, changes, client_after]) = golden(names) else { return };
    for kind in Kind::BOTH {
        let Some(connected) = Connected::adopted(kind, &first).await else { return };
        let would = connected.central.run(&["tao", "pull", "--dry-run"]).done();
        let did = connected.pull();
        assert_eq!(would["types"], did["types"], "{kind:?}");
        let checksums_before = checksums(&client);
        assert!(checksums_before.len() > 30, "{kind:?}");
        assert_eq!(connected.differing(&checksums_before), [NUMBERS], "{kind:?}");
        assert_eq!(connected.pull()["as_before"], true, "{kind:?}");
        connected.tao.switch(&changes).await;
        let would = connected.central.run(&["tao", "pull", "--dry-run"]).done();
        let did = connected.pull();
        let expected = json!({"test-taker": [1, 3, 1], "eligibility": [0, 0, 1]});
        assert_eq!(json!(changed(&did)), expected, "{kind:?} {did:#}");
        assert_eq!(json!(changed(&would)), expected, "{kind:?} {would:#}");
        assert_eq!(connected.differing(&checksums(&client_after)), [NUMBERS], "{kind:?}");
        for gone in ["tt13", "elig2"] {
            let told = connected.central.run(&["entity", "show", &format!("{BASE}{gone}")]).failed(1, "TS-107");
            says(&told, &[gone]);
        }
        let new = connected.entity(&format!("{BASE}tt26"));
        assert_eq!(new["label"], "TT new", "{kind:?} {new:#}");
        assert_eq!(connected.pull()["as_before"], true, "{kind:?}");
    }
}

fn golden<const N: usize>(names: [&str; N]) -> Option<[Dump; N]> {
    let dumps: Vec<Dump> = names.into_iter().map(tao::golden).collect::<Option<_>>()?;
    dumps.try_into().ok()
}
