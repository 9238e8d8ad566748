//! The maintenance mode: while the table `maintenance` has a row, triggers reject changes of accounts. The triggers also stop older replicas
//! and other programs.

use sea_orm_migration::{
    prelude::*,
    schema::big_integer,
    sea_orm::{ConnectionTrait, DbBackend},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The message of the triggers.
pub const MAINTENANCE: &str = "the database is in maintenance";

const TABLES: [&str; 2] = ["users", "retired_ids"];
const CHANGES: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Maintenance::Table)
            .col(big_integer(Maintenance::Since).primary_key())
            .to_owned();
        manager.create_table(table).await?;
        let db = manager.get_connection();
        if db.get_database_backend() == DbBackend::Sqlite {
            for (table, change) in sqlite_triggers() {
                db.execute_unprepared(&format!(
                    "CREATE TRIGGER maintenance_{table}_{change} BEFORE {change} ON {table} \
                     WHEN EXISTS (SELECT 1 FROM maintenance) BEGIN SELECT RAISE(ABORT, '{MAINTENANCE}'); END"
                ))
                .await?;
            }
            return Ok(());
        }
        // The triggers read the table with the privileges of each role that changes accounts.
        db.execute_unprepared("GRANT SELECT ON maintenance TO PUBLIC")
            .await?;
        // Replicas of any version answer 503 to a code of the class 57 (operator intervention).
        db.execute_unprepared(&format!(
            "CREATE FUNCTION reject_in_maintenance() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF EXISTS (SELECT 1 FROM maintenance) THEN RAISE EXCEPTION '{MAINTENANCE}' USING ERRCODE = '57P03'; END IF; \
             RETURN NULL; END $$"
        ))
        .await?;
        for table in TABLES {
            db.execute_unprepared(&format!(
                "CREATE TRIGGER maintenance BEFORE INSERT OR UPDATE OR DELETE ON {table} \
                 FOR EACH STATEMENT EXECUTE FUNCTION reject_in_maintenance()"
            ))
            .await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if db.get_database_backend() == DbBackend::Sqlite {
            for (table, change) in sqlite_triggers() {
                db.execute_unprepared(&format!("DROP TRIGGER maintenance_{table}_{change}"))
                    .await?;
            }
        } else {
            for table in TABLES {
                db.execute_unprepared(&format!("DROP TRIGGER maintenance ON {table}"))
                    .await?;
            }
            db.execute_unprepared("DROP FUNCTION reject_in_maintenance()")
                .await?;
        }
        manager
            .drop_table(Table::drop().table(Maintenance::Table).to_owned())
            .await
    }
}

/// A trigger of SQLite is for one kind of change.
fn sqlite_triggers() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLES
        .into_iter()
        .flat_map(|table| CHANGES.map(|change| (table, change)))
}

#[derive(DeriveIden)]
enum Maintenance {
    Table,
    /// When the maintenance began, in Unix seconds.
    Since,
}
