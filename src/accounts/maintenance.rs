//! The maintenance mode, in which the database rejects changes of accounts. Refreshes still work. The switch is in the database, so that
//! all replicas and commands respect it.

use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DbBackend, DbErr, EntityTrait, entity::prelude::*,
};
use time::OffsetDateTime;

use super::store::AccountStore;

/// The row of a maintenance.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "maintenance")]
pub struct Model {
    /// When the maintenance began, in Unix seconds.
    #[sea_orm(primary_key, auto_increment = false)]
    pub since: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl AccountStore {
    /// Returns when the maintenance began, in Unix seconds. Returns `None` without maintenance.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn maintenance(&self) -> Result<Option<i64>, DbErr> {
        let row = Entity::find().one(self.database.db());
        let row = self.database.with_timeout(row).await?;
        Ok(row.map(|row| row.since))
    }

    /// Begins the maintenance. Waits for changes in progress. Returns whether there was no maintenance before.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin_maintenance(&self, now: OffsetDateTime) -> Result<bool, DbErr> {
        let transaction = self.begin_exclusive().await?;
        if transaction.get_database_backend() == DbBackend::Postgres {
            // A change that began before would otherwise commit after the start of the maintenance.
            let lock = "LOCK TABLE users, retired_ids IN SHARE ROW EXCLUSIVE MODE";
            transaction.execute_unprepared(lock).await?;
        }
        let is_new = Entity::find().one(&transaction).await?.is_none();
        if is_new {
            let since = Set(now.unix_timestamp());
            Entity::insert(ActiveModel { since })
                .exec_without_returning(&transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(is_new)
    }

    /// Ends the maintenance. Returns whether there was a maintenance.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_maintenance(&self) -> Result<bool, DbErr> {
        let deleted = Entity::delete_many().exec(self.database.db()).await?;
        Ok(deleted.rows_affected > 0)
    }
}
