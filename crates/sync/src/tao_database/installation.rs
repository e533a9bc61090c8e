//! The TAO this node is connected with: its database, recognised, and whether this node may write into it.

use std::path::PathBuf;

use secrecy::SecretString;
use taosync_store::Store;
use taosync_tao::{Database, Schema};

use super::TaoDatabaseError;

/// A TAO installation.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Its database; open for changes when this node has adopted it.
    pub database: Database,
    /// Which variant it is.
    pub schema: Schema,
    /// Directory of its files; `synchronisation/` lies below.
    pub files: Option<PathBuf>,
    /// What imports and compiles a delivery there.
    pub command: Option<String>,
    /// Whether this node does the syncing.
    pub is_adopted: bool,
    /// What the last pull that brought everything in had seen of the database.
    pub seen: Option<String>,
}

impl Installation {
    /// Connects, and recognises the tables.
    pub async fn open(store: &Store) -> Result<Self, TaoDatabaseError> {
        let known = store.tao_installation().await?.ok_or(TaoDatabaseError::NotConnected)?;
        let is_adopted = known.adopted_at.is_some();
        let (database, schema) = examine(&known.address).await?;
        let database = if is_adopted { database.adopted() } else { database };
        let (files, command, seen) = (known.files, known.command, known.seen);
        Ok(Self { database, schema, files, command, is_adopted, seen })
    }

    /// The same for what changes something: refused before somebody has adopted it.
    pub async fn open_adopted(store: &Store) -> Result<Self, TaoDatabaseError> {
        let installation = Self::open(store).await?;
        if installation.is_adopted { Ok(installation) } else { Err(TaoDatabaseError::NotAdopted) }
    }

    /// Whether this node has adopted a TAO; what happens by itself happens only then.
    pub async fn is_adopted(store: &Store) -> Result<bool, TaoDatabaseError> {
        Ok(store.tao_installation().await?.is_some_and(|known| known.adopted_at.is_some()))
    }
}

/// Connects, to read only, and recognises the tables.
pub async fn examine(address: &SecretString) -> Result<(Database, Schema), TaoDatabaseError> {
    let database = Database::connect(address).await?;
    let schema = Schema::recognise(&mut database.read().await?).await?;
    Ok((database, schema))
}
