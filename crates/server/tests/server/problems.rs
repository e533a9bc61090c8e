//! What anybody may see, and the shape of problems.

use serde_json::json;
use taosync_store::settings::Role;
use taosync_vault::random;

use crate::client::dpop;
use crate::place::Place;

#[tokio::test]
async fn a_problem_has_this_shape() {
    let place = Place::central().await;
    let answer = place.get("/nowhere", &[]).await;
    assert_eq!((answer.status, answer.header("content-type")), (404, "application/problem+json"));
    insta::assert_json_snapshot!(answer.json(), @r#"
    {
      "advice": "check the address, and that it is the server you mean",
      "code": "not_found",
      "detail": "there is nothing at this address",
      "status": 404,
      "title": "not found"
    }
    "#);
    let names =
        ["cache-control", "x-content-type-options", "x-frame-options", "referrer-policy", "content-security-policy"];
    let headers: Vec<_> = names.iter().map(|name| answer.header(name)).collect();
    insta::assert_json_snapshot!(headers, @r#"
    [
      "no-store",
      "nosniff",
      "DENY",
      "no-referrer",
      "default-src 'none'; frame-ancestors 'none'"
    ]
    "#);
    assert!(answer.header("taosync-request").parse::<uuid::Uuid>().is_ok());

    let answer = place.get("/api/v1/report", &[]).await;
    assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(answer.header("allow"), "POST");
}

#[tokio::test]
async fn anybody_may_ask_whether_it_is_well() {
    let place = Place::central().await;
    let health = place.get("/healthz", &[]).await;
    assert_eq!(
        health.json(),
        json!({ "status": "ok", "role": Role::Central.as_str(), "version": taosync_server::VERSION })
    );
    let page = place.get("/", &[]).await;
    let text = String::from_utf8_lossy(&page.body).into_owned();
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(text.contains("taosync central is running") && text.contains(taosync_server::VERSION), "{text}");
    assert!(!text.contains("http://") && !text.contains("https://"), "nothing is loaded from elsewhere");
}

#[tokio::test]
async fn a_report_is_kept_once_and_belongs_to_its_sender() {
    let place = Place::central().await;
    let (header, token) = dpop(&place.token("a").await);
    let sync = random::uuid();
    let report = json!({
        "sync": sync, "outcome": "success", "started_at": "2026-05-12T08:00:00Z", "ended_at": "2026-05-12T08:00:09Z",
        "equal": true, "deliveries": 1, "pending": 0, "changed": [1, 2, 3], "version": "1.0.0", "clock": 3600, "disk": 5,
        "of_a_newer_version": true,
    });
    let send = async |token: &str, report: &serde_json::Value| {
        place.post("/api/v1/report", &[(header, token)], report.to_string()).await
    };
    for _ in 0..2 {
        assert_eq!(send(&token, &report).await.status, 204);
    }
    let runs = place.store.sync_list(None, 10).await.unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].id, sync);
    assert_eq!(runs[0].started_at.to_string(), "2026-05-12T07:00:00Z", "by the clock of central");
    assert_eq!(runs[0].summary["of_a_newer_version"], true);
    let nodes = place.store.nodes_list().await.unwrap();
    assert_eq!(nodes[0].orgs[0].report.as_ref().unwrap()["disk"], 5);

    let (_, other) = dpop(&place.token("b").await);
    let answer = send(&other, &report).await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "refused"), "another machine's sync stays its own");
    let mut wrong = report.clone();
    wrong["outcome"] = json!("running");
    assert_eq!(send(&token, &wrong).await.code(), "bad_request");

    let pad = |length: usize| {
        let text = report.to_string();
        format!("{text}{}", " ".repeat(length - text.len()))
    };
    let post = async |body: String| place.post("/api/v1/report", &[(header, &token)], body).await.status;
    assert_eq!(post(pad(16 * 1024)).await, 204);
    assert_eq!(post(pad(16 * 1024 + 1)).await, 413);
}
