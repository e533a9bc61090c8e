//! The pages: signing in, sessions, forms that only our own pages can send, and what is shown.

mod shown;

use std::collections::BTreeSet;

use http::Request;
use jiff::SignedDuration;
use secrecy::{ExposeSecret as _, SecretString};
use taosync_server::pages::Act;
use taosync_server::{Central, ListenLimits, Local, central_router, local_router};
use taosync_store::accounts::sessions::{Holder, IDLE, LONGEST, OF_HOLDER};
use taosync_store::accounts::{AccountRole, NewAccount};
use taosync_store::settings::Role;
use taosync_sync::runner::Runner;
use taosync_vault::tokens::{self, TokenHash};
use taosync_vault::{account_passwords, random};
use uuid::Uuid;

use crate::access::Who;
use crate::client::Answer;
use crate::desk::{Acts, desk};
use crate::place::{Place, org};

const FORM: &str = "application/x-www-form-urlencoded";

/// An account of each role.
pub struct People {
    accounts: Vec<(Who, Uuid, SecretString)>,
}

impl People {
    pub async fn of(place: &Place) -> Self {
        let mut accounts = Vec::new();
        for who in [Who::Administrator, Who::Auditor, Who::ManagerSession] {
            let (role, orgs) = match who {
                Who::Administrator => (AccountRole::Administrator, BTreeSet::new()),
                Who::Auditor => (AccountRole::Auditor, BTreeSet::new()),
                _ => (AccountRole::SyncManager, BTreeSet::from([org("a")])),
            };
            let kept = account_passwords::hash(&SecretString::from(Self::password(who))).unwrap();
            let new = NewAccount { login: Self::login(who), role, orgs: &orgs, password: &kept };
            accounts.push((who, place.store.account_add(&new, "test").await.unwrap(), kept));
        }
        Self { accounts }
    }

    pub fn login(who: Who) -> &'static str {
        match who {
            Who::Administrator => "office",
            Who::Auditor => "auditor",
            Who::ManagerSession => "head-of-a",
            _ => "nobody",
        }
    }

    pub fn password(who: Who) -> &'static str {
        match who {
            Who::Administrator => "office battery staple",
            Who::Auditor => "auditor battery staple",
            Who::ManagerSession => "head battery staple",
            _ => crate::access::PASSWORD,
        }
    }

    fn account(&self, who: Who) -> &(Who, Uuid, SecretString) {
        self.accounts.iter().find(|(known, _, _)| *known == who).unwrap()
    }

    /// A session as signing in would open it, without the work of the password.
    pub async fn session(&self, place: &Place, who: Who) -> SecretString {
        let (_, id, kept) = self.account(who);
        let token = random::token();
        place.store.session_open(&TokenHash::of(&token), &Holder::Account(*id), kept).await.unwrap();
        token
    }
}

pub fn cookie(token: &SecretString) -> String {
    format!("__Host-taosync={}", token.expose_secret())
}

/// A server with its pages and people.
pub struct Desk {
    pub place: Place,
    pub people: People,
    pub acts: Acts,
}

impl Desk {
    pub async fn at_central() -> Self {
        let acts = Acts::default();
        let desk = desk(acts.clone());
        let place = Place::open(Role::Central, ListenLimits::default(), async |store, blobs, identity| {
            central_router(Central::new(store, blobs, identity).with_desk(desk))
        });
        let place = place.await;
        Self { people: People::of(&place).await, place, acts }
    }

    pub async fn at_local() -> Self {
        let acts = Acts::default();
        let desk = desk(acts.clone());
        let place = Place::open(Role::Local, ListenLimits::default(), async |store, blobs, _| {
            let runner = Runner::open(store.clone(), SignedDuration::from_hours(24)).await.unwrap();
            local_router(Local::new(store, blobs, runner).with_desk(desk))
        });
        let place = place.await;
        Self { people: People::of(&place).await, place, acts }
    }

    pub async fn open(&self, path: &str, token: &SecretString) -> Answer {
        self.place.get(path, &[("cookie", &cookie(token))]).await
    }

    /// The page as text; it must be shown.
    pub async fn page(&self, path: &str, who: Who) -> String {
        let answer = self.open(path, &self.people.session(&self.place, who).await).await;
        assert_eq!(answer.status, 200, "{path} as {who:?}");
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    async fn sign_in(&self, login: &str, password: &str, more: &[(&str, &str)]) -> Answer {
        let body = format!("login={login}&password={}", password.replace(' ', "+"));
        let headers = [&[("content-type", FORM), ("sec-fetch-site", "same-origin")], more].concat();
        self.place.post("/login", &headers, body).await
    }

    /// A form of a page of this session.
    async fn send(&self, path: &str, token: &SecretString, fields: &str) -> Answer {
        let body = format!("{fields}&form_token={}", tokens::derived("form", token));
        self.post(path, token, &[("sec-fetch-site", "same-origin")], body).await
    }

    async fn post(&self, path: &str, token: &SecretString, more: &[(&str, &str)], body: String) -> Answer {
        let cookie = cookie(token);
        let headers = [&[("content-type", FORM), ("cookie", cookie.as_str())], more].concat();
        self.place.post(path, &headers, body).await
    }
}

fn token_in(answer: &Answer) -> SecretString {
    let line = answer.header("set-cookie");
    let (token, rest) = line.strip_prefix("__Host-taosync=").unwrap().split_once(';').unwrap();
    assert_eq!(rest, " Path=/; HttpOnly; SameSite=Strict; Secure");
    SecretString::from(token)
}

#[tokio::test]
async fn a_person_signs_in_and_out_and_the_cookie_is_worth_nothing_afterwards() {
    let desk = Desk::at_central().await;
    let first = desk.sign_in("office", "office battery staple", &[]).await;
    assert_eq!((first.status, first.header("location")), (303, "/overview"));
    let former = token_in(&first);
    let page = desk.open("/overview", &former).await;
    assert!(String::from_utf8_lossy(&page.body).contains("office, administrator"));

    let again = desk.sign_in(" OFFICE ", "office battery staple", &[("cookie", &cookie(&former))]).await;
    let token = token_in(&again);
    assert_ne!(token.expose_secret(), former.expose_secret(), "another session at each sign-in");
    assert_eq!(desk.open("/overview", &former).await.status, 401, "and the one before is over");

    let out = desk.send("/logout", &token, "").await;
    assert_eq!((out.status, out.header("location")), (303, "/login"));
    assert!(out.header("set-cookie").starts_with("__Host-taosync=; Path=/; Max-Age=0"), "{out:?}");
    let refused = desk.open("/overview", &token).await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, "taosync-form"));
    assert!(String::from_utf8_lossy(&refused.body).contains("You are signed out."));
    for made_up in ["", "x", &"A".repeat(43)] {
        assert_eq!(desk.open("/overview", &SecretString::from(made_up)).await.status, 401);
    }
}

#[tokio::test]
async fn wrong_passwords_are_slowed_down_for_whoever_makes_them_and_never_beyond_a_minute() {
    let desk = Desk::at_local().await;
    let wrong = desk.sign_in("office", "office battery stable", &[]).await;
    let unknown = desk.sign_in("nobody", "office battery stable", &[]).await;
    let text = |answer: &Answer| String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!((wrong.status, unknown.status), (401, 401));
    assert_eq!(text(&wrong), text(&unknown), "which logins exist is not told");
    for _ in 0..5 {
        desk.sign_in("office", "x", &[]).await;
    }
    let slow = desk.sign_in("office", "office battery staple", &[]).await;
    let seconds: u64 = slow.header("retry-after").parse().unwrap();
    assert!(slow.status == 429 && (1..=60).contains(&seconds), "{slow:?}");
    assert_eq!(desk.sign_in("auditor", "auditor battery staple", &[]).await.status, 303, "others are not kept out");
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_old_or_its_account_changes() {
    let desk = Desk::at_central().await;
    let shift = |time: SignedDuration| desk.place.clock.shift(time.as_secs());
    let idle = desk.people.session(&desk.place, Who::Auditor).await;
    shift(IDLE - SignedDuration::from_secs(5));
    assert_eq!(desk.open("/overview", &idle).await.status, 200);
    shift(IDLE - SignedDuration::from_secs(5));
    assert_eq!(desk.open("/overview", &idle).await.status, 200, "use was noted");
    shift(IDLE);
    assert_eq!(desk.open("/overview", &idle).await.status, 401, "not used for too long");

    let old = desk.people.session(&desk.place, Who::Auditor).await;
    let step = IDLE - SignedDuration::from_secs(60);
    let mut age = SignedDuration::ZERO;
    while age + step < LONGEST {
        shift(step);
        age += step;
        assert_eq!(desk.open("/overview", &old).await.status, 200, "{age}");
    }
    shift(LONGEST - age);
    assert_eq!(desk.open("/overview", &old).await.status, 401, "as long as a session may be");

    let (_, auditor, _) = *desk.people.account(Who::Auditor);
    let (_, manager, _) = *desk.people.account(Who::ManagerSession);
    let (_, office, _) = *desk.people.account(Who::Administrator);
    for (who, change) in [(Who::Auditor, 0), (Who::ManagerSession, 1), (Who::Administrator, 2)] {
        let token = desk.people.session(&desk.place, who).await;
        assert_eq!(desk.open("/overview", &token).await.status, 200);
        let store = &desk.place.store;
        match change {
            0 => {
                let other = account_passwords::hash(&SecretString::from("another battery")).unwrap();
                store.account_password(auditor, &other, "test").await.unwrap();
            }
            1 => store.account_remove(manager, "test").await.unwrap(),
            _ => store.account_sign_out(office, "test").await.unwrap(),
        }
        assert_eq!(desk.open("/overview", &token).await.status, 401, "{who:?}");
    }
}

#[tokio::test]
async fn a_session_from_the_future_is_of_a_wrong_clock_and_over() {
    let desk = Desk::at_local().await;
    desk.place.clock.shift(86_400 * 365);
    let token = desk.people.session(&desk.place, Who::Administrator).await;
    desk.place.clock.shift(-86_400 * 365);
    assert_eq!(desk.open("/overview", &token).await.status, 401);
}

#[tokio::test]
async fn an_account_has_so_many_sessions_and_the_oldest_goes() {
    let desk = Desk::at_local().await;
    let first = desk.people.session(&desk.place, Who::Administrator).await;
    for _ in 0..OF_HOLDER - 1 {
        desk.place.clock.shift(1);
        desk.people.session(&desk.place, Who::Administrator).await;
    }
    assert_eq!(desk.open("/overview", &first).await.status, 200, "the last that may be");
    desk.place.clock.shift(1);
    desk.people.session(&desk.place, Who::Administrator).await;
    assert_eq!(desk.open("/overview", &first).await.status, 401);
}

#[tokio::test]
async fn no_foreign_page_can_use_a_session() {
    let desk = Desk::at_central().await;
    let token = desk.people.session(&desk.place, Who::Administrator).await;
    let other = desk.people.session(&desk.place, Who::Administrator).await;
    let body = |token: &SecretString| format!("org=a&form_token={}", tokens::derived("form", token));
    let act = async |headers: &[(&str, &str)], body: String| {
        desk.post("/acts/approve-removals", &token, headers, body).await.status
    };
    let host = format!("https://localhost:{}", desk.place.address.port());
    for foreign in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site"), ("origin", &host)],
        &[],
    ] {
        assert_eq!(act(foreign, body(&token)).await, 403, "{foreign:?}");
    }
    let own = [("sec-fetch-site", "same-origin")];
    for wrong in ["org=a".to_owned(), "org=a&form_token=".to_owned(), body(&other), format!("{}0", body(&token))] {
        assert_eq!(act(&own, wrong).await, 403);
    }
    assert_eq!(desk.acts.lock().unwrap().len(), 0, "nothing was done");
    let login = desk.place.post("/login", &[("content-type", FORM)], "login=office&password=x".to_owned()).await;
    assert_eq!(login.status, 403, "nobody is signed in by a foreign page either");

    assert_eq!(act(&own, body(&token)).await, 303);
    assert_eq!(act(&[("origin", &host)], body(&token)).await, 303, "a browser that says it the older way");
    assert_eq!(desk.acts.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn acts_are_done_in_the_name_of_whoever_is_signed_in_and_by_nobody_who_may_not() {
    let desk = Desk::at_central().await;
    let id = random::uuid();
    let (_, office, _) = *desk.people.account(Who::Administrator);
    let token = desk.people.session(&desk.place, Who::Administrator).await;
    let acts = [
        ("approve-removals", "org=a".to_owned()),
        ("revoke-node", format!("node={id}")),
        ("approve-node", format!("node={id}")),
    ];
    for (act, fields) in &acts {
        let answer = desk.send(&format!("/acts/{act}"), &token, fields).await;
        assert_eq!((answer.status, answer.header("location")), (303, format!("/overview?said={act}").as_str()));
    }
    let name = format!("account:{office}");
    let expected = [Act::ApproveRemovals(org("a")), Act::RevokeNode(id), Act::ApproveNode(id)];
    assert_eq!(*desk.acts.lock().unwrap(), expected.map(|act| (act, name.clone())));
    for who in [Who::Auditor, Who::ManagerSession] {
        let token = desk.people.session(&desk.place, who).await;
        for (act, fields) in &acts {
            assert_eq!(desk.send(&format!("/acts/{act}"), &token, fields).await.status, 403, "{act} as {who:?}");
        }
    }
    assert_eq!(desk.send("/acts/revoke-node", &token, "node=x").await.status, 400);
    assert_eq!(desk.acts.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_sync_is_started_at_a_local_server_and_a_second_one_is_told() {
    let desk = Desk::at_local().await;
    let auditor = desk.people.session(&desk.place, Who::Auditor).await;
    assert_eq!(desk.send("/acts/sync", &auditor, "").await.status, 403);
    let manager = desk.people.session(&desk.place, Who::ManagerSession).await;
    let first = desk.send("/acts/sync", &manager, "").await;
    assert_eq!((first.status, first.header("location")), (303, "/overview?said=sync"));
    let said = desk.open("/overview?said=sync", &manager).await;
    assert!(String::from_utf8_lossy(&said.body).contains("The sync has begun."));
    let second = desk.send("/acts/sync", &manager, "").await;
    assert_eq!(second.status, 409);
    assert!(String::from_utf8_lossy(&second.body).contains("[TS-009] another sync is already running."));
}

#[tokio::test]
async fn forms_have_a_size_and_each_field_once() {
    let desk = Desk::at_local().await;
    let token = desk.people.session(&desk.place, Who::Administrator).await;
    let own = [("sec-fetch-site", "same-origin")];
    let base = format!("form_token={}&x=", tokens::derived("form", &token));
    let of = |length: usize| format!("{base}{}", "x".repeat(length - base.len()));
    assert_eq!(desk.post("/acts/sync", &token, &own, of(8 * 1024)).await.status, 303);
    assert_eq!(desk.post("/acts/sync", &token, &own, of(8 * 1024 + 1)).await.status, 413);
    assert_eq!(desk.post("/acts/sync", &token, &own, format!("{base}&x=")).await.status, 400);
    let json = desk
        .place
        .request("POST", "/acts/sync")
        .header("cookie", cookie(&token))
        .header("sec-fetch-site", "same-origin");
    let json: Request<axum::body::Body> = json.header("content-type", "text/plain").body(of(1_000).into()).unwrap();
    assert_eq!(desk.place.send(json).await.status, 400, "what a foreign form can send as text");
    for (login, password) in [("o".repeat(129), "x".to_owned()), ("office".to_owned(), "x".repeat(1_025))] {
        assert_eq!(desk.sign_in(&login, &password, &[]).await.status, 401);
    }
}
