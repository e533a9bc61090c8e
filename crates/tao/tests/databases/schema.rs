//! Which TAO this is.

use taosync_tao::schema::{Executions, History, StatementId};
use taosync_tao::{Schema, TaoError};
use taosync_testbed::{Kind, TestDatabase, tao};

use crate::{connect, small};

async fn recognise(test: &TestDatabase) -> Result<Schema, TaoError> {
    Schema::recognise(&mut connect(test).await.read().await?).await
}

#[tokio::test]
async fn a_tao_is_recognised() {
    for kind in Kind::BOTH {
        let Some(test) = small(kind).await else { return };
        let schema = recognise(&test).await.unwrap();
        assert_eq!(schema.statement_id, StatementId::Counted, "{kind:?}");
        assert_eq!((schema.executions, schema.history), (Executions::Ontology, History::ByEntity), "{kind:?}");
        assert!(schema.log_is_synced && schema.has_table("kv_store") && !schema.has_table("nothing"), "{kind:?}");
    }
}

#[tokio::test]
async fn the_golden_ones_are_recognised() {
    for name in ["1-central-published", "4-client-after-result-sync"] {
        let Some(dump) = tao::golden(name) else { return };
        for kind in Kind::BOTH {
            let Some(test) = TestDatabase::with(kind, &dump).await else { return };
            let schema = recognise(&test).await.unwrap();
            assert_eq!(
                (schema.executions, schema.history),
                (Executions::Ontology, History::ByEntity),
                "{name} {kind:?}"
            );
        }
    }
}

#[tokio::test]
async fn variants_are_recognised() {
    for kind in Kind::BOTH {
        let Some(test) = small(kind).await else { return };
        let (text, start) = match kind {
            Kind::Postgres => (
                "ALTER TABLE statements ALTER COLUMN id DROP DEFAULT, ALTER COLUMN id TYPE varchar(255)",
                "'2026-05-12 08:00:00'::timestamp",
            ),
            Kind::MariaDb => ("ALTER TABLE statements MODIFY id VARCHAR(255) NOT NULL", "'2026-05-12 08:00:00'"),
        };
        test.execute(text).await;
        test.execute("ALTER TABLE synchronisation ADD COLUMN organisation_id VARCHAR(255) DEFAULT '' NOT NULL").await;
        test.execute("INSERT INTO kv_store (kv_id, kv_value, kv_time) VALUES ('kve_de_x', 'e30=', 0)").await;
        let schema = recognise(&test).await.unwrap();
        assert_eq!(schema.statement_id, StatementId::Text, "{kind:?}");
        assert_eq!((schema.executions, schema.history), (Executions::KeyValue, History::ByOrganisation), "{kind:?}");
        test.execute(&format!(
            "INSERT INTO delivery_executions (id, delivery_id, user_id, label, status, started_at)
             VALUES ('rds_de_1', 'd', 'u', 'l', 's', {start})"
        ))
        .await;
        assert_eq!(recognise(&test).await.unwrap().executions, Executions::Table, "{kind:?}");
    }
}

#[tokio::test]
async fn what_is_unknown_is_refused_and_named() {
    for kind in Kind::BOTH {
        for (change, table, column) in [
            ("ALTER TABLE statements DROP COLUMN author", "statements", "author"),
            ("ALTER TABLE results_storage ADD COLUMN tenant VARCHAR(20) NOT NULL", "results_storage", "tenant"),
            ("ALTER TABLE synchronisation ADD COLUMN organisation_id INTEGER", "synchronisation", "organisation_id"),
            ("ALTER TABLE kv_store DROP COLUMN kv_time", "kv_store", "kv_time"),
        ] {
            let Some(test) = small(kind).await else { return };
            let database = connect(&test).await.adopted();
            test.execute(change).await;
            let error = Schema::recognise(&mut database.read().await.unwrap()).await.unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, TaoError::Unrecognised { .. }), "{text}");
            assert!(text.contains(&format!("table {table}")) && text.contains(column), "{kind:?} {change}: {text}");
            assert!(matches!(database.change("x").await.err(), Some(TaoError::NotExamined)), "{kind:?}");
        }
    }
}

/// What holds no `statements` is no TAO: whoever named the wrong database is told so.
#[tokio::test]
async fn what_is_no_tao_is_refused() {
    for kind in Kind::BOTH {
        let Some(test) = small(kind).await else { return };
        let database = connect(&test).await.adopted();
        test.execute("DROP TABLE statements").await;
        let error = Schema::recognise(&mut database.read().await.unwrap()).await.unwrap_err();
        assert!(matches!(error, TaoError::NoTao), "{kind:?}: {error}");
        assert!(matches!(database.change("x").await.err(), Some(TaoError::NotExamined)), "{kind:?}");
    }
}
