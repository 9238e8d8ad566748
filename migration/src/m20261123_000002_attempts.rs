//! Counters of failed attempts, and the address of the last login of an account.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, text, text_null},
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
                    .table(Attempts::Table)
                    .col(text(Attempts::Subject).primary_key())
                    .col(big_integer(Attempts::SettledAt))
                    .col(text_null(Attempts::LastGuess))
                    .to_owned(),
            )
            .await?;
        manager
            .alter_table(
                Table::alter()
                    .table(Users::Table)
                    .add_column(text_null(Users::LastLoginFrom))
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .alter_table(
                Table::alter()
                    .table(Users::Table)
                    .drop_column(Users::LastLoginFrom)
                    .to_owned(),
            )
            .await?;
        manager
            .drop_table(Table::drop().table(Attempts::Table).to_owned())
            .await
    }
}

#[derive(DeriveIden)]
enum Attempts {
    Table,
    /// The subject of the counter: an account, an address, or both together.
    Subject,
    /// When the counter is zero again, in Unix milliseconds.
    SettledAt,
    /// Keyed hash of the last wrong password.
    LastGuess,
}

#[derive(DeriveIden)]
enum Users {
    Table,
    /// The address prefix of the last login.
    LastLoginFrom,
}
