//! Login and password of a sync manager, at our own addresses and at TAO's, which are counted together: guessing is slowed
//! down. Who gives the right password of somebody else is answered, counted and waits as with a wrong one; the audit log
//! has the reason. Every refusal comes as long after the request: looking for a login that exists takes longer (measured:
//! 0.8 ms, and 0.45 ms for one that does not), and the time of an answer shall tell neither.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use taosync_store::StoreError;
use taosync_store::audit::AuditEntry;
use taosync_sync::tao::login::{self, LoginRefused, Manager};
use tokio::time::Instant;

use crate::listen::Peer;
use crate::state::Central;

/// When a refusal comes, after the request; later only when the machine is busier than that.
const REFUSED_AFTER: Duration = Duration::from_millis(25);

/// Why a password was not looked at.
#[derive(Debug)]
pub(crate) enum NotLooked {
    /// Wrong tries came before; the next one may be made in so many seconds.
    SlowDown(u64),
    /// The database did not answer.
    Store(StoreError),
}

/// Checks a sync manager's password; none when it is wrong, or not that of a sync manager of an organisation. Each try
/// counts as wrong until it is known.
pub(crate) async fn signed_in(
    central: &Central,
    peer: Peer,
    login: &str,
    password: &SecretString,
) -> Result<Option<Manager>, NotLooked> {
    let (begun, address, name) = (Instant::now(), peer.address.ip(), format!("sync manager {login}"));
    central.wrong_secrets.begin(address, &name, begun).map_err(NotLooked::SlowDown)?;
    match login::manager(&central.store, login, password).await.map_err(NotLooked::Store)? {
        Ok(manager) => {
            central.wrong_secrets.take_back(address, &name);
            Ok(Some(manager))
        }
        Err(refused) => {
            if let LoginRefused::NotAManager(uri) = refused {
                note(central, &uri);
            }
            tokio::time::sleep_until(begun + REFUSED_AFTER).await;
            Ok(None)
        }
    }
}

/// Nobody waits for the entry, which reaches the disk: that may take longer than a refusal.
fn note(central: &Central, uri: &str) {
    let (store, person) = (central.store.clone(), central.store.subject_name(uri));
    tokio::spawn(async move {
        let detail = json!({"why": "the password is right, and not that of a sync manager of an organisation"});
        let entry = AuditEntry { actor: "unknown", act: "manager.refuse", object: &person, detail };
        if let Err(error) = store.audit_write(&entry).await {
            tracing::warn!(%error, "a login that was refused could not be noted in the audit log");
        }
    });
}
