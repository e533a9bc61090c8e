//! Consumers of handshakes.

use taosync_store::tao::{MACHINES_OF_MANAGER, NewHandshake};

use crate::support::{open, org};

#[tokio::test]
async fn a_manager_connects_so_many_machines_and_no_more() {
    let t = open().await;
    let orgs = [org()];
    let shake = async |machine: Option<&str>, key: &str| {
        let new =
            NewHandshake { manager: "http://x/#m", login: "anna", role: "r", orgs: &orgs, client_key: key, machine };
        t.handshake(&new).await
    };
    for number in 0..MACHINES_OF_MANAGER {
        let name = number.to_string();
        assert!(shake(Some(&name), &format!("key-{name}")).await.unwrap().is_new);
    }
    let words = shake(Some("one more"), "key").await.unwrap_err().to_string();
    assert!(words.contains("100 machines"), "{words}");
    assert!(!shake(Some("7"), "unused").await.unwrap().is_new, "a known machine is connected again");
    assert!(shake(None, "boxes").await.unwrap().is_new, "TAO's boxes share one");
    t.consumer_revoke("key-8").await.unwrap();
    assert!(shake(Some("one more"), "key").await.unwrap().is_new);
}
