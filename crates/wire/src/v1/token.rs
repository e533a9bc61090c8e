//! `POST oauth/token`: client credentials (RFC 6749 §4.4) with a proof of the node's key (RFC 9449).

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The form parameter that names the org a token is wanted for; needed only by consumers with several.
pub const ORG_PARAMETER: &str = "organisation_id";

/// How a token is used: with a proof of the key it is bound to.
pub const TOKEN_TYPE: &str = "DPoP";

/// The successful answer. `Debug` shows no token.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// The token.
    #[serde(with = "crate::secret_text")]
    pub access_token: SecretString,
    /// How to use it: [`TOKEN_TYPE`].
    pub token_type: String,
    /// Seconds it lives.
    pub expires_in: u64,
    /// The one org it is for.
    pub organisation_id: String,
    /// All orgs the consumer may ask for.
    pub organisations: Vec<String>,
    /// Node id of central.
    pub central: Uuid,
    /// Central's public key (Ed25519, hex): signs receipts.
    pub central_key: String,
    /// Central's version.
    pub version: String,
    /// For whom results are sealed; none from a central that does not know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<ResultsKeys>,
    /// Authorities that may sign central's certificate, while it changes its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<Authorities>,
    /// The secret to be used from now on, when the one that was shown is on its way out.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::secret_text::or_none")]
    pub new_secret: Option<SecretString>,
}

/// Authorities that may sign central's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorities {
    /// SHA-256 of their certificates, hexadecimal.
    pub fingerprints: Vec<String>,
    /// Central's signature over its node id and these (Ed25519, hex).
    pub signature: String,
}

/// For whom results are sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultsKeys {
    /// age recipients; none when results stay readable.
    pub recipients: Vec<String>,
    /// Central's signature over its node id and these (Ed25519, hex).
    pub signature: String,
}

impl std::fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenAnswer").field("organisation_id", &self.organisation_id).finish_non_exhaustive()
    }
}

/// The unsuccessful answer (RFC 6749 §5.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenError {
    /// `invalid_client`, `invalid_request`, `invalid_scope`, `unsupported_grant_type`, `invalid_dpop_proof`,
    /// `use_dpop_nonce` …
    pub error: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error_description: String,
}
