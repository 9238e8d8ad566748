//! The rows, as sea-orm sees them.

use std::fmt;

use sea_orm::entity::prelude::*;
use time::OffsetDateTime;

/// One account.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// Given by hand or by the database; never used again.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// As it was given, case and all: the claims carry it like this.
    pub email: String,
    /// The e-mail as [`super::email::key`] makes it: unique.
    pub email_key: String,
    /// None is an account that cannot log in.
    pub password: Option<PasswordHash>,
    /// A disabled account neither obtains nor refreshes.
    pub is_active: bool,
    /// When the account was added.
    pub created: OffsetDateTime,
    /// When a password was last accepted.
    pub last_login: Option<OffsetDateTime>,
    /// When another password was last set; rehashing the same one does not count.
    pub password_changed: OffsetDateTime,
    /// The address prefix of the last login.
    pub last_login_from: Option<String>,
    /// Digest of the hash that the account last came in with, if it was imported.
    pub imported_password: Option<String>,
    /// The email that the account was last imported with.
    pub imported_email: Option<String>,
    /// Whether the account was active in its last import.
    pub imported_is_active: Option<bool>,
    /// The cut, in Unix seconds: a token whose `orig_iat` is smaller is ended.
    pub tokens_valid_after: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A password's hash: a PHC string, or as Django wrote it until the first good login. It does not print itself.
#[derive(Clone, PartialEq, Eq, DeriveValueType)]
pub struct PasswordHash(pub String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// The ids of deleted accounts.
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
