//! Login and password of a sync manager, at our own addresses and at TAO's, which are counted together: guessing is slowed
//! down.

use secrecy::SecretString;
use taosync_store::StoreError;
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

/// Checks a sync manager's password. Each try counts as wrong until it is known.
pub(crate) async fn signed_in(
    central: &Central,
    peer: Peer,
    login: &str,
    password: &SecretString,
) -> Result<Result<Manager, LoginRefused>, NotLooked> {
    let (address, name) = (peer.address.ip(), format!("sync manager {login}"));
    central.wrong_secrets.begin(address, &name, Instant::now()).map_err(NotLooked::SlowDown)?;
    let manager = login::manager(&central.store, login, password).await.map_err(NotLooked::Store)?;
    if !matches!(manager, Err(LoginRefused::Wrong)) {
        central.wrong_secrets.take_back(address, &name);
    }
    Ok(manager)
}
