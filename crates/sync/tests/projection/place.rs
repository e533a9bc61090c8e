//! A local server with a replica, and a TAO whose database it writes into.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use taosync_model::canonical::entity_digest;
use taosync_model::clock::SystemClock;
use taosync_model::delivery::PackageRef;
use taosync_model::{Clock, Entity, EntityType, OrgId, vocabulary as v};
use taosync_store::Store;
use taosync_store::replica::{Chunk, Learned, Removal, Upsert, Verdict};
use taosync_store::settings::{Identity, Role};
use taosync_sync::down::guard::Removals;
use taosync_sync::packages::adopt;
use taosync_sync::session::Mode;
use taosync_sync::tao_database::projection::{Projected, Projection, ProjectionError, Reach, project};
use taosync_tao::{Database, Schema};
use taosync_testbed::dump::Dump;
use taosync_testbed::{Kind, TestDatabase};
use taosync_vault::{Keyring, random};
use tempfile::TempDir;
use uuid::Uuid;

/// A local server and the TAO beside it.
pub struct Place {
    pub store: Store,
    pub tao: Arc<TestDatabase>,
    pub database: Database,
    pub schema: Schema,
    pub dir: TempDir,
    pub files: Option<PathBuf>,
    pub command: Option<String>,
    pub removals: Removals,
    scope: i64,
}

impl Place {
    /// Beside this TAO, adopted; none when there is no such server here.
    pub async fn beside(kind: Kind, dump: &Dump) -> Option<Self> {
        Some(Self::of(Arc::new(TestDatabase::with(kind, dump).await?)).await)
    }

    /// Beside a TAO that is there.
    pub async fn of(tao: Arc<TestDatabase>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Arc::new(Keyring::create(&dir.path().join("keys")).unwrap());
        let store = Store::open(dir.path(), keyring, Arc::new(SystemClock)).await.unwrap();
        store.identity_set(&Identity { node: random::uuid(), role: Role::Local, epoch: random::uuid() }).await.unwrap();
        let org = OrgId::new("school-7").unwrap();
        let scope = store.replica_open(Uuid::from_u128(1), &org).await.unwrap().id;
        let (database, schema) = connect(&tao).await;
        let (files, command, removals) = (None, None, Removals::Guarded);
        Self { store, tao, database, schema, dir, files, command, removals, scope }
    }

    /// Central says that these are so now.
    pub async fn give(&self, entities: &[(EntityType, Entity)]) {
        let upserts = entities.iter().map(|(entity_type, entity)| upsert(*entity_type, entity)).collect();
        self.apply(Chunk { upserts, ..Chunk::default() }).await;
    }

    /// Central says that these are gone.
    pub async fn take(&self, gone: &[(EntityType, &str)]) {
        let removal = |(entity_type, uri): &(EntityType, &str)| Removal {
            entity_type: *entity_type,
            seq: 2,
            uri: (*uri).to_owned(),
        };
        self.apply(Chunk { removes: gone.iter().map(removal).collect(), ..Chunk::default() }).await;
    }

    async fn apply(&self, chunk: Chunk) {
        self.store.replica_apply(self.scope, chunk, &BTreeMap::new()).await.unwrap();
        let learned = Learned {
            epoch: Some(Uuid::from_u128(2)),
            step: None,
            compared: false,
            safe_receipt_no: 0,
            top_receipt_no: 0,
            verdict: Verdict::Equal(SystemClock.now()),
        };
        self.store.replica_finish(self.scope, &learned).await.unwrap();
    }

    /// A package that is ready here.
    pub async fn package(&self, delivery: &str, zip: &[u8]) -> PackageRef {
        let path = self.dir.path().join("package.zip");
        std::fs::write(&path, zip).unwrap();
        adopt(&self.store, delivery, path).await.unwrap().reference
    }

    pub async fn try_project(&self, mode: Mode, reach: Reach) -> Result<Projected, ProjectionError> {
        project(&Projection {
            store: &self.store,
            database: &self.database,
            schema: &self.schema,
            files: self.files.as_deref(),
            command: self.command.as_deref(),
            mode,
            removals: self.removals,
            reach,
        })
        .await
    }

    pub async fn project(&self) -> Projected {
        self.try_project(Mode::Apply, Reach::Changes).await.unwrap()
    }

    /// Everything TAO's tables hold that a projection could touch, sorted, without ids and times.
    pub async fn tables(&self) -> BTreeMap<&'static str, Vec<Vec<String>>> {
        let mut tables = BTreeMap::new();
        for (table, columns) in TABLES {
            let columns = match self.tao.kind() {
                Kind::Postgres => columns.replace('`', "\""),
                Kind::MariaDb => columns.to_string(),
            };
            let columns = columns.replace("INTEGER", if self.tao.kind() == Kind::Postgres { "text" } else { "char" });
            let rows = self.tao.texts(&format!("SELECT {columns} FROM {table}")).await;
            let text = |cell: Option<String>| cell.unwrap_or_else(|| "NULL".to_owned());
            let mut rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.into_iter().map(text).collect()).collect();
            rows.sort();
            tables.insert(*table, rows);
        }
        tables
    }

    /// Statements of a subject: predicate, object, language.
    pub async fn statements(&self, subject: &str) -> Vec<(String, String, String)> {
        let rows = self.tables().await.remove("statements").unwrap();
        let rows = rows.into_iter().filter(|row| row[0] == subject);
        rows.map(|row| (row[1].clone(), row[2].clone(), row[3].clone())).collect()
    }

    pub async fn objects(&self, subject: &str, predicate: &str) -> Vec<String> {
        let rows = self.statements(subject).await.into_iter().filter(|(p, ..)| p == predicate);
        rows.map(|(_, object, _)| object).collect()
    }

    /// TAO, or a person, writes a statement of its own.
    pub async fn say(&self, subject: &str, predicate: &str, object: &str) {
        let sql = "INSERT INTO statements (modelid, subject, predicate, object, l_language, author, epoch) VALUES ";
        let row = format!("(1, '{subject}', '{predicate}', '{object}', '', '', '2026-03-02 10:00:00')");
        self.tao.execute(&format!("{sql}{row}")).await;
    }
}

/// Columns that are compared; a number is cast to text.
const TABLES: &[(&str, &str)] = &[
    ("statements", "subject, predicate, object, l_language, CAST(modelid AS INTEGER), author"),
    ("synchronisation", "CAST(sync_id AS INTEGER), action, entity_id, `type`"),
    ("kv_store", "kv_id, kv_value, CAST(kv_time AS INTEGER)"),
    ("synchronisation_result", "id, status"),
    ("results_storage", "result_id, test_taker, delivery"),
    ("variables_storage", "results_result_id, identifier, variable_hash"),
    ("delivery_log", "delivery_execution_id, event_id"),
];

/// The same of a dump.
pub fn tables_of(dump: &Dump) -> BTreeMap<&'static str, Vec<Vec<String>>> {
    let mut tables = BTreeMap::new();
    for (table, columns) in TABLES {
        let found = dump.rows().find(|rows| rows.table == *table);
        let names: Vec<String> = columns
            .split(", ")
            .map(|column| column.trim_start_matches("CAST(").split(" AS ").next().unwrap().replace('`', ""))
            .collect();
        let mut rows = Vec::new();
        for cells in found.iter().flat_map(|rows| rows.cells()) {
            let columns = &found.unwrap().columns;
            let cell = |name: &String| cells[columns.iter().position(|c| c == name).unwrap()].clone();
            rows.push(names.iter().map(|name| cell(name).unwrap_or_else(|| "NULL".to_owned())).collect::<Vec<_>>());
        }
        rows.sort();
        tables.insert(*table, rows);
    }
    tables
}

pub async fn connect(tao: &TestDatabase) -> (Database, Schema) {
    let database = Database::connect(&SecretString::from(tao.url().to_owned())).await.unwrap().adopted();
    let schema = Schema::recognise(&mut database.read().await.unwrap()).await.unwrap();
    (database, schema)
}

fn upsert(entity_type: EntityType, entity: &Entity) -> Upsert {
    Upsert {
        entity_type,
        seq: 1,
        uri: entity.uri.clone(),
        digest: entity_digest(entity),
        body: serde_json::to_vec(entity).unwrap(),
        login: entity.first(v::USER_LOGIN).map(str::to_owned),
    }
}

/// A command that stands for TAO's import: it asks the test, which does in the database what TAO would do.
pub struct FakeTao {
    dir: TempDir,
}

impl FakeTao {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let script = "#!/bin/sh\nprintf '%s\\n%s\\n' \"$1\" \"$2\" > \"${0%/*}/question.tmp\"\n\
                      mv \"${0%/*}/question.tmp\" \"${0%/*}/question\"\n\
                      while [ ! -e \"${0%/*}/answer\" ]; do sleep 0.02; done\n\
                      code=$(cat \"${0%/*}/answer\"); rm \"${0%/*}/answer\" \n\
                      [ \"$code\" = 0 ] || echo 'item 3 has no response declaration' >&2\nexit \"$code\"\n";
        let path = dir.path().join("import");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    pub fn command(&self) -> String {
        self.dir.path().join("import").display().to_string()
    }

    /// Waits until the command runs: the delivery, and the bytes of the package.
    pub async fn asked(&self) -> (String, Vec<u8>) {
        let question = self.dir.path().join("question");
        while !question.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let text = std::fs::read_to_string(&question).unwrap();
        std::fs::remove_file(&question).unwrap();
        let (delivery, package) = text.trim_end().split_once('\n').unwrap();
        (delivery.to_owned(), std::fs::read(Path::new(package)).unwrap())
    }

    /// Lets the command end.
    pub fn answer(&self, code: u8) {
        let path = self.dir.path().join("answer.tmp");
        std::fs::write(&path, code.to_string()).unwrap();
        std::fs::rename(path, self.dir.path().join("answer")).unwrap();
    }

    /// Waits until a command that was answered has ended.
    pub async fn ended(&self) {
        while std::fs::read_dir(self.dir.path()).unwrap().count() > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Imports one delivery as TAO does: what it makes itself, and class and label a second time.
    pub async fn import_well(&self, place: &Place) -> Vec<u8> {
        let (delivery, package) = self.asked().await;
        for (predicate, object) in [
            (v::DELIVERY_RUNTIME, "{}"),
            (v::DELIVERY_CONTAINER, "{}"),
            (v::DELIVERY_DIRECTORY, "http://box.example/tao.rdf#i1-"),
            (v::RDF_TYPE, v::CLASS_DELIVERY),
        ] {
            place.say(&delivery, predicate, object).await;
        }
        self.answer(0);
        package
    }
}
