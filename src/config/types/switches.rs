//! Settings with a few named values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether failed logins are limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Throttling {
    /// Failed logins are limited.
    On,
    /// Failed logins are not limited, for tests.
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
