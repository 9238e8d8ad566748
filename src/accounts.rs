//! The accounts and every query on them.
//!
//! No other module uses SQL, and this module does not depend on HTTP or tokens.

mod attempts;
mod contents;
mod copy;
mod db;
mod diagnostics;
mod django;
pub mod email;
mod entity;
mod hash_sample;
mod import;
mod issuers;
mod list;
mod loader;
mod maintenance;
mod revocation;
mod served_keys;
mod signing_keys;
mod store;

pub use attempts::{FINGERPRINT_LEN, Model as Attempts};
pub use contents::{Contents, ReadError, Rows};
pub use copy::{CopyError, PreparedCopy};
pub use db::{
    Access, DatabaseUrl, Limits, PoolStats, ReadinessError, host_without_tls, is_file_in_use,
    is_temporary, open, open_with, operator_hint, uncreated,
};
pub use diagnostics::Diagnostics;
pub use django::DjangoTable;
pub use entity::{Model as Account, PasswordHash};
pub use import::{
    ForcedFields, Import, ImportConflict, ImportOutcome, ImportRecord, LocalChange, UpdateEffects,
};
pub use issuers::Model as Issuer;
pub use list::Details;
pub use loader::TokenSubject;
pub use sea_orm::{DatabaseConnection as Database, DbErr as DatabaseError};
pub use served_keys::Model as ServedKey;
pub use signing_keys::Model as SigningKey;
pub use store::{AccountStore, ChangeError, LARGEST_GIVEN_ID, NewAccount};
