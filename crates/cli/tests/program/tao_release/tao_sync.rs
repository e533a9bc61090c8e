//! What `taoSync` itself would do next on a TAO in a school, read from that TAO's tables as taoSync reads them (WIRE §7,
//! §9, §10), and done as it does it.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use taosync_testbed::TestDatabase;

const SYNCHRO: &str = "http://www.taotesting.com/ontologies/synchro.rdf#synchro";
const COUNTER: &str = "http://www.taotesting.com/ontologies/synchro.rdf#identifier";
const FINISHED: &str = "http://www.tao.lu/Ontologies/TAODelivery.rdf#DeliveryExecutionStatusFinished";

/// `taoSync` on a TAO.
pub struct TaoSync<'a>(pub &'a TestDatabase);

/// What its next sync would find different, by URI.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DataStep {
    pub created: BTreeSet<String>,
    pub updated: BTreeSet<String>,
    pub deleted: BTreeSet<String>,
}

/// What its next sync would hand in.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct HandInStep {
    /// Executions.
    pub results: BTreeSet<String>,
    /// Events of log rows.
    pub logs: BTreeSet<String>,
    /// Executions whose session is asked for.
    pub sessions: BTreeSet<String>,
}

impl TaoSync<'_> {
    async fn set(&self, sql: &str) -> BTreeSet<String> {
        self.0.texts(sql).await.into_iter().flatten().flatten().collect()
    }

    /// Where its counter stands: the newest statement counts, whatever its number.
    pub async fn counter(&self) -> i64 {
        let sql = format!(
            "SELECT object FROM statements WHERE subject = '{SYNCHRO}' AND predicate = '{COUNTER}'
             ORDER BY id DESC LIMIT 1"
        );
        self.set(&sql).await.first().map_or(0, |text| text.parse().unwrap())
    }

    /// What is listed at central, with checksums, against what it remembers.
    pub async fn data_step(&self, listed: &BTreeMap<String, String>) -> DataStep {
        let kept = self.0.texts("SELECT kv_id, kv_value FROM kv_store WHERE kv_id LIKE 'entity-checksum-%'").await;
        let kept: BTreeMap<String, String> = kept
            .into_iter()
            .map(|row| {
                let [name, value] = [0, 1].map(|place: usize| row[place].clone().unwrap());
                let checksum = base64::engine::general_purpose::STANDARD.decode(value).unwrap();
                (name["entity-checksum-".len()..].to_owned(), String::from_utf8(checksum).unwrap())
            })
            .collect();
        let there = self.set("SELECT DISTINCT subject FROM statements").await;
        let known = self.set("SELECT entity_id FROM synchronisation WHERE action <> 'deleted'").await;
        let mut step = DataStep::default();
        let differs = |(uri, checksum): &(&String, &String)| kept.get(*uri) != Some(*checksum);
        for (uri, _) in listed.iter().filter(differs) {
            if there.contains(uri) {
                step.updated.insert(uri.clone())
            } else {
                step.created.insert(uri.clone())
            };
        }
        step.deleted = known.into_iter().filter(|uri| !listed.contains_key(uri)).collect();
        step
    }

    /// What it would hand in next.
    pub async fn hand_in_step(&self) -> HandInStep {
        let results = format!(
            "SELECT s.subject FROM statements s WHERE s.object = '{FINISHED}'
               AND s.subject IN (SELECT results_result_id FROM variables_storage)
               AND s.subject NOT IN (SELECT id FROM synchronisation_result WHERE status = 'synchronized')"
        );
        let sessions = "SELECT id FROM synchronisation_result WHERE session_synced = 0
               AND id NOT IN (SELECT delivery_execution_id FROM delivery_log WHERE is_synced = 0)";
        HandInStep {
            results: self.set(&results).await,
            logs: self.set("SELECT event_id FROM delivery_log WHERE is_synced = 0").await,
            sessions: self.set(sessions).await,
        }
    }

    /// It hands in what is to be handed in, and central takes all of it.
    pub async fn hand_in(&self) {
        for execution in self.hand_in_step().await.results {
            let row = format!("('{execution}', 'synchronized', '2026-05-12 10:00:00', 1)");
            self.0.execute(&format!("INSERT INTO synchronisation_result VALUES {row}")).await;
        }
        self.0.execute("UPDATE delivery_log SET is_synced = 1").await;
    }

    /// It brings these, one statement each, of a type: the counter goes on, and what is as it was is touched.
    pub async fn bring(&self, new: &BTreeMap<String, String>, entity_type: &str, statement: (&str, &str)) {
        let sync = self.counter().await + 1;
        self.say(SYNCHRO, COUNTER, &sync.to_string()).await;
        let touch =
            format!("UPDATE synchronisation SET sync_id = {sync}, action = 'touched' WHERE action <> 'deleted'");
        self.0.execute(&touch).await;
        for (uri, checksum) in new {
            self.say(uri, statement.0, statement.1).await;
            let row = format!("({sync}, 'created', '{uri}', '{entity_type}', '2026-05-12 10:00:00')");
            let into = "INSERT INTO synchronisation (sync_id, action, entity_id, type, time) VALUES";
            self.0.execute(&format!("{into} {row}")).await;
            let checksum = base64::engine::general_purpose::STANDARD.encode(checksum);
            let row = format!("('entity-checksum-{uri}', '{checksum}', 0)");
            self.0.execute(&format!("INSERT INTO kv_store VALUES {row}")).await;
        }
    }

    /// A statement of a TAO's.
    pub async fn say(&self, subject: &str, predicate: &str, object: &str) {
        let into = "INSERT INTO statements (modelid, subject, predicate, object, l_language, author, epoch) VALUES";
        let row = format!("(1, '{subject}', '{predicate}', '{object}', '', '', '2026-05-12 10:00:00')");
        self.0.execute(&format!("{into} {row}")).await;
    }
}
