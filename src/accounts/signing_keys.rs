//! The public keys that the service has published. All replicas publish and accept the same keys.

use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, entity::prelude::*,
    sea_query::Expr,
};

use super::store::AccountStore;

/// A published key.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "signing_keys")]
pub struct Model {
    /// The ID of the key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kid: String,
    /// The first coordinate of the public key, in base64url.
    pub x: String,
    /// The second coordinate of the public key, in base64url.
    pub y: String,
    /// When the key was first published, in Unix seconds.
    pub published_at: i64,
    /// The last second of the publication, in Unix seconds.
    pub published_until: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// A publication is extended only if it gains this time, in seconds. Otherwise each replica would write every few seconds.
const MIN_EXTENSION: i64 = 60;
/// The end of the publication of a revoked key. The row stays, so that the key is not published again.
const REVOKED: i64 = 0;

impl AccountStore {
    /// Publishes keys, or extends their publication. Deletes keys that are no longer published at `now`, in Unix seconds.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn publish_keys(&self, keys: Vec<Model>, now: i64) -> Result<(), DbErr> {
        for key in keys {
            let extend = Entity::update_many()
                .col_expr(Column::PublishedUntil, Expr::value(key.published_until))
                .filter(Column::Kid.eq(&key.kid))
                .filter(Column::PublishedUntil.ne(REVOKED))
                .filter(Column::PublishedUntil.lt(key.published_until - MIN_EXTENSION));
            let add = Entity::insert(key.into_active_model().reset_all())
                .on_conflict_do_nothing_on([Column::Kid])
                .exec_without_returning(self.database.db());
            self.database.write(add).await?;
            let extend = extend.exec(self.database.db());
            self.database.write(extend).await?;
        }
        let delete = Entity::delete_many()
            .filter(Column::PublishedUntil.lt(now))
            .filter(Column::PublishedUntil.ne(REVOKED));
        self.database.write(delete.exec(self.database.db())).await?;
        Ok(())
    }

    /// Revokes a key for ever: a replica that still has its private key cannot publish the key again. Returns whether the key was published.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_key(&self, kid: &str) -> Result<bool, DbErr> {
        let revoke = Entity::update_many()
            .col_expr(Column::PublishedUntil, Expr::value(REVOKED))
            .filter(Column::Kid.eq(kid))
            .filter(Column::PublishedUntil.ne(REVOKED));
        let revoked = self.database.write(revoke.exec(self.database.db())).await?;
        Ok(revoked.rows_affected > 0)
    }

    /// Returns the published keys in the order of their publication.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn published_keys(&self) -> Result<Vec<Model>, DbErr> {
        let keys = Entity::find()
            .filter(Column::PublishedUntil.ne(REVOKED))
            .order_by_asc(Column::PublishedAt)
            .order_by_asc(Column::Kid);
        let keys = keys.all(self.database.db());
        self.database.with_timeout(keys).await
    }
}
