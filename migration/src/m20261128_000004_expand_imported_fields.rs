//! The email and the state that an account was last imported with. An update compares them with the current values, to
//! find the changes that were made here since.

use sea_orm_migration::{
    prelude::*,
    schema::{boolean_null, text_null},
    sea_orm::ConnectionTrait,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column per statement.
        for mut column in [
            text_null(Users::ImportedEmail),
            boolean_null(Users::ImportedIsActive),
        ] {
            let table = Table::alter()
                .table(Users::Table)
                .add_column(&mut column)
                .to_owned();
            manager.alter_table(table).await?;
        }
        // The values of the last import are unknown. Later changes are found from now on.
        manager
            .get_connection()
            .execute_unprepared(
                "UPDATE users SET imported_email = email, imported_is_active = is_active \
                 WHERE imported_password IS NOT NULL",
            )
            .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [Users::ImportedEmail, Users::ImportedIsActive] {
            let table = Table::alter()
                .table(Users::Table)
                .drop_column(column)
                .to_owned();
            manager.alter_table(table).await?;
        }
        Ok(())
    }
}

#[derive(DeriveIden)]
enum Users {
    Table,
    ImportedEmail,
    ImportedIsActive,
}
