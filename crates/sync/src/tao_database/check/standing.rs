//! How this node stands to a TAO's database: what it may do there, who can listen, and who else works there now.

use taosync_store::settings::Role;
use taosync_tao::{Kind, Reading, Schema, Statement, TaoError};

use super::super::{Installation, TaoDatabaseError};
use super::{Findings, Severity};

/// Where results go at central.
const OF_CENTRAL: [&str; 6] =
    ["statements", "kv_store", "results_storage", "variables_storage", "delivery_log", "delivery_monitoring"];
/// What is written in a school: data, and taoSync's own memory.
const OF_LOCAL: [&str; 5] = ["statements", "kv_store", "synchronisation", "synchronisation_result", "delivery_log"];
/// Rights that are needed on each.
const RIGHTS: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];

/// Tables this user may not write into.
pub(super) async fn rights(
    installation: &Installation,
    role: Role,
    findings: &mut Findings,
) -> Result<(), TaoDatabaseError> {
    let tables: &[&'static str] = match role {
        Role::Central => &OF_CENTRAL,
        Role::Local => &OF_LOCAL,
    };
    let mut denied = Vec::new();
    for &table in tables.iter().filter(|table| installation.schema.has_table(table)) {
        let mut reading = installation.database.read().await?;
        if !may_write(&mut reading, table).await? {
            denied.push(table);
        }
    }
    if denied.is_empty() {
        return Ok(());
    }
    let what = format!("the database's user may not write into {}", denied.join(", "));
    let advice = "GRANT INSERT, UPDATE, DELETE on these tables, in PostgreSQL also USAGE of their sequences";
    match role {
        Role::Central => findings.add(Severity::Warns, what, format!("{advice}; without, no result goes into TAO")),
        Role::Local => findings.add(Severity::Stops, what, advice),
    }
    Ok(())
}

async fn may_write(reading: &mut Reading, table: &'static str) -> Result<bool, TaoError> {
    match reading.kind() {
        Kind::Postgres => {
            let mut statement = Statement::new("SELECT CASE WHEN ");
            for right in RIGHTS {
                statement = statement.push("has_table_privilege(").bind(table).push(", ").bind(right).push(") AND ");
            }
            let statement = statement
                .push("COALESCE(has_sequence_privilege(pg_get_serial_sequence(")
                .bind(table)
                .push(
                    ", (SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() \
                       AND column_default LIKE 'nextval(%' AND table_name = ",
                )
                .bind(table)
                .push(" LIMIT 1)), 'USAGE'), true) THEN 1 ELSE 0 END");
            Ok(reading.rows(&statement).await?.first().map(|row| row.integer(0)).transpose()? == Some(1))
        }
        // Rights come there in many ways; the database itself knows them all. Nothing is changed: it only explains.
        Kind::MySql => {
            let delete = Statement::new("EXPLAIN DELETE FROM ").name(table).push(" WHERE 1 = 0");
            let insert = Statement::new("EXPLAIN INSERT INTO ").name(table).push(" SELECT * FROM ").name(table);
            Ok(reading.is_allowed(&delete).await? && reading.is_allowed(&insert.push(" WHERE 1 = 0")).await?)
        }
    }
}

/// Whether somebody on the line between two machines could read along.
pub(super) async fn encryption(reading: &mut Reading, findings: &mut Findings) -> Result<(), TaoError> {
    let is_open = match reading.kind() {
        Kind::Postgres => {
            let statement = Statement::new(
                "SELECT 1 FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND NOT ssl
                 AND inet_client_addr() IS NOT NULL AND inet_client_addr() <> inet_server_addr()",
            );
            !reading.rows(&statement).await?.is_empty()
        }
        Kind::MySql => {
            let cipher = reading.rows(&Statement::new("SHOW SESSION STATUS LIKE 'Ssl_cipher'")).await?;
            let is_plain = cipher.iter().any(|row| row.optional_text(1).is_ok_and(|cipher| cipher == Some("")));
            // With its port; the name of a user need not say where the user is.
            let client = "SELECT host FROM information_schema.processlist WHERE id = CONNECTION_ID()";
            let host = reading.rows(&Statement::new(client)).await?;
            let is_here = |host: &str| {
                let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
                matches!(name, "localhost" | "127.0.0.1" | "::1" | "")
            };
            is_plain && !host.iter().any(|row| row.text(0).is_ok_and(is_here))
        }
    };
    if is_open {
        let advice = "let it speak TLS, and add ?sslmode=verify-full (PostgreSQL) or ?ssl-mode=VERIFY_IDENTITY (MySQL) \
                      to its address";
        findings.add(Severity::Warns, "the connection with TAO's database is not encrypted", advice);
    }
    Ok(())
}

/// A synchronisation of taoSync's that is under way.
pub(super) async fn tasks(reading: &mut Reading, schema: &Schema, findings: &mut Findings) -> Result<(), TaoError> {
    if schema.holds("tq_task_log", "task_name").is_none() || schema.holds("tq_task_log", "status").is_none() {
        return Ok(());
    }
    let statement = Statement::new(
        "SELECT 1 FROM tq_task_log WHERE task_name LIKE '%Synchroni%'
         AND status IN ('enqueued', 'dequeued', 'running', 'child_running') LIMIT 1",
    );
    if !reading.rows(&statement).await?.is_empty() {
        let what = "a synchronisation of taoSync's is under way, or was cut and never ended";
        findings.add(Severity::Warns, what, "let it end before you adopt; one that was cut stays so and does no harm");
    }
    Ok(())
}
