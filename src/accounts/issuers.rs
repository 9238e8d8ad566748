//! The issuers that tokens have had. All replicas share them.

use sea_orm::{
    ActiveValue::Set, DbErr, EntityTrait, QueryOrder, entity::prelude::*, sea_query::OnConflict,
};

use super::store::AccountStore;

/// An issuer.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "issuers")]
pub struct Model {
    /// The value of the claim `iss`. Empty for the times without an issuer.
    #[sea_orm(primary_key, auto_increment = false)]
    pub issuer: String,
    /// When the setting changed to this issuer, in Unix seconds.
    pub since: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl AccountStore {
    /// Records the issuer of new tokens, if another issuer was recorded last. An empty text is no issuer. `now` returns Unix seconds.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn record_issuer(
        &self,
        issuer: &str,
        now: impl FnOnce() -> i64,
    ) -> Result<(), DbErr> {
        let known = self.issuers().await?;
        if known.first().map_or("", |latest| &latest.issuer) == issuer {
            return Ok(());
        }
        let record = Entity::insert(ActiveModel {
            issuer: Set(issuer.to_owned()),
            since: Set(now()),
        })
        .on_conflict(
            OnConflict::column(Column::Issuer)
                .update_column(Column::Since)
                .to_owned(),
        );
        let record = record.exec_without_returning(self.database.db());
        self.database.write(record).await?;
        Ok(())
    }

    /// Returns the issuers, the latest one first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn issuers(&self) -> Result<Vec<Model>, DbErr> {
        let issuers = Entity::find()
            .order_by_desc(Column::Since)
            .order_by_asc(Column::Issuer)
            .all(self.database.db());
        self.database.with_timeout(issuers).await
    }
}
