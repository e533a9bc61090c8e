//! Right and wrong requests of every kind, with values of our own: what a clone without the recordings tests.

use serde_json::{Value, json};
use taosync_model::{Entity, EntityType, Value as Text, vocabulary as v};
use taosync_sync::tao::Compat;
use taosync_vault::passwords;

use super::walk::{TaoBox, school};
use super::{VERSION, bearer, central, compat, load};
use crate::place::Place;

const UNEXPECTED: &str = "Unexpected error. Please contact administrator";
const WRONG_TYPE: &str = "Wrong request type, try again please or contact your system administrator";
const UNAUTHORIZED: &str = "You are not authorized to access this functionality.";

fn failure(code: impl Into<Value>, words: &str) -> Value {
    json!({"success": false, "errorCode": code.into(), "errorMsg": words, "version": VERSION})
}

async fn place() -> Place {
    let place = central(compat(10)).await;
    load(&place.store, school(3), &["A", "*"]).await;
    place
}

#[tokio::test]
async fn wrong_requests_get_the_answers_tao_gives() {
    let place = place().await;
    let client = TaoBox::connect(&place, "key", &["*"], None).await;
    let list = |rest: &str| format!("/taoSync/SynchronisationApi/fetchEntityChecksums?{rest}");
    let version = format!("params%5Btao_version%5D={VERSION}");
    let gets = [
        (list(&version), 500, failure(0, UNEXPECTED)),
        (list(&format!("type=&{version}")), 400, failure(0, WRONG_TYPE)),
        (list(&format!("type=class&{version}")), 400, failure(0, WRONG_TYPE)),
        (list(&format!("type=sync-manager&{version}")), 400, failure(0, WRONG_TYPE)),
        (list("type=test-taker"), 500, failure(0, "Required parameter \"tao_version\" is missing.")),
        (
            list("type=test-taker&params%5Btao_version%5D=1.10"),
            500,
            failure(0, "Provided version of TAO VM is not supported by server: 1.10"),
        ),
        (list(&format!("type=test-taker&params%5Boffset%5D=x&{version}")), 500, failure(0, UNEXPECTED)),
        ("/taoSync/SynchronisationApi/fetchEntityDetails".into(), 500, failure(0, UNEXPECTED)),
        ("/taoSync/SynchronisationApi/fetchClassDetails".into(), 500, failure(0, UNEXPECTED)),
        ("/taoSync/SynchronisationApi/confirmSyncFinished".into(), 500, failure(0, UNEXPECTED)),
        ("/taoSync/SynchronisationApi/getDeliveryTest".into(), 404, failure(0, UNEXPECTED)),
        ("/taoSync/ResultApi/syncResults".into(), 500, failure(0, UNEXPECTED)),
        (
            "/taoSync/SynchronisationApi/nope".into(),
            200,
            json!({"error": "You do not have the required rights to edit this resource."}),
        ),
        ("/taoSync/Nope/nope".into(), 403, failure(403, "Access denied. Please renew your authentication!")),
    ];
    for (path, status, body) in gets {
        let answer = client.get(&path).await;
        assert_eq!((answer.status, answer.json()), (status, body), "{path}");
    }
    let params = client.params();
    let posts = [
        ("SynchronisationApi/fetchEntityDetails", json!({}), 500, failure(0, UNEXPECTED)),
        ("SynchronisationApi/fetchEntityDetails", json!(null), 500, failure(0, UNEXPECTED)),
        (
            "SynchronisationApi/fetchEntityDetails",
            json!({"type": "test-taker", "params": params}),
            500,
            failure(0, UNEXPECTED),
        ),
        (
            "SynchronisationApi/fetchEntityDetails",
            json!({"type": "test-taker", "entityIds": [5], "params": params}),
            500,
            failure(0, UNEXPECTED),
        ),
        (
            "SynchronisationApi/fetchEntityDetails",
            json!({"type": "nope", "entityIds": ["https://x/#y"], "params": params}),
            400,
            failure(0, WRONG_TYPE),
        ),
        (
            "SynchronisationApi/fetchEntityDetails",
            json!({"type": "test-taker", "entityIds": [], "params": params}),
            200,
            json!([]),
        ),
        (
            "SynchronisationApi/fetchClassDetails",
            json!({"type": "nope", "requested-classes": ["x:y"]}),
            400,
            failure(0, WRONG_TYPE),
        ),
        (
            "SynchronisationApi/fetchClassDetails",
            json!({"type": "test-taker", "requested-classes": []}),
            500,
            failure(0, "No requested class provided."),
        ),
        ("SynchronisationApi/getDeliveryTest", json!({}), 500, failure(0, UNEXPECTED)),
        ("SynchronisationApi/confirmSyncFailed", json!({"x": 1}), 200, json!({"message": "Confirmation received."})),
        ("ResultApi/syncResults", json!({"sync_params": params}), 500, failure(0, UNEXPECTED)),
        ("ResultApi/syncResults", json!({"results": [], "sync_params": params}), 200, json!([])),
        (
            "ResultApi/syncResults",
            json!({"results": {}, "sync_params": {}}),
            500,
            failure(0, "Required parameter \"tao_version\" is missing."),
        ),
        (
            "ResultApi/syncTestSessions",
            json!({"test_sessions": ["unknown"], "sync_params": params}),
            200,
            json!({"unknown": {"success": 0}}),
        ),
        ("ResultApi/syncLtiUsers", json!({"sync_params": params}), 500, failure(0, UNEXPECTED)),
        ("api/supportedVm", json!({}), 400, failure(400, "Not implemented.")),
    ];
    for (path, body, status, expected) in posts {
        let answer = client.post(&format!("taoSync/{path}"), body.clone()).await;
        assert_eq!((answer.status, answer.json()), (status, expected), "{path} {body}");
    }
}

#[tokio::test]
async fn who_may_not_come_in_is_told_as_tao_tells() {
    let place = place().await;
    let path = "/taoSync/api/supportedVm";
    for header in ["", "Bearer ", "Bearer x", "Basic YTpi", "Basic ?", "XXXXXX x"] {
        let answer = place.get(path, &[("authorization", header)]).await;
        assert_eq!((answer.status, answer.json()), (401, failure("401", UNAUTHORIZED)), "{header}");
        assert_eq!(answer.header("www-authenticate"), "Basic realm=\"taosync\"");
    }
    // A token of our own protocol is good for that protocol only, and the other way round.
    let native = place.token("A").await;
    assert_eq!(place.get(path, &[("authorization", &bearer(&native))]).await.status, 401);
    let client = TaoBox::connect(&place, "key", &["A"], None).await;
    assert_eq!(client.get(path).await.status, 200);
    assert_eq!(client.get("/api/v1/feed?after=").await.code(), "token_without_node");

    let missing = "At least one mandatory parameter was required but found missing in your request";
    let wrong = "You are not authorized to perform this operation";
    for (form, status, words) in [
        ("", 400, missing),
        ("client_id=key", 400, missing),
        ("client_secret=x", 400, missing),
        ("client_id=key&client_secret=x&grant_type=password", 501, UNEXPECTED),
        ("client_id=nobody&client_secret=x", 401, wrong),
        ("client_id=key&client_secret=x", 401, wrong),
        ("{\"client_id\":\"key\",\"client_secret\":\"x\"}", 401, wrong),
        ("{\"client_id\":", 400, missing),
    ] {
        let answer = place.post("/taoOauth/TokenApi/requestToken", &[], form).await;
        assert_eq!((answer.status, answer.json()), (status, failure(0, words)), "{form}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("nobody"));
    }
}

fn manager(password: &str) -> Entity {
    Entity::new("https://central.example/tao.rdf#anna", v::CLASS_TAO_USER)
        .with(v::USER_LOGIN, "anna")
        .with(v::USER_PASSWORD, passwords::tao_hash(&password.into()))
        .with(v::USER_ROLES, v::ROLE_SYNC_MANAGER)
        .with(v::ASSIGNED_SYNC_USER, "https://central.example/tao.rdf#centerA")
}

#[tokio::test]
async fn a_handshake_gives_a_consumer_for_the_managers_organisation() {
    let place = place().await;
    load(&place.store, vec![(EntityType::SyncManager, manager("secret"))], &[]).await;
    let ask = async |body: Value| place.post("/taoSync/HandShake", &[], body.to_string()).await;
    let given = ask(json!({"login": "anna", "password": "secret"})).await;
    assert_eq!(given.status, 200);
    let given = given.json();
    assert_eq!(given["syncUser"]["properties"][v::USER_LOGIN], "anna");
    assert_eq!(given["syncUser"]["properties"][v::ORGANISATION_ID], "A");
    assert_eq!(
        given["oauthInfo"]["tokenUrl"],
        format!("https://localhost:{}/taoOauth/TokenApi/requestToken", place.address.port())
    );
    let key = given["oauthInfo"]["key"].as_str().unwrap();
    let consumer = place.store.consumer_login(key).await.unwrap().unwrap().consumer;
    assert_eq!((consumer.orgs, consumer.user.as_str()), (vec![crate::place::org("A")], "anna"));
    let form = format!("client_id={key}&client_secret={}", given["oauthInfo"]["secret"].as_str().unwrap());
    assert_eq!(place.post("/taoOauth/TokenApi/requestToken", &[], form).await.status, 200);

    for (body, expected) in [
        (json!({"login": "anna", "password": "Secret"}), failure("401", UNAUTHORIZED)),
        (json!({"login": "ghost", "password": "x"}), failure("401", UNAUTHORIZED)),
        (
            json!({"login": null, "password": "x"}),
            failure("412", "Valid \"login\" and \"password\" parameters are required to access index"),
        ),
    ] {
        let answer = ask(body.clone()).await;
        assert_eq!((answer.status, answer.json()), (200, expected), "{body}");
    }
    assert_eq!(place.get("/taoSync/HandShake", &[]).await.json(), failure(0, UNEXPECTED));
    let mut other = manager("secret");
    other.uri.push('2');
    other.set(v::USER_LOGIN, vec![Text::plain("berta")]);
    load(&place.store, vec![(EntityType::Administrator, other)], &[]).await;
    assert_eq!(ask(json!({"login": "berta", "password": "secret"})).await.status, 500, "no sync manager");
}

#[tokio::test]
async fn guessing_a_managers_password_is_slowed_down() {
    let place = place().await;
    load(&place.store, vec![(EntityType::SyncManager, manager("secret"))], &[]).await;
    let body = json!({"login": "anna", "password": "guess"}).to_string();
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(place.post("/taoSync/HandShake", &[], body.clone()).await.status);
    }
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
}

#[tokio::test]
async fn switched_off_it_is_not_there() {
    let place = place().await;
    let client = TaoBox::connect(&place, "key", &["A"], None).await;
    assert_eq!(client.get("/taoSync/api/supportedVm").await.status, 200);
    Compat { tao: false, ..compat(10) }.save(&place.store).await.unwrap();
    for path in ["/taoSync/api/supportedVm", "/taoOauth/TokenApi/requestToken", "/taoSync/HandShake", "/nowhere"] {
        let answer = client.get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
}
