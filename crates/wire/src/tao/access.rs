//! Tokens and the handshake (WIRE §5). `Debug` shows no secret.

use serde::{Deserialize, Serialize};

use super::entities::TaoEntity;

/// A token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// The token.
    pub access_token: String,
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
    pub password: String,
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
    pub secret: String,
    /// Where tokens are given.
    #[serde(rename = "tokenUrl")]
    pub token_url: String,
}

impl std::fmt::Debug for OauthInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OauthInfo").field("key", &self.key).finish_non_exhaustive()
    }
}
