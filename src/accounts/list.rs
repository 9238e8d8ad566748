//! Lists accounts in pages, without their hashes.

use sea_orm::{
    ColumnTrait, DbErr, DerivePartialModel, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use time::OffsetDateTime;

use super::{
    entity::{Column, Entity, Model as Account},
    store::AccountStore,
};

/// Every field of an account that may be shown.
#[derive(Clone, Debug, DerivePartialModel)]
#[sea_orm(entity = "Entity")]
pub struct Details {
    /// The ID.
    pub id: i64,
    /// The email as stored.
    pub email: String,
    /// Whether the account may log in.
    pub is_active: bool,
    /// Whether the account has a password.
    #[sea_orm(from_expr = "Column::Password.is_not_null()")]
    pub usable_password: bool,
    /// When the account was added.
    pub created: OffsetDateTime,
    /// When a password was last accepted.
    pub last_login: Option<OffsetDateTime>,
    /// The address prefix of the last login.
    pub last_login_from: Option<String>,
    /// When another password was last set.
    pub password_changed: OffsetDateTime,
    /// Tokens issued before this time are revoked. In Unix seconds.
    pub tokens_valid_after: i64,
}

impl From<&Account> for Details {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id,
            email: account.email.clone(),
            is_active: account.is_active,
            usable_password: account.password.is_some(),
            created: account.created,
            last_login: account.last_login,
            last_login_from: account.last_login_from.clone(),
            password_changed: account.password_changed,
            tokens_valid_after: account.tokens_valid_after,
        }
    }
}

impl AccountStore {
    /// Returns at most `limit` accounts with a larger ID than `after`, ordered by ID.
    ///
    /// A list is read page by page. One query for all accounts would need one snapshot until the last row is read, and the write-ahead
    /// log of SQLite would grow while the reader of the list pauses.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn page(&self, after: Option<i64>, limit: u64) -> Result<Vec<Details>, DbErr> {
        let mut page = Entity::find().order_by_asc(Column::Id).limit(limit);
        if let Some(after) = after {
            page = page.filter(Column::Id.gt(after));
        }
        self.database
            .with_timeout(page.into_partial_model().all(self.database.db()))
            .await
    }
}
