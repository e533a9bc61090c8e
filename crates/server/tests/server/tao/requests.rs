//! Right and wrong requests of every kind, with values of our own: what a clone without the recordings tests.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use taosync_model::{Entity, EntityType, Value as Text, vocabulary as v};
use taosync_server::{Central, ListenLimits, central_router};
use taosync_store::settings::Role;
use taosync_sync::tao::Compat;
use taosync_vault::passwords;
use taosync_wire::tao::{
    PATH_CHECKSUMS, PATH_CLASSES, PATH_CONFIRM_FAILED, PATH_CONFIRM_FINISHED, PATH_DELIVERY_TEST, PATH_DETAILS,
    PATH_LOGS, PATH_LTI_USERS, PATH_RESULTS, PATH_SESSIONS, PATH_SUPPORTED_VM,
};

use super::walk::{TaoBox, school};
use super::{VERSION, bearer, central, compat, load};
use crate::place::{Machine, Place};

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
    assert_eq!(client.get("/api/v1/feed?after=").await.code(), "proof_missing");

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
    let answer = ask(json!({"login": "berta", "password": "secret"})).await;
    assert_eq!((answer.status, answer.json()), (200, failure("401", UNAUTHORIZED)), "no sync manager: as a wrong one");
}

#[tokio::test]
async fn handshakes_of_one_manager_give_one_consumer() {
    let place = place().await;
    load(&place.store, vec![(EntityType::SyncManager, manager("secret"))], &["B"]).await;
    let ask = async || {
        let body = json!({"login": "anna", "password": "secret"}).to_string();
        let given = place.post("/taoSync/HandShake", &[], body).await.json();
        let text = |name: &str| given["oauthInfo"][name].as_str().unwrap().to_owned();
        (text("key"), text("secret"))
    };
    let works = async |(key, secret): &(String, String)| {
        let form = format!("client_id={key}&client_secret={secret}");
        place.post("/taoOauth/TokenApi/requestToken", &[], form).await.status == 200
    };
    let (one, two) = tokio::join!(ask(), ask());
    assert_eq!(one, two, "also at the same time");
    // Another center of the manager's: the same consumer, for both.
    let mut moved = manager("secret");
    moved.push(v::ASSIGNED_SYNC_USER, Text::plain("https://central.example/tao.rdf#centerB"));
    load(&place.store, vec![(EntityType::SyncManager, moved)], &[]).await;
    assert_eq!(ask().await, one);
    assert!(works(&one).await);
    let consumers = place.store.consumers_list().await.unwrap();
    assert_eq!(consumers.len(), 1);
    assert_eq!(consumers[0].orgs, [crate::place::org("A"), crate::place::org("B")]);

    place.store.consumer_revoke(&one.0).await.unwrap();
    assert!(!works(&one).await);
    let again = ask().await;
    assert!(again.0 != one.0 && again.1 != one.1 && works(&again).await);
    assert_eq!(ask().await, again);
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
async fn everything_stands_below_the_base_path() {
    let place = Place::open(Role::Central, ListenLimits::default(), async |store, blobs, identity| {
        compat(2).save(&store).await.unwrap();
        let mut central = Central::new(store, blobs, identity);
        central.tao_base_path = "/exams/tao".to_owned();
        central_router(central)
    })
    .await;
    load(&place.store, school(5), &["A"]).await;
    load(&place.store, vec![(EntityType::SyncManager, manager("secret"))], &[]).await;
    let login = json!({"login": "anna", "password": "secret"}).to_string();
    assert_eq!(place.post("/taoSync/HandShake", &[], login.clone()).await.status, 404);
    let given = place.post("/exams/tao/taoSync/HandShake", &[], login).await.json();
    let text = |name: &str| given["oauthInfo"][name].as_str().unwrap().to_owned();
    assert!(text("tokenUrl").ends_with("/exams/tao/taoOauth/TokenApi/requestToken"), "{given}");
    let form = format!("client_id={}&client_secret={}", text("key"), text("secret"));
    assert_eq!(place.post("/taoOauth/TokenApi/requestToken", &[], form.clone()).await.status, 404);
    let token = place.post("/exams/tao/taoOauth/TokenApi/requestToken", &[], form).await.json();
    let token = bearer(token["access_token"].as_str().unwrap());
    let header = [("authorization", token.as_str())];
    let paths = [
        PATH_CHECKSUMS,
        PATH_DETAILS,
        PATH_CLASSES,
        PATH_DELIVERY_TEST,
        PATH_CONFIRM_FINISHED,
        PATH_CONFIRM_FAILED,
        PATH_RESULTS,
        PATH_LOGS,
        PATH_SESSIONS,
        PATH_LTI_USERS,
        PATH_SUPPORTED_VM,
        "taoSync/Nope/nope",
    ];
    let unknown = "Access denied. Please renew your authentication!";
    for path in paths {
        for (base, is_there) in [("/exams/tao", true), ("", false), ("/exams", false), ("/other", false)] {
            let answer = place.get(&format!("{base}/{path}"), &header).await;
            if is_there {
                let is_unknown = answer.json()["errorMsg"] == unknown;
                assert_eq!(is_unknown, path == "taoSync/Nope/nope", "{path} {answer:?}");
            } else {
                assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{base}/{path}");
            }
        }
    }
    // The next page is named without the base, which a client puts before it (WIRE §5.4).
    let version = format!("params%5Btao_version%5D={VERSION}");
    let mut next = Some(format!("/{PATH_CHECKSUMS}?type=test-taker&{version}"));
    let mut listed = 0;
    while let Some(path) = next {
        let page = place.get(&format!("/exams/tao{path}"), &header).await.json();
        listed += page["entities"].as_object().unwrap().len();
        next = page["nextCallUrl"].as_str().map(str::to_owned);
    }
    assert_eq!(listed, 5);
}

#[tokio::test]
async fn large_bodies_wait_for_their_turn_and_small_ones_do_not() {
    let place = Place::open(Role::Central, ListenLimits::default(), async |store, blobs, identity| {
        compat(10).save(&store).await.unwrap();
        central_router(Central::new(store, blobs, identity).handing_in(0))
    })
    .await;
    load(&place.store, school(3), &["A"]).await;
    let client = TaoBox::connect(&place, "key", &["A"], None).await;
    let body =
        |ids: usize| json!({"type": "test-taker", "entityIds": vec!["https://x/#y"; ids], "params": client.params()});
    let large = body(8_000);
    assert!(large.to_string().len() > 64 * 1024);
    for path in
        [PATH_DETAILS, PATH_CLASSES, PATH_CONFIRM_FINISHED, PATH_RESULTS, PATH_LOGS, PATH_SESSIONS, PATH_LTI_USERS]
    {
        let answer = tokio::time::timeout(Duration::from_millis(100), client.post(path, large.clone())).await;
        assert!(answer.is_err(), "{path} is not read while it is nobody's turn");
    }
    assert_eq!(client.post(PATH_DETAILS, body(100)).await.json(), json!([]));
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

#[tokio::test]
async fn the_secret_of_a_machine_of_ours_is_worth_nothing_without_its_key() {
    let place = place().await;
    let secret = place.consumer("key", &["A"]).await;
    let secret = secret.expose_secret();
    let plain = async || {
        let form = format!("client_id=key&client_secret={secret}");
        place.post("/taoOauth/TokenApi/requestToken", &[], form).await
    };
    let before = plain().await;
    assert_eq!(before.status, 200, "a TAO box may have it");
    let before = bearer(before.json()["access_token"].as_str().unwrap());
    let path = format!("/taoSync/api/supportedVm?params%5Btao_version%5D={VERSION}");
    assert_eq!(place.get(&path, &[("authorization", &before)]).await.status, 200);
    let form = format!("grant_type=client_credentials&client_id=key&client_secret={secret}");
    assert_eq!(place.ask_token(&form, Some(&Machine::new().proof(&place))).await.status, 200);
    assert_eq!(plain().await.status, 401, "it is bound to the key of a machine now");
    assert_eq!(
        place.get(&path, &[("authorization", &before)]).await.status,
        401,
        "and plain tokens of before are over"
    );
}

#[tokio::test]
async fn what_the_boxes_of_a_manager_share_is_bound_to_none() {
    let place = place().await;
    load(&place.store, vec![(EntityType::SyncManager, manager("secret"))], &[]).await;
    let body = json!({"login": "anna", "password": "secret"}).to_string();
    let given = place.post("/taoSync/HandShake", &[], body).await.json();
    let text = |name: &str| given["oauthInfo"][name].as_str().unwrap().to_owned();
    let form = format!("client_id={}&client_secret={}", text("key"), text("secret"));
    let native = format!("grant_type=client_credentials&{form}");
    let refused = place.ask_token(&native, Some(&Machine::new().proof(&place))).await;
    assert_eq!(refused.json()["error"], "consumer_bound");
    assert_eq!(place.post("/taoOauth/TokenApi/requestToken", &[], form).await.status, 200, "the boxes go on");
}
