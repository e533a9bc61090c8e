//! A school whose local server stands beside a TAO, and whose central stands beside another.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use secrecy::SecretString;
use taosync_model::execution::ExecutionState;
use taosync_store::Store;
use taosync_sync::session::Mode;
use taosync_sync::tao_database::executions_up::{self, TakenUp, Taking};
use taosync_sync::tao_database::results_up::{self, WrittenUp};
use taosync_sync::tao_database::told::{self, Told};
use taosync_tao::{Database, Schema};
use taosync_testbed::{Kind, TestDatabase, dump::Dump};
use taosync_vault::results_keys::ResultsIdentities;

use crate::school::{School, school};

pub struct Pair {
    pub school: School,
    pub local: TestDatabase,
    pub central: TestDatabase,
}

/// Rows of a statement, in no order.
pub type Rows = BTreeSet<Vec<String>>;

impl Pair {
    /// Both TAOs of a kind; none where there is no such server on this machine.
    pub async fn of(kind: Kind, local: &Dump, central: &Dump) -> Option<Self> {
        let local = TestDatabase::with(kind, local).await?;
        let central = TestDatabase::with(kind, central).await?;
        Some(Self { school: school().await, local, central })
    }

    pub async fn take_as(&self, mode: Mode) -> TakenUp {
        let taking = Taking { states: vec![ExecutionState::Finished], window: SignedDuration::from_hours(24), mode };
        executions_up::take(&self.school.local, &adopted(&self.local).await, &taking).await.unwrap()
    }

    pub async fn take(&self) -> TakenUp {
        self.take_as(Mode::Apply).await
    }

    pub async fn tell(&self) -> Told {
        told::tell(&self.school.local, &adopted(&self.local).await).await.unwrap()
    }

    pub async fn write(&self) -> WrittenUp {
        write(&self.school.central, &self.central).await
    }

    /// Everything: up, and into the other TAO.
    pub async fn travel(&self) -> (TakenUp, WrittenUp) {
        let taken = self.take().await;
        self.school.hand_in_well().await;
        self.tell().await;
        (taken, self.write().await)
    }

    /// Which execution of the box each of central's is.
    pub async fn mapping(&self) -> BTreeMap<String, String> {
        mapping(&self.central).await
    }
}

/// Finished executions, as by default.
pub fn taking(mode: Mode) -> Taking {
    Taking { states: vec![ExecutionState::Finished], window: SignedDuration::from_hours(24), mode }
}

pub async fn write(store: &Store, tao: &TestDatabase) -> WrittenUp {
    write_as(store, tao, Mode::Apply).await
}

pub async fn write_as(store: &Store, tao: &TestDatabase, mode: Mode) -> WrittenUp {
    results_up::write(store, &adopted(tao).await, &ResultsIdentities::default(), mode).await.unwrap()
}

/// A TAO as somebody has adopted it.
pub async fn adopted(tao: &TestDatabase) -> Database {
    let database = Database::connect(&SecretString::from(tao.url().to_owned())).await.unwrap().adopted();
    Schema::recognise(&mut database.read().await.unwrap()).await.unwrap();
    database
}

pub async fn rows(tao: &TestDatabase, sql: &str) -> Rows {
    let texts = tao.texts(sql).await;
    texts.into_iter().map(|row| row.into_iter().map(|cell| cell.unwrap_or_else(|| "NULL".into())).collect()).collect()
}

/// Which execution of a box each of these is.
pub async fn mapping(tao: &TestDatabase) -> BTreeMap<String, String> {
    use base64::Engine as _;
    let sql = "SELECT kv_id, kv_value FROM kv_store WHERE kv_id LIKE 'mapOfflineResultToOnlineResult%'";
    let pairs = rows(tao, sql).await.into_iter().map(|row| {
        let offline = row[0].trim_start_matches("mapOfflineResultToOnlineResult_").to_owned();
        let online = base64::engine::general_purpose::STANDARD.decode(&row[1]).unwrap();
        (String::from_utf8(online).unwrap(), offline)
    });
    pairs.collect()
}

/// The same rows with the executions named as the box names them: central's own ids are made when it writes.
pub fn as_offline(rows: Rows, mapping: &BTreeMap<String, String>) -> Rows {
    let named = |cell: String| mapping.get(&cell).cloned().unwrap_or(cell);
    rows.into_iter().map(|row| row.into_iter().map(named).collect()).collect()
}
