//! `taosync compat`: whether and how central speaks TAO.

use serde::Serialize;
use taosync_store::{Durability, Store, StoreError};
use taosync_wire::tao::CHUNK_SIZE;

const ON: &str = "compat.tao";
const TRUST: &str = "compat.trust_requested_org";
const CHUNK: &str = "compat.chunk_size";
const BASE_PATH: &str = "compat.base_path";
const VERSIONS: &str = "compat.supported_versions";

/// Entities of a page at most.
pub const MAX_CHUNK: u32 = 10_000;
/// Versions in the list at most.
pub const MAX_VERSIONS: usize = 100;
/// Bytes of a version at most.
pub const MAX_VERSION: usize = 64;

/// How central speaks TAO.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compat {
    /// Whether it does; otherwise its addresses do not exist.
    pub tao: bool,
    /// Whether the org a request names is believed, and shown unfiltered, as TAO does.
    pub trust_requested_org: bool,
    /// Entities of a page.
    pub chunk_size: u32,
    /// Path before TAO's paths: empty, or a slash and what follows.
    pub base_path: String,
    /// Versions of TAO that may sync, in the order they were added.
    pub supported_versions: Vec<String>,
}

impl Default for Compat {
    fn default() -> Self {
        Self {
            tao: true,
            trust_requested_org: false,
            chunk_size: CHUNK_SIZE,
            base_path: String::new(),
            supported_versions: Vec::new(),
        }
    }
}

impl Compat {
    /// Reads the settings.
    pub async fn load(store: &Store) -> Result<Self, StoreError> {
        let settings = store.settings_named("compat.").await?;
        let default = Self::default();
        Ok(Self {
            tao: settings.get(ON).map_or(default.tao, |text| text == "true"),
            trust_requested_org: settings.get(TRUST).is_some_and(|text| text == "true"),
            chunk_size: settings.get(CHUNK).and_then(|text| text.parse().ok()).unwrap_or(default.chunk_size),
            base_path: settings.get(BASE_PATH).cloned().unwrap_or_default(),
            supported_versions: settings
                .get(VERSIONS)
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default(),
        })
    }

    /// Keeps the settings. They count from the next request on.
    pub async fn save(&self, store: &Store) -> Result<(), StoreError> {
        let mut tx = store.write("compat_save", Durability::Flushed).await?;
        tx.setting_set(ON, &self.tao.to_string()).await?;
        tx.setting_set(TRUST, &self.trust_requested_org.to_string()).await?;
        tx.setting_set(CHUNK, &self.chunk_size.to_string()).await?;
        tx.setting_set(BASE_PATH, &self.base_path).await?;
        let versions = serde_json::Value::from(self.supported_versions.clone());
        tx.setting_set(VERSIONS, &versions.to_string()).await?;
        tx.commit().await
    }

    /// Whether a box with this version may sync. The texts must be the same.
    pub fn supports(&self, version: &str) -> bool {
        self.supported_versions.iter().any(|known| known == version)
    }

    /// The version that answers carry: the one added last.
    pub fn version(&self) -> &str {
        self.supported_versions.last().map_or(env!("CARGO_PKG_VERSION"), String::as_str)
    }
}
