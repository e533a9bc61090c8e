//! What the pages show, as HTML.

use serde_json::json;
use taosync_store::history::{NewRun, RunEnd, SyncOutcome};
use taosync_store::nodes::NodeHello;
use uuid::Uuid;

use super::Desk;
use crate::access::Who;
use crate::place::org;

/// Times, tokens, heads and versions that differ at each run, taken out.
fn steady(html: &str) -> String {
    let mut text = html.replace(taosync_server::VERSION, "VERSION");
    for (from, to) in [("<time datetime=\"", "</time>"), ("name=\"form_token\" value=\"", "\""), ("<!--", "-->")] {
        let mut parts = text.split(from);
        let mut steady = parts.next().unwrap().to_owned();
        for part in parts {
            steady.push_str(from);
            steady.push('…');
            steady.push_str(to);
            steady.push_str(part.split_once(to).unwrap().1);
        }
        text = steady;
    }
    // One element a line reads better.
    text.replace("><", ">\n<")
}

/// Two local servers of two organisations, and what they said.
async fn fleet(desk: &Desk) {
    for (number, name) in [(1_u128, "a"), (2, "b")] {
        let store = &desk.place.store;
        desk.place.consumer(&format!("consumer-{name}"), &[name]).await;
        let consumers = store.consumers_list().await.unwrap();
        let consumer = consumers.iter().find(|known| known.client_key == format!("consumer-{name}")).unwrap().id;
        let id = Uuid::from_u128(number);
        let hello = NodeHello {
            id,
            thumbprint: format!("thumbprint-{name}"),
            public_key: [number as u8; 32],
            recipient: "age1x".to_owned(),
            version: "<b>0.1.0</b>".to_owned(),
            consumer,
            former: Vec::new(),
        };
        let _noted = store.node_seen(&hello, 10).await.unwrap();
        let report = json!({"outcome": "partial", "equal": true, "deliveries": 1, "pending": 7, "held": 12,
                            "not_ready": {"secret-of-b": "broken"}, "secret": format!("only-{name}-may-see-this")});
        store.report_store(id, &org(name), &report).await.unwrap();
        // Both began in the same moment: their ids say which is shown first.
        let run =
            NewRun { id: Uuid::from_u128(1_000 - number), node: id, org: &org(name), actor: "schedule", what: "all" };
        store.sync_begin(&run).await.unwrap();
        let reason = format!("only-{name}-may-see-this: <script>alert(1)</script>");
        let end =
            RunEnd { outcome: SyncOutcome::Failed, code: Some("TS-203"), reason: Some(&reason), summary: &json!({}) };
        store.sync_end(run.id, &end).await.unwrap();
    }
}

#[tokio::test]
async fn the_pages_of_central() {
    let desk = Desk::at_central().await;
    fleet(&desk).await;
    insta::assert_snapshot!(
        "central_login",
        steady(&String::from_utf8_lossy(&desk.place.get("/login", &[]).await.body))
    );
    insta::assert_snapshot!(
        "central_overview_administrator",
        steady(&desk.page("/overview", Who::Administrator).await)
    );
    insta::assert_snapshot!("central_overview_manager", steady(&desk.page("/overview", Who::ManagerSession).await));
    insta::assert_snapshot!("central_history_auditor", steady(&desk.page("/history", Who::Auditor).await));
}

#[tokio::test]
async fn the_pages_of_a_local_server() {
    let desk = Desk::at_local().await;
    insta::assert_snapshot!("local_overview_administrator", steady(&desk.page("/overview", Who::Administrator).await));
    insta::assert_snapshot!("local_overview_auditor", steady(&desk.page("/overview", Who::Auditor).await));
}

#[tokio::test]
async fn nothing_that_came_from_outside_becomes_part_of_a_page() {
    let desk = Desk::at_central().await;
    fleet(&desk).await;
    for path in
        ["/overview", "/history", "/audit", "/audit?act=%22%3E%3Cscript%3E&actor='%3E%3Cb%3E", "/overview?said=<b>"]
    {
        let path = path.replace('<', "%3C").replace('>', "%3E");
        let page = desk.page(&path, Who::Administrator).await;
        for bad in ["<script", "<b>", "javascript:", "style=", " onclick", "http://", "https://"] {
            assert!(!page.contains(bad), "{bad} in {path}: {page}");
        }
    }
    assert!(desk.page("/overview", Who::Administrator).await.contains("&lt;b&gt;0.1.0&lt;/b&gt;"));
}

#[tokio::test]
async fn an_auditor_reads_the_log_and_finds_no_form_that_changes_anything() {
    let desk = Desk::at_central().await;
    fleet(&desk).await;
    let log = desk.page("/audit?act=account", Who::Auditor).await;
    assert!(log.contains("account.add") && log.contains("The log ends at"), "{log}");
    for path in ["/overview", "/history", "/audit"] {
        let page = desk.page(path, Who::Auditor).await;
        let forms: Vec<_> = page.split("<form").skip(1).filter(|form| form.contains("method=\"post\"")).collect();
        assert!(forms.len() == 1 && forms[0].contains("action=\"/logout\""), "{path}: {forms:?}");
    }
}
