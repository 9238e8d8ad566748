//! The accounts, and the IDs of deleted accounts.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, big_integer_null, boolean, text, text_null, timestamp_with_time_zone},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// SQLite needs this, too: a killed process must not leave an incomplete migration.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(Users::Table)
                    // AUTOINCREMENT, not a bare rowid: SQLite would hand out the largest id again after a deletion.
                    .col(big_integer(Users::Id).primary_key().auto_increment())
                    .col(text(Users::Email))
                    .col(text(Users::EmailKey).unique_key())
                    .col(text_null(Users::Password))
                    .col(boolean(Users::IsActive))
                    .col(timestamp_with_time_zone(Users::Created))
                    .col(timestamp_with_time_zone(Users::LastLogin).null())
                    .col(timestamp_with_time_zone(Users::PasswordChanged))
                    .col(big_integer(Users::TokensValidAfter))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table(RetiredIds::Table)
                    .col(big_integer_null(RetiredIds::Id).not_null().primary_key())
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .drop_table(Table::drop().table(RetiredIds::Table).to_owned())
            .await?;
        manager
            .drop_table(Table::drop().table(Users::Table).to_owned())
            .await
    }
}

#[derive(DeriveIden)]
enum Users {
    Table,
    Id,
    Email,
    /// The e-mail folded for comparison without regard to case.
    EmailKey,
    /// PHC string; null is an account without a usable password.
    Password,
    IsActive,
    Created,
    LastLogin,
    PasswordChanged,
    /// Unix seconds: tokens with an older `orig_iat` are revoked.
    TokensValidAfter,
}

/// Ids of deleted accounts: a token or a foreign record may still name them.
#[derive(DeriveIden)]
enum RetiredIds {
    Table,
    Id,
}
