//! How TAO says that something went wrong (WIRE §6.2), in the words it uses.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Said of most failures: what happened is told only where TAO means it for users.
pub const UNEXPECTED: &str = "Unexpected error. Please contact administrator";
/// An unknown type.
pub const WRONG_TYPE: &str = "Wrong request type, try again please or contact your system administrator";
/// No version of TAO in the parameters.
pub const VERSION_MISSING: &str = "Required parameter \"tao_version\" is missing.";
/// The version follows.
pub const VERSION_UNSUPPORTED: &str = "Provided version of TAO VM is not supported by server: ";
/// A token request without key or secret.
pub const PARAMETER_MISSING: &str = "At least one mandatory parameter was required but found missing in your request";
/// A token request with a wrong pair of them.
pub const WRONG_CREDENTIALS: &str = "You are not authorized to perform this operation";
/// A request without a valid token.
pub const UNAUTHORIZED: &str = "You are not authorized to access this functionality.";
/// A path nobody serves, with a valid token.
pub const ACCESS_DENIED: &str = "Access denied. Please renew your authentication!";
/// A method nobody serves, where TAO says so.
pub const NOT_IMPLEMENTED: &str = "Not implemented.";
/// A handshake without login or password.
pub const LOGIN_MISSING: &str = "Valid \"login\" and \"password\" parameters are required to access index";
/// A request for classes that names none.
pub const NO_CLASS: &str = "No requested class provided.";
/// An unknown action of a known controller.
pub const NO_RIGHTS: &str = "You do not have the required rights to edit this resource.";

/// The body of a failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Always false.
    pub success: bool,
    /// A number, or (of authentication and handshake) the status as text.
    #[serde(rename = "errorCode")]
    pub error_code: Value,
    /// In words.
    #[serde(rename = "errorMsg")]
    pub error_msg: String,
    /// Version of TAO that answers.
    #[serde(default)]
    pub version: String,
}

impl Failure {
    /// A failure with its code and words.
    pub fn new(error_code: impl Into<Value>, error_msg: impl Into<String>, version: impl Into<String>) -> Self {
        Self { success: false, error_code: error_code.into(), error_msg: error_msg.into(), version: version.into() }
    }
}
