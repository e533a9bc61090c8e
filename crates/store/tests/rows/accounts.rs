//! Accounts and their sessions in the database: found by login, sealed, and gone when they should be.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret as _, SecretString};
use taosync_store::StoreError;
use taosync_store::accounts::sessions::Holder;
use taosync_store::accounts::{AccountRole, NewAccount};
use taosync_vault::random;
use taosync_vault::tokens::TokenHash;

use crate::support::{open, org};

#[tokio::test]
async fn an_account_is_found_by_its_login_and_nothing_of_it_is_readable() {
    let t = open().await;
    let (hash, orgs) = (SecretString::from("$argon2id$of-a-password"), BTreeSet::from([org()]));
    let new = NewAccount { login: "Head.Of-School", role: AccountRole::SyncManager, orgs: &orgs, password: &hash };
    let id = t.account_add(&new, "test").await.unwrap();
    let same = NewAccount { login: " head.of-school ", ..new.clone() };
    assert!(
        matches!(t.account_add(&same, "test").await, Err(StoreError::Refused(_))),
        "one login, however it is written"
    );
    let (account, kept) = t.account_find("HEAD.of-school").await.unwrap().unwrap();
    assert_eq!((account.id, account.login.as_str(), account.role), (id, "Head.Of-School", AccountRole::SyncManager));
    assert_eq!((account.orgs, kept.expose_secret()), (orgs, hash.expose_secret()));
    assert!(t.account_find("somebody").await.unwrap().is_none());
    let audit = format!("{:?}", t.audit_list(10).await.unwrap());
    assert!(!audit.to_lowercase().contains("head.of-school") && audit.contains(&id.to_string()), "{audit}");
    t.store.close().await;
    let file = std::fs::read(t.dir.path().join("taosync.sqlite")).unwrap();
    for word in ["ead.Of-School", "ead.of-school", "of-a-password"] {
        assert!(!file.windows(word.len()).any(|part| part == word.as_bytes()), "{word}");
    }
}

#[tokio::test]
async fn sessions_go_with_their_account_and_with_a_restore() {
    let t = open().await;
    let (kept, orgs) = (SecretString::from("kept"), BTreeSet::new());
    let new = NewAccount { login: "office", role: AccountRole::Administrator, orgs: &orgs, password: &kept };
    let id = t.account_add(&new, "test").await.unwrap();
    let open = async |holder: Holder| {
        let hash = TokenHash::of(&random::token());
        t.session_open(&hash, &holder, &kept).await.unwrap();
        hash
    };
    let is_open = async |hash: &[u8; 32]| t.session_find(hash).await.unwrap().is_some();
    let manager = Holder::Manager("http://example/manager".into());
    let (of_account, of_manager) = (open(Holder::Account(id)).await, open(manager.clone()).await);
    let session = t.session_find(&of_manager).await.unwrap().unwrap();
    assert_eq!(session.holder, manager);
    assert!(t.session_fits(&session, &kept) && !t.session_fits(&session, &SecretString::from("other")));
    assert!(!t.holder_name(&manager).contains("example"), "the log names no person");

    t.account_sign_out(id, "test").await.unwrap();
    assert!(!is_open(&of_account).await && is_open(&of_manager).await, "another one's stays");
    let of_account = open(Holder::Account(id)).await;
    t.session_close(&of_account).await.unwrap();
    t.session_close(&of_account).await.unwrap();
    assert!(!is_open(&of_account).await);
    let of_account = open(Holder::Account(id)).await;
    t.sessions_close().await.unwrap();
    assert!(!is_open(&of_account).await && !is_open(&of_manager).await);
    assert!(matches!(t.account_remove(random::uuid(), "test").await, Err(StoreError::NotFound { .. })));
}
