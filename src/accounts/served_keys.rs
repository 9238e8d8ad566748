//! The published keys that each replica serves to verifiers. A new key signs only after every live replica has served the key.

use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, entity::prelude::*,
    sea_query::OnConflict,
};

use super::store::AccountStore;

/// A key that a replica serves.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "served_keys")]
pub struct Model {
    /// The ID of the process that serves the key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub replica: String,
    /// The ID of the key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kid: String,
    /// Since when the replica serves the key, in Unix seconds.
    pub served_since: i64,
    /// When the replica last read the published keys, in Unix seconds.
    pub seen_at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl AccountStore {
    /// Records the keys that a replica serves. Deletes the rows that were last recorded before `oldest`, in Unix seconds.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn record_served_keys(&self, keys: Vec<Model>, oldest: i64) -> Result<(), DbErr> {
        let conflict = OnConflict::columns([Column::Replica, Column::Kid])
            .update_column(Column::SeenAt)
            .to_owned();
        let rows = keys
            .into_iter()
            .map(|key| key.into_active_model().reset_all());
        let record = Entity::insert_many(rows)
            .on_conflict(conflict)
            .exec_without_returning(self.database.db());
        self.database.write(record).await?;
        let delete = Entity::delete_many().filter(Column::SeenAt.lt(oldest));
        self.database.write(delete.exec(self.database.db())).await?;
        Ok(())
    }

    /// Returns the keys that the replicas serve.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn served_keys(&self) -> Result<Vec<Model>, DbErr> {
        let keys = Entity::find().all(self.database.db());
        self.database.with_timeout(keys).await
    }
}
