//! The parts of handling that all requests have in common.

mod client_addr;
mod cors;
mod host;
mod request_id;
mod trace;

pub use client_addr::Proxies;
pub(super) use client_addr::TrustedProxies;
pub(super) use cors::Cors;
pub use host::InvalidHost;
pub(super) use request_id::RequestIds;
pub(super) use trace::{record_status, set_remote_parent};
