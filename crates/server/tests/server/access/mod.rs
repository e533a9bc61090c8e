//! Every endpoint, asked as everybody, against the table in `docs/ACCESS.md`. The list of endpoints is the servers' own.

mod matrix;
mod own;
mod pages;

use jiff::SignedDuration;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use taosync_model::{Entity, EntityType, vocabulary as v};
use taosync_server::routes::{Access, Endpoint};
use taosync_server::{central_endpoints, local_endpoints};
use taosync_store::runner_keys::RunnerScope;
use taosync_vault::tokens::{self, TokenHash};
use taosync_vault::{passwords, random};

use crate::client::{Answer, bearer, dpop};
use crate::enrol;
use crate::pages::{People, cookie};
use crate::place::{Machine, Place, content};
use crate::room::Room;
use crate::tao;
pub use matrix::Who;
use matrix::{Cell, Matrix};

const MANAGER: &str = "manager-a";
pub const PASSWORD: &str = "correct horse";

/// What everybody shows in the header.
struct Credentials {
    place: Place,
    consumer: String,
    void: String,
    tao: String,
    runner: String,
    secret: SecretString,
    /// The secret of a consumer that no machine of ours has.
    secret_of_tao: SecretString,
    people: People,
    /// The secret in an enrolment code.
    code: SecretString,
}

impl Credentials {
    async fn at_central() -> Self {
        let place = Place::central().await;
        let manager = Entity::new("http://example/manager", v::CLASS_SUBJECT)
            .with(v::USER_LOGIN, MANAGER)
            .with(v::USER_PASSWORD, passwords::tao_hash(&SecretString::from(PASSWORD)))
            .with(v::ORGANISATION_ID, "a");
        tao::load(&place.store, vec![(EntityType::SyncManager, manager)], &[]).await;
        tao::compat(10).save(&place.store).await.unwrap();
        let consumer = place.token("a").await;
        let void = place.token("b").await;
        place.store.consumer_revoke("consumer-b").await.unwrap();
        let secret = place.consumer("of-machine", &["a"]).await;
        let secret_of_tao = place.consumer("of-tao", &["a"]).await;
        tao::issue(&place, "of-tao", "plain").await;
        let code = enrol::code(&place, "of-code", &["a"]).await;
        let people = People::of(&place).await;
        let runner = random::token().expose_secret().into();
        Self { place, consumer, void, tao: "plain".into(), runner, secret, secret_of_tao, people, code }
    }

    async fn at_local() -> Self {
        let place = Room::open().await.place;
        let (runner, void) = (random::token(), random::token());
        place.store.runner_key_add(&TokenHash::of(&runner), "good", &RunnerScope::All).await.unwrap();
        let name = place.store.runner_key_add(&TokenHash::of(&void), "revoked", &RunnerScope::All).await.unwrap();
        place.store.runner_key_revoke(&name).await.unwrap();
        let [runner, void] = [runner, void].map(|key| key.expose_secret().to_owned());
        let consumer = random::token().expose_secret().to_owned();
        let people = People::of(&place).await;
        let [secret, secret_of_tao, code] = [(); 3].map(|()| random::token());
        Self { place, consumer, void, tao: "plain".into(), runner, secret, secret_of_tao, people, code }
    }

    fn header(&self, who: Who) -> Option<String> {
        use base64::Engine as _;
        let token = |token: &str| Some(bearer(token).1);
        match who {
            Who::Nobody | Who::ClientSecret | Who::Administrator | Who::Auditor | Who::ManagerSession => None,
            Who::Consumer => Some(dpop(&self.consumer).1),
            Who::Void => Some(dpop(&self.void).1),
            Who::TaoToken => token(&self.tao),
            Who::TestRunner => token(&self.runner),
            Who::SyncManager => {
                let pair = base64::engine::general_purpose::STANDARD.encode(format!("{MANAGER}:{PASSWORD}"));
                Some(format!("Basic {pair}"))
            }
        }
    }

    /// Asks an endpoint as somebody. Tokens and handshakes want credentials in the body, and get them from whoever has
    /// such.
    async fn ask(&self, endpoint: &Endpoint, who: Who) -> Answer {
        let chunk = taosync_model::Digest::of(&content("a")).to_hex();
        let path = endpoint.path.replace("{name}", &chunk).replace("{id}", &random::uuid().to_string());
        let path = path.replace("{package}", "0-0").replace("{save}", &random::uuid().to_string());
        let path = path.replace("{*href}", "x").replace("{*path}", "x");
        let form = "application/x-www-form-urlencoded";
        let (media_type, body) = match (endpoint.access, who) {
            (Access::ClientSecret, _) if endpoint.path.ends_with("/enrol") => {
                let code = if who == Who::ClientSecret { self.code.expose_secret() } else { "x" };
                ("application/json", json!({ "code": code }).to_string())
            }
            (Access::ClientSecret, Who::ClientSecret) => {
                let is_of_tao = endpoint.path.contains("/TokenApi/");
                let (key, secret) =
                    if is_of_tao { ("of-tao", &self.secret_of_tao) } else { ("of-machine", &self.secret) };
                let secret = secret.expose_secret();
                (form, format!("grant_type=client_credentials&client_id={key}&client_secret={secret}"))
            }
            (Access::ClientSecret, _) => {
                (form, format!("grant_type=client_credentials&client_id={who:?}&client_secret=x"))
            }
            (Access::SyncManager, Who::SyncManager) => {
                ("application/json", json!({"login": MANAGER, "password": PASSWORD}).to_string())
            }
            (Access::SyncManager, _) => {
                ("application/json", json!({"login": format!("{who:?}"), "password": "x"}).to_string())
            }
            (Access::Account, who) => {
                let login = match who {
                    Who::SyncManager => MANAGER.to_owned(),
                    // Each has a name of its own, so that none is slowed down for another.
                    who if Who::SIGNED_IN.contains(&who) => People::login(who).to_owned(),
                    who => format!("{who:?}"),
                };
                (form, format!("login={login}&password={}", People::password(who).replace(' ', "+")))
            }
            (Access::Visitor | Access::Overseer | Access::Administrator | Access::Operator, _) => {
                (form, format!("node={}&org=a", random::uuid()))
            }
            _ => ("application/json", "{}".to_owned()),
        };
        let session = match who {
            Who::Administrator | Who::Auditor | Who::ManagerSession => {
                Some(self.people.session(&self.place, who).await)
            }
            _ => None,
        };
        let body = match &session {
            Some(token) if media_type == form => format!("{body}&form_token={}", tokens::derived("form", token)),
            _ => body,
        };
        let mut request = self.place.request(endpoint.method.as_str(), &path).header("content-type", media_type);
        if let Some(header) = self.header(who) {
            request = request.header("authorization", header);
        }
        if let Some(token) = &session {
            request = request.header("cookie", cookie(token));
        }
        request = request.header("sec-fetch-site", "same-origin");
        let gives_credentials = matches!(
            (endpoint.access, who),
            (Access::ClientSecret, Who::ClientSecret) | (Access::SyncManager, Who::SyncManager)
        );
        if gives_credentials {
            request = request.header("dpop", Machine::new().proof_for(&self.place, &path));
        }
        self.place.send(request.body(body.into()).unwrap()).await
    }

    async fn is_let_in(&self, endpoint: &Endpoint, who: Who) -> bool {
        let answer = self.ask(endpoint, who).await;
        let tao_code = serde_json::from_slice(&answer.body).ok().and_then(|body: serde_json::Value| {
            let code = &body["errorCode"];
            code.as_i64().or_else(|| code.as_str()?.parse().ok())
        });
        assert_ne!(answer.status, 429, "the test itself was slowed down: {endpoint:?}");
        if endpoint.access == Access::Account {
            return answer.status == 303 && answer.headers.contains_key("set-cookie");
        }
        // Where credentials are given up for others, only getting these counts: a malformed request is refused before them.
        if matches!(endpoint.access, Access::ClientSecret | Access::SyncManager) {
            return (200..300).contains(&answer.status) && tao_code.is_none();
        }
        let is_known = |code: i64| code == 401 || code == 403;
        !is_known(answer.status.into()) && !tao_code.is_some_and(is_known)
    }
}

async fn check(credentials: &Credentials, endpoints: &[Endpoint], matrix: &Matrix) {
    for endpoint in endpoints {
        for who in Who::ALL {
            let expected = matrix.cell(endpoint, who) != Cell::No;
            assert_eq!(credentials.is_let_in(endpoint, who).await, expected, "{endpoint:?} asked as {who:?}");
        }
    }
}

#[test]
fn every_endpoint_has_a_row_and_every_row_an_endpoint() {
    let document = matrix::document();
    for (heading, endpoints) in [("## Central", central_endpoints()), ("## Local", local_endpoints())] {
        let matrix = Matrix::read(&document, heading);
        assert_eq!(matrix.missing(&endpoints), Vec::<String>::new(), "no row below '{heading}' in docs/ACCESS.md");
        assert_eq!(matrix.beyond(&endpoints), Vec::<String>::new(), "no such endpoint, but a row below '{heading}'");
    }
}

/// The table of routes and the document say the same, so that neither is changed without the other.
#[test]
fn the_document_gives_no_more_than_the_table_of_routes() {
    let document = matrix::document();
    for (heading, endpoints) in [("## Central", central_endpoints()), ("## Local", local_endpoints())] {
        let matrix = Matrix::read(&document, heading);
        for endpoint in &endpoints {
            let let_in: Vec<Who> = Who::ALL.into_iter().filter(|who| matrix.cell(endpoint, *who) != Cell::No).collect();
            let expected: &[Who] = match endpoint.access {
                Access::Anybody => &Who::ALL,
                Access::ClientSecret => &[Who::ClientSecret],
                Access::Consumer => &[Who::Consumer],
                Access::TestRunner => &[Who::TestRunner],
                Access::SyncManager => &[Who::SyncManager],
                Access::TaoClient => &[Who::TaoToken, Who::SyncManager],
                // Sync managers among central's people sign in there.
                Access::Account if heading == "## Central" => {
                    &[Who::SyncManager, Who::Administrator, Who::Auditor, Who::ManagerSession]
                }
                Access::Account | Access::Visitor => &Who::SIGNED_IN,
                Access::Overseer => &[Who::Administrator, Who::Auditor],
                Access::Administrator => &[Who::Administrator],
                Access::Operator => &[Who::Administrator, Who::ManagerSession],
            };
            assert_eq!(let_in, expected, "{endpoint:?}");
        }
    }
}

#[tokio::test]
async fn central_lets_in_whom_the_table_names_and_nobody_else() {
    let credentials = Credentials::at_central().await;
    check(&credentials, &central_endpoints(), &Matrix::read(&matrix::document(), "## Central")).await;
}

#[tokio::test]
async fn a_local_server_lets_in_whom_the_table_names_and_nobody_else() {
    let credentials = Credentials::at_local().await;
    check(&credentials, &local_endpoints(), &Matrix::read(&matrix::document(), "## Local")).await;
}

#[tokio::test]
async fn what_has_expired_is_void_everywhere() {
    let mut credentials = Credentials::at_central().await;
    credentials.void = credentials.consumer.clone();
    credentials.place.clock.shift(SignedDuration::from_hours(2).as_secs());
    for endpoint in central_endpoints().iter().filter(|endpoint| endpoint.access == Access::Consumer) {
        assert!(!credentials.is_let_in(endpoint, Who::Void).await, "{endpoint:?}");
    }
}
