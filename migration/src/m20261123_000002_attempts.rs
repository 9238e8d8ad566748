//! Failed attempts, by what they are counted against, and where an account last logged in from.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, text, text_null},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// On SQLite too: a start that is killed leaves all of it or nothing.
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
    /// What the attempts are counted against: an account, an address, or the two together.
    Subject,
    /// Unix milliseconds: when all that was counted is forgiven.
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
