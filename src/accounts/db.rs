//! Connections to SQLite and PostgreSQL.

mod client;
mod error;
mod limits;
mod open;
mod postgres;
mod sqlite;
mod url;

pub(super) use client::DatabaseClient;
pub use client::{PoolStats, ReadinessError};
pub(super) use error::is_corrupt;
pub use error::{is_temporary, operator_hint};
pub use limits::Limits;
pub use open::{Access, open, open_with};
pub use postgres::host_without_tls;
pub(super) use postgres::{find_cause, ping_timeout};
pub use sqlite::{is_file_in_use, uncreated};
pub use url::DatabaseUrl;
