//! A node, opened: configuration, keys, database.

use std::sync::Arc;

use taosync_model::Clock;
use taosync_store::Store;
use taosync_store::audit::AuditEntry;
use taosync_store::blobs::Blobs;
use taosync_store::settings::{Identity, Role};
use taosync_sync::link::Caller;
use taosync_vault::Keyring;
use taosync_vault::tls::Tls;

use crate::config::{Config, Place};
use crate::context::Context;
use crate::failure::Failure;

/// Who acts, in the audit log.
pub const ACTOR: &str = "command line";
/// The version that is shown to others.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// An open node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it lives.
    pub place: Place,
    /// Its configuration.
    pub config: Config,
    /// Its keys.
    pub keyring: Arc<Keyring>,
    /// Its database.
    pub store: Store,
    /// Who it is.
    pub identity: Identity,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
}

impl Node {
    /// Opens the node of a directory.
    pub async fn open(context: &Context) -> Result<Self, Failure> {
        let place = context.place.clone();
        let config = Config::load(&place)?;
        let keyring = Arc::new(Keyring::open(&place.keys())?);
        let store = Store::open(place.dir(), keyring.clone(), context.clock.clone()).await?;
        let store = store.with_fields(config.sync_service.field_choices()).with_results(config.results.rule());
        let identity = store.identity().await?;
        if identity.role != config.role {
            let message = format!(
                "{}: 'role' is {}, but this node was made as {}",
                place.config_file().display(),
                config.role,
                identity.role
            );
            return Err(Failure::new("TS-002", message, "the role of a node never changes: correct the file"));
        }
        Ok(Self { place, config, keyring, store, identity, clock: context.clock.clone() })
    }

    /// Opens a node for a command that only one role has.
    pub async fn open_as(context: &Context, role: Role) -> Result<Self, Failure> {
        let node = Self::open(context).await?;
        if node.identity.role == role {
            return Ok(node);
        }
        let message = format!(
            "this command belongs to a {role} server, and {} is a {} one",
            node.place.dir().display(),
            node.identity.role
        );
        Err(Failure::new("TS-005", message, "run it there, or name the other directory with --dir"))
    }

    /// Opens a central to change its data; a changed choice of fields is applied first.
    pub async fn open_to_change(context: &Context) -> Result<Self, Failure> {
        let node = Self::open_as(context, Role::Central).await?;
        node.store.views_refresh().await?;
        Ok(node)
    }

    /// The certificate, unless this node speaks plain HTTP.
    pub fn tls(&self) -> Result<Option<Tls>, Failure> {
        if self.config.plain_http { Ok(None) } else { Ok(Some(Tls::open(&self.place.keys())?)) }
    }

    /// The chunks of packages.
    pub async fn blobs(&self) -> Result<Blobs, Failure> {
        Ok(Blobs::open(self.place.dir()).await?)
    }

    /// Who asks when this node calls central.
    pub fn caller(&self) -> Caller {
        Caller {
            node: self.identity.node,
            keyring: self.keyring.clone(),
            clock: self.clock.clone(),
            version: VERSION.to_owned(),
        }
    }

    /// The configured proxy, for requests to central.
    pub fn proxy(&self) -> Option<String> {
        self.config.proxy.as_ref().map(|proxy| proxy.0.clone())
    }

    /// Writes a line of the audit log.
    pub async fn audit(&self, act: &str, object: &str, detail: serde_json::Value) -> Result<(), Failure> {
        Ok(self.store.audit_write(&AuditEntry { actor: ACTOR, act, object, detail }).await?)
    }
}
