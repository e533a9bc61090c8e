//! `POST oauth/handshake` and `POST oauth/enrol`: a fresh machine gets a consumer of its own, by a sync manager's login or by
//! a code from the office. Both requests are signed with the node key, to which the consumer is bound.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A sync manager signs in on a fresh machine. `Debug` shows neither field.
#[derive(Clone, Serialize, Deserialize)]
pub struct HandshakeRequest {
    /// Login, as central knows it.
    pub login: String,
    /// Password.
    #[serde(with = "crate::secret_text")]
    pub password: SecretString,
}

/// A machine shows a code. `Debug` does not show it.
#[derive(Clone, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// The secret in the code, hexadecimal.
    #[serde(with = "crate::secret_text")]
    pub code: SecretString,
}

/// The consumer of the machine; the same one for the same machine, so that a lost answer costs nothing. `Debug` shows no
/// secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct Enrolled {
    /// OAuth2 client id.
    pub key: String,
    /// OAuth2 client secret.
    #[serde(with = "crate::secret_text")]
    pub secret: SecretString,
    /// Organisations of the consumer.
    pub organisations: Vec<String>,
    /// Node id of central.
    pub central: Uuid,
    /// SHA-256 of the certificate of central's private authority, hexadecimal; none with a certificate of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_fingerprint: Option<String>,
}

impl std::fmt::Debug for HandshakeRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HandshakeRequest")
    }
}

impl std::fmt::Debug for EnrolRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EnrolRequest")
    }
}

impl std::fmt::Debug for Enrolled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enrolled").field("key", &self.key).finish_non_exhaustive()
    }
}
