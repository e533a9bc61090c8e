//! Tokens and the handshake (WIRE §5). `Debug` shows no secret.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::entities::TaoEntity;

/// A token.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// The token.
    #[serde(with = "crate::secret_text")]
    pub access_token: SecretString,
    /// When it ends, in seconds since 1970.
    pub expires: i64,
}

impl std::fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenAnswer").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Who wants to be let in on a fresh box.
#[derive(Clone, Serialize, Deserialize)]
pub struct HandshakeRequest {
    /// Login of a sync manager.
    pub login: String,
    /// The password, as typed.
    #[serde(with = "crate::secret_text")]
    pub password: SecretString,
}

impl std::fmt::Debug for HandshakeRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HandshakeRequest")
    }
}

/// The sync manager, and a consumer made for the box.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HandshakeAnswer {
    /// The sync manager with all properties.
    #[serde(rename = "syncUser")]
    pub sync_user: TaoEntity,
    /// The consumer.
    #[serde(rename = "oauthInfo")]
    pub oauth_info: OauthInfo,
}

/// A consumer.
#[derive(Clone, Serialize, Deserialize)]
pub struct OauthInfo {
    /// Client key.
    pub key: String,
    /// Its secret.
    #[serde(with = "crate::secret_text")]
    pub secret: SecretString,
    /// Where tokens are given.
    #[serde(rename = "tokenUrl")]
    pub token_url: String,
}

impl std::fmt::Debug for OauthInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OauthInfo").field("key", &self.key).finish_non_exhaustive()
    }
}
