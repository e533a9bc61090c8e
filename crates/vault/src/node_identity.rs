//! What only this node can open: an age identity (X25519), in the text form of the age tool.

use std::str::FromStr as _;

use age::x25519::Identity;
use secrecy::{ExposeSecret as _, SecretString};

use crate::VaultError;
use crate::delivery_key::{self, DeliveryKey};

/// The age identity of a node.
#[derive(Clone)]
pub struct NodeIdentity(Identity);

impl NodeIdentity {
    /// A fresh identity.
    pub fn generate() -> Self {
        Self(Identity::generate())
    }

    /// Reads `AGE-SECRET-KEY-1…`; `None` when it is something else.
    pub fn from_text(text: &SecretString) -> Option<Self> {
        Identity::from_str(text.expose_secret().trim()).ok().map(Self)
    }

    /// `AGE-SECRET-KEY-1…`, for the ordinary age tool.
    pub fn to_text(&self) -> SecretString {
        // age has a secrecy of its own generation.
        SecretString::from(age::secrecy::ExposeSecret::expose_secret(&self.0.to_string()).to_owned())
    }

    /// The public side, `age1…`: what others seal for.
    pub fn recipient(&self) -> String {
        self.0.to_public().to_string()
    }

    /// Opens a delivery key that was wrapped for this node ([`DeliveryKey::wrap_for`]).
    pub fn unwrap_delivery_key(&self, wrapped: &[u8]) -> Result<DeliveryKey, VaultError> {
        delivery_key::unwrap(self, wrapped)
    }

    pub(crate) fn as_age(&self) -> &Identity {
        &self.0
    }
}

impl std::fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeIdentity({})", self.recipient())
    }
}
