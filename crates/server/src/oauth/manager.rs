//! Login and password of a sync manager, at our own addresses and at TAO's, which are counted together: guessing is slowed
//! down. Who gives the right password of somebody else is answered, counted and waits as with a wrong one; the audit log
//! has the reason.

use secrecy::SecretString;
use serde_json::json;
use taosync_store::StoreError;
use taosync_store::audit::AuditEntry;
use taosync_sync::tao::login::{self, LoginRefused, Manager};
use tokio::time::Instant;

use crate::listen::Peer;
use crate::state::Central;

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
    let (address, name) = (peer.address.ip(), format!("sync manager {login}"));
    central.wrong_secrets.begin(address, &name, Instant::now()).map_err(NotLooked::SlowDown)?;
    match login::manager(&central.store, login, password).await.map_err(NotLooked::Store)? {
        Ok(manager) => {
            central.wrong_secrets.take_back(address, &name);
            Ok(Some(manager))
        }
        Err(LoginRefused::Wrong) => Ok(None),
        Err(LoginRefused::NotAManager(uri)) => {
            note(central, &uri);
            Ok(None)
        }
    }
}

/// Nobody waits for the entry: the time of the answer would tell.
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
