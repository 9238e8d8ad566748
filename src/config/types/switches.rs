//! Settings with a few named values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a part of the service is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// The part is on.
    On,
    /// The part is off.
    Off,
}

/// How the audit trail shows emails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditEmails {
    /// The first letter and the domain.
    Masked,
    /// The whole email.
    Whole,
}

/// The algorithm that signs tokens (RFC 7518 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256 and a secret.
    Hs256,
    /// ECDSA with the curve P-256 and SHA-256, and a private key.
    Es256,
}
