use secrecy::{ExposeSecret as _, SecretString};
use taosync_store::remotes::NewRemote;
use taosync_store::{Durability, StoreError};
use uuid::Uuid;

use crate::support::open;

fn remote(root: &str, secret: &str) -> NewRemote {
    NewRemote {
        root_url: root.into(),
        token_url: format!("{root}/token"),
        client_key: "key".into(),
        secret: SecretString::from(secret),
        ca_fingerprint: None,
        kind: taosync_store::remotes::RemoteKind::Taosync,
    }
}

#[tokio::test]
async fn a_remote_is_replaced_under_its_client_key_and_its_secret_is_sealed() {
    let t = open().await;
    let id = t.remote_put(&remote("https://a", "first-secret")).await.unwrap();
    assert_eq!(t.remote_put(&remote("https://a", "second-secret")).await.unwrap(), id);
    let login = t.remote_login(id).await.unwrap();
    assert_eq!(login.secret.expose_secret(), "second-secret");
    assert!(!format!("{login:?}").contains("second-secret"));
    assert_eq!(t.number("SELECT count(*) FROM remote WHERE instr(secret, 'second') > 0").await, 0);
    assert_eq!(t.remotes_list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_central_that_is_suddenly_another_is_refused_until_it_is_imported_anew() {
    let t = open().await;
    let id = t.remote_put(&remote("https://a", "s")).await.unwrap();
    let central = Uuid::from_u128(1);
    t.remote_introduce(id, central, &[1; 32]).await.unwrap();
    t.remote_introduce(id, central, &[1; 32]).await.unwrap();
    assert!(matches!(t.remote_introduce(id, central, &[2; 32]).await, Err(StoreError::Refused(_))));
    assert!(t.remote_introduce(id, Uuid::from_u128(2), &[1; 32]).await.is_err());
    t.remote_put(&remote("https://a", "new")).await.unwrap();
    assert_eq!(t.remotes_list().await.unwrap()[0].central_key, Some([1; 32]), "a new secret is still the same central");
    t.remote_put(&remote("https://b", "new")).await.unwrap();
    assert_eq!(t.remotes_list().await.unwrap()[0].central_key, None);
    t.remote_introduce(id, Uuid::from_u128(2), &[2; 32]).await.unwrap();
}

#[tokio::test]
async fn a_new_key_for_the_same_central_keeps_the_remote() {
    let t = open().await;
    let id = t.remote_put(&remote("https://a", "old-secret")).await.unwrap();
    let (central, key) = (Uuid::from_u128(1), [1; 32]);
    t.remote_introduce(id, central, &key).await.unwrap();
    let new = NewRemote { client_key: "second key".into(), ..remote("https://b", "new-secret") };
    assert!(matches!(t.remote_renew(id, &new, central, &[2; 32]).await, Err(StoreError::Refused(_))));
    assert!(t.remote_renew(id, &new, Uuid::from_u128(2), &key).await.is_err());
    t.remote_renew(id, &new, central, &key).await.unwrap();
    let login = t.remote_login(id).await.unwrap();
    assert_eq!(login.secret.expose_secret(), "new-secret");
    assert_eq!((login.remote.client_key.as_str(), login.remote.root_url.as_str()), ("second key", "https://b"));
    assert_eq!((login.remote.central, login.remote.central_key), (Some(central), Some(key)));
    assert_eq!(t.remotes_list().await.unwrap().len(), 1);
    t.remote_put(&remote("https://c", "s")).await.unwrap();
    let taken = NewRemote { client_key: "key".into(), ..remote("https://a", "s") };
    assert!(t.remote_renew(id, &taken, central, &key).await.is_err(), "another remote has this key");
}

#[tokio::test]
async fn a_removed_remote_is_gone() {
    let t = open().await;
    let id = t.remote_put(&remote("https://a", "s")).await.unwrap();
    let mut tx = t.write("remove", Durability::Flushed).await.unwrap();
    assert_eq!(tx.remote_remove("key").await.unwrap(), id);
    assert!(tx.remote_remove("key").await.is_err());
    tx.commit().await.unwrap();
    assert!(matches!(t.remote_login(id).await, Err(StoreError::NotFound { .. })));
}
