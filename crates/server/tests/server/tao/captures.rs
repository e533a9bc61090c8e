//! Every recorded request is sent to our central, which holds the data TAO held, and every answer compared: status,
//! headers that matter, body by value. Where we differ on purpose, the reason stands here and in docs/TAO.md, and the
//! test holds that we do differ.

use std::collections::BTreeMap;

use serde_json::Value;
use taosync_model::{Entity, EntityType, vocabulary as v};
use taosync_sync::packages::{PublishRequest, publish};
use taosync_sync::tao::Compat;
use taosync_vault::tokens::TokenHash;

use super::recorded::{self, Capture};
use super::{central, compat, entity, issue, load};
use crate::client::Answer;
use crate::place::{Place, org};

/// The consumer of the recordings.
const KEY: &str = "b6fd27dfc1b6aba1e1356ab526bdb2c9";
const DATA: &str = "http://central.tao.local/tao.rdf#";
/// Recorded with a token that had expired.
const EXPIRED: &str = "Bearer uSUBzDzOamea601d6c1ff5b9020257ad2db6d69548fbe9ec4bca6aa196e3c46d030f2aa2c5";
/// Entities of a page in the recordings.
const CHUNK: u32 = 10;

/// Where we differ, and why. A name that ends in `*` stands for all that begin so.
const DIFFERENCES: &[(&str, &str)] = &[
    ("checksums_other_scheme_7chars", "an unknown scheme is no bearer: 401"),
    (
        "checksums_basic_admin_ok_creds",
        "there are no TAO administrators here; sync managers may use login and password",
    ),
    ("checksums_basic_syncmgr", "a sync manager sees the organisation that is the manager's, not everything"),
    (
        "results_resend_same",
        "what is held already is answered as held: TAO answers failure, and its client never sends again",
    ),
    ("results_two_one_bad", "a failed result does not carry the delivery of the one before it"),
    ("details_wrong_type_for_id", "an entity is shown as what it is, not under any type"),
    ("details_twotypes", "a resource without a test taker's role is no test taker"),
    ("delivery_test_range", "the whole package is sent: a part under status 200 looks like the whole"),
    (
        "byorg_checksums_delivery",
        "a delivery that does not exist is not listed: its details would be asked for at every sync",
    ),
    ("flow_F7_byorg_10_*", "as before: a delivery that does not exist"),
    ("flow_F9_*", "recorded on another data set; paging ends here, see the test of paging at exactly a page"),
];

/// Parts of answers that are never the same.
const VOLATILE: [&str; 8] = [
    "/access_token",
    "/expires",
    "/oauthInfo/key",
    "/oauthInfo/secret",
    "/oauthInfo/tokenUrl",
    "/syncUser/checksum",
    "/syncUser/properties/http:~1~1www.tao.lu~1Ontologies~1TAO.rdf#UpdatedAt",
    "/syncUser/properties/http:~1~1www.tao.lu~1Ontologies~1taoSync.rdf#ConsumerUser",
];

/// The state of TAO's data at a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// One entity has two labels.
    DoubleLabel,
    /// As loaded.
    Published,
    /// After some changes.
    Changed,
    /// The same, with organisations set up.
    ByOrg,
}

impl State {
    fn of(name: &str) -> Self {
        match name {
            _ if name.starts_with("flow_F0") => Self::DoubleLabel,
            _ if name.starts_with("flow_F1") || name.starts_with("flow_F2") => Self::Published,
            _ if name.starts_with("flow_F7") || name.starts_with("flow_F9") || name.starts_with("byorg") => Self::ByOrg,
            _ => Self::Changed,
        }
    }
}

/// Flows first, in their order; single calls were recorded after them.
fn place_of(name: &str) -> (bool, &str) {
    (!name.starts_with("flow"), name)
}

#[tokio::test]
async fn every_recorded_request_is_answered_as_tao_does() {
    let captures = recorded::all();
    if captures.is_empty() {
        return;
    }
    assert!(captures.len() > 180, "{}", captures.len());
    let mut table: Vec<(String, &'static str)> = Vec::new();
    let mut wrong: Vec<String> = Vec::new();
    for state in [State::DoubleLabel, State::Published, State::Changed, State::ByOrg] {
        let place = prepare(&captures, state).await;
        let mut names: Vec<&String> = captures.keys().filter(|name| State::of(name) == state).collect();
        names.sort_by_key(|name| place_of(name));
        for name in names {
            let complaints = replay(&place, name, &captures[name]).await;
            match (difference(name), complaints.is_empty()) {
                (None, true) => table.push((name.clone(), "as TAO")),
                (Some(reason), false) => table.push((name.clone(), reason)),
                (Some(_), true) => wrong.push(format!("{name}: differs no more; take it off the list")),
                (None, false) => wrong.push(format!("{name}: {}", complaints.join("; "))),
            }
        }
    }
    for (name, outcome) in &table {
        println!("{name:66} {outcome}");
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), captures.len(), wrong.join("\n"));
}

fn difference(name: &str) -> Option<&'static str> {
    let is_meant = |pattern: &str| match pattern.strip_suffix('*') {
        Some(head) => name.starts_with(head),
        None => name == pattern,
    };
    DIFFERENCES.iter().find(|(pattern, _)| is_meant(pattern)).map(|(_, reason)| *reason)
}

/// A central that holds what TAO held.
async fn prepare(captures: &BTreeMap<String, Capture>, state: State) -> Place {
    let trust_requested_org = state == State::ByOrg;
    let place = central(Compat { trust_requested_org, ..compat(CHUNK) }).await;
    let of_flow = |prefix: &'static str| {
        captures.iter().filter(move |(name, _)| name.starts_with(prefix)).map(|(_, capture)| capture)
    };
    let mut entities = match state {
        State::DoubleLabel => recorded::entities(of_flow("flow_F0")),
        _ => recorded::entities(of_flow("flow_F1")),
    };
    if matches!(state, State::Changed | State::ByOrg) {
        change(&mut entities, captures);
    }
    entities.push((EntityType::SyncManager, manager(captures)));
    load(&place.store, entities, &["*", "ORG-A"]).await;
    publish_recorded(&place, captures, state).await;
    let orgs: &[&str] = if state == State::ByOrg { &["ORG-A", "ORG-Z"] } else { &["*"] };
    consumer(&place, captures, orgs).await;
    place
}

/// What was changed between the flows and the single calls.
fn change(entities: &mut Vec<(EntityType, Entity)>, captures: &BTreeMap<String, Capture>) {
    entities.retain(|(_, entity)| ![format!("{DATA}tt13"), format!("{DATA}elig2")].contains(&entity.uri));
    for (_, entity) in entities.iter_mut().filter(|(_, entity)| entity.uri.ends_with("#tt12")) {
        entity.set(v::RDFS_LABEL, vec![taosync_model::Value::plain("TT 12 renamed")]);
    }
    let details = captures.iter().filter(|(name, _)| name.starts_with("details_") && !name.contains("twotypes"));
    for (entity_type, changed) in recorded::entities(details.map(|(_, capture)| capture)) {
        match entities.iter_mut().find(|(_, entity)| entity.uri == changed.uri) {
            Some(known) => *known = (entity_type, changed),
            None => entities.push((entity_type, changed)),
        }
    }
    let newcomer = Entity::new(format!("{DATA}tt26"), v::CLASS_SUBJECT)
        .with(v::RDFS_LABEL, "TT new")
        .with(v::USER_LOGIN, "tt26")
        .with(v::USER_ROLES, v::ROLE_TEST_TAKER);
    entities.push((EntityType::TestTaker, newcomer));
}

fn manager(captures: &BTreeMap<String, Capture>) -> Entity {
    let answer = captures["handshake_ok"].response.json().unwrap();
    let properties = serde_json::from_value(answer["syncUser"]["properties"].clone()).unwrap();
    entity(EntityType::SyncManager, answer["syncUser"]["id"].as_str().unwrap(), &properties)
}

/// Publishes the recorded package under the recorded delivery.
async fn publish_recorded(place: &Place, captures: &BTreeMap<String, Capture>, state: State) {
    let name = match state {
        State::DoubleLabel => "flow_F0_duplabel_15_getDeliveryTest",
        State::Published => "flow_F1_initial_19_getDeliveryTest",
        State::Changed => "delivery_test_ok",
        State::ByOrg => return,
    };
    let capture = &captures[name];
    let query = taosync_wire::tao::query::Query::parse(capture.request.path.split_once('?').unwrap().1);
    let uri = query.get("delivery-uri").unwrap().to_owned();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), capture.response.bytes()).unwrap();
    let label = place.store.entity_get(&uri).await.unwrap().unwrap().entity.label().to_owned();
    let request =
        PublishRequest { file: file.path().to_owned(), label, uri: Some(uri), naming: DATA.to_owned(), test: None };
    publish::publish(&place.store, request).await.unwrap();
}

/// The consumer of the recordings, with all tokens that were valid then.
async fn consumer(place: &Place, captures: &BTreeMap<String, Capture>, orgs: &[&str]) {
    let request = String::from_utf8(captures["oauth_token_form_ok"].request.bytes()).unwrap();
    let secret = taosync_wire::tao::query::Query::parse(&request).get("client_secret").unwrap().to_owned();
    let new = taosync_store::consumers::NewConsumer {
        client_key: KEY.to_owned(),
        secret_hash: TokenHash::of(&secret.into()),
        user: "recorded".to_owned(),
        role: v::ROLE_SYNC_MANAGER.to_owned(),
        orgs: orgs.iter().map(|name| org(name)).collect(),
    };
    place.store.consumer_create(&new).await.unwrap();
    let valid = captures.values().filter(|capture| capture.response.status != 401);
    let mut tokens: Vec<&str> = valid.filter_map(|c| c.request.header("authorization")).collect();
    tokens.retain(|header| header.starts_with("Bearer ") && *header != EXPIRED);
    tokens.sort_unstable();
    tokens.dedup();
    for header in tokens {
        issue(place, KEY, &header["Bearer ".len()..]).await;
    }
}

/// What differs.
async fn replay(place: &Place, name: &str, capture: &Capture) -> Vec<String> {
    let mut request = place.request(&capture.request.method, &capture.request.path);
    for (header, value) in &capture.request.headers {
        if !["host", "content-length", "connection", "accept-encoding"].contains(&header.to_lowercase().as_str()) {
            request = request.header(header, value);
        }
    }
    let answer = place.send(request.body(capture.request.bytes().into()).unwrap()).await;
    let mut complaints = Vec::new();
    if answer.status != capture.response.status {
        complaints.push(format!("status {} and not {}", answer.status, capture.response.status));
    }
    complaints.extend(headers(&answer, capture));
    complaints.extend(bodies(name, &answer, capture));
    complaints
}

fn headers(answer: &Answer, capture: &Capture) -> Vec<String> {
    let mut complaints = Vec::new();
    let recorded = capture.response.header("content-type").unwrap_or_default();
    if answer.header("content-type") != recorded {
        complaints.push(format!("media type {:?} and not {recorded:?}", answer.header("content-type")));
    }
    let scheme = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
    let challenge = scheme(capture.response.header("www-authenticate").unwrap_or_default());
    if scheme(answer.header("www-authenticate")) != challenge {
        complaints.push(format!("challenge {:?} and not {challenge:?}", answer.header("www-authenticate")));
    }
    complaints
}

fn bodies(name: &str, answer: &Answer, capture: &Capture) -> Option<String> {
    let recorded = capture.response.bytes();
    let (Some(mut expected), Ok(mut got)) = (capture.response.json(), serde_json::from_slice::<Value>(&answer.body))
    else {
        let is_same = answer.body[..] == recorded[..];
        return (!is_same).then(|| format!("other bytes ({} and not {})", answer.body.len(), recorded.len()));
    };
    for pointer in VOLATILE {
        if let (Some(expected), Some(got)) = (expected.pointer_mut(pointer), got.pointer_mut(pointer)) {
            // Whatever it is, it is of the same kind.
            assert_eq!(expected.is_string(), got.is_string(), "{name}: {pointer}");
            (*expected, *got) = (Value::Null, Value::Null);
        }
    }
    if let Some(Value::String(next)) = got.pointer_mut("/nextCallUrl") {
        let at = next.find("&params%5Btaosync_after%5D=").expect("a page says where the next one begins");
        next.truncate(at);
    }
    sort_takers(&mut expected);
    sort_takers(&mut got);
    (expected != got).then(|| {
        let short = |value: &Value| value.to_string().chars().take(700).collect::<String>();
        format!("body {} and not {}", short(&got), short(&expected))
    })
}

/// The takers of an eligibility have no order here: checksums sort them, and clients store them as a set.
fn sort_takers(body: &mut Value) {
    for entity in body.as_object_mut().into_iter().flat_map(|body| body.values_mut()) {
        let takers = entity.get_mut("properties").and_then(|properties| properties.get_mut(v::ELIGIBLE_TEST_TAKER));
        if let Some(Value::Array(takers)) = takers {
            takers.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        }
    }
}

#[test]
fn differences_are_of_recordings_there_are() {
    let captures = recorded::all();
    if captures.is_empty() {
        return;
    }
    for (pattern, reason) in DIFFERENCES {
        assert!(captures.keys().any(|name| difference(name) == Some(reason)), "{pattern}");
    }
}
