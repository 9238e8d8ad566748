//! The types of the settings. Each type parses and validates itself.

mod client_ip_header;
mod database_url;
mod issuer;
mod listen;
mod log_filter;
mod origins;
mod public_url;
mod rate;
mod seconds;
mod secret;
mod separated;
mod switches;
mod trusted_proxies;

pub use client_ip_header::ClientIpHeader;
pub use database_url::DatabaseUrl;
pub use issuer::Issuer;
pub use listen::{Listen, SocketMode};
pub use log_filter::LogFilter;
pub use origins::Origins;
pub use public_url::PublicUrl;
pub use rate::Rate;
pub use seconds::BoundedSeconds;
pub(super) use secret::MASK;
pub use secret::Secret;
pub use switches::{AuditEmails, JwtAlgorithm, Switch};
pub use trusted_proxies::TrustedProxies;
