//! The tables of accounts and retired IDs.

use std::fmt;

use sea_orm::entity::prelude::*;
use time::OffsetDateTime;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// The ID. The ID of a deleted account is never reused.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The email with its original case, which tokens contain.
    pub email: String,
    /// The unique result of [`super::email::normalize`].
    pub email_key: String,
    /// The password hash. `None` for an account that cannot log in.
    pub password: Option<PasswordHash>,
    /// Whether the account is enabled. A disabled account can neither log in nor refresh.
    pub is_active: bool,
    /// When the account was added.
    pub created: OffsetDateTime,
    /// When a password was last accepted.
    pub last_login: Option<OffsetDateTime>,
    /// When another password was last set. A new hash of the same password does not count.
    pub password_changed: OffsetDateTime,
    /// The address prefix of the last login.
    pub last_login_from: Option<String>,
    /// A digest of the password hash in the last import.
    pub imported_password: Option<String>,
    /// The email that the account was last imported with.
    pub imported_email: Option<String>,
    /// Whether the account was active in its last import.
    pub imported_is_active: Option<bool>,
    /// The cutoff in Unix seconds. Tokens with a smaller `orig_iat` are revoked.
    pub tokens_valid_after: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A password hash: a PHC string, or the format of Django until the first successful login. The `Debug` output omits the hash.
#[derive(Clone, PartialEq, Eq, DeriveValueType)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// The IDs of deleted accounts.
pub(super) mod retired {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "retired_ids")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
    }

    #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
