//! `own` at the pages: a sync manager sees the organisations of the account and nothing of another.

use serde_json::json;
use taosync_server::central_endpoints;
use taosync_store::history::{NewRun, RunEnd, SyncOutcome};
use taosync_vault::random;

use super::Credentials;
use super::matrix::{Cell, Matrix, Who, document};
use super::own::OF_B;
use crate::pages::cookie;
use crate::place::org;

async fn told(credentials: &Credentials, path: &str, who: Who) -> (u16, String) {
    let token = credentials.people.session(&credentials.place, who).await;
    let path = format!("{path}?org=b&organisation_id=b&act=token&object=b");
    let answer = credentials.place.get(&path, &[("cookie", &cookie(&token))]).await;
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

#[tokio::test]
async fn a_sync_manager_is_shown_nothing_of_another_organisation() {
    let credentials = Credentials::at_central().await;
    let store = &credentials.place.store;
    // Both organisations have a machine by now: each got a token.
    let nodes = store.nodes_list().await.unwrap();
    for (node, name) in nodes.iter().zip(["a", "b"]) {
        let label = if name == "b" { OF_B } else { "of-a" };
        let report = json!({"outcome": "success", "equal": true, "pending": 0, "held": 3});
        store.report_store(node.node.id, &org(name), &report).await.unwrap();
        let run = NewRun { id: random::uuid(), node: node.node.id, org: &org(name), actor: label, what: "all" };
        store.sync_begin(&run).await.unwrap();
        let end = RunEnd { outcome: SyncOutcome::Success, code: None, reason: Some(label), summary: &json!({}) };
        store.sync_end(run.id, &end).await.unwrap();
    }
    let of_b = nodes[1].node.id.to_string();
    let (matrix, mut asked) = (Matrix::read(&document(), "## Central"), 0);
    for endpoint in central_endpoints() {
        if matrix.cell(&endpoint, Who::ManagerSession) != Cell::Own || endpoint.method != http::Method::GET {
            continue;
        }
        let (status, page) = told(&credentials, &endpoint.path, Who::ManagerSession).await;
        assert_eq!(status, 200);
        for secret in [OF_B, &of_b[..13], "<td>b</td>", "consumer-b"] {
            assert!(!page.contains(secret), "{secret} at {}: {page}", endpoint.path);
        }
        asked += 1;
    }
    assert_eq!(asked, 2, "the overview and the history");
    // The same pages show it to whom it concerns.
    assert!(told(&credentials, "/history", Who::Auditor).await.1.contains(OF_B));
    assert!(told(&credentials, "/overview", Who::Auditor).await.1.contains(&of_b[..13]));
    assert!(told(&credentials, "/history", Who::ManagerSession).await.1.contains("of-a"));
}
