//! Failed attempts: how much each subject has yet to be forgiven.
//!
//! A row is a bucket that leaks: `settled_at` is when it will be empty. One number tells the level and
//! survives restarts; one statement adds to it, so that replicas agree.

use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, QueryFilter,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, OnConflict},
};

use super::Users;

/// One subject's bucket.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempts")]
pub struct Model {
    /// What is counted against; it names no e-mail in clear.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: String,
    /// Unix milliseconds: when all that was counted is forgiven.
    pub settled_at: i64,
    /// Keyed hash of the last wrong password.
    pub last_guess: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Users {
    /// The buckets of these subjects, where they have any.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn attempts(&self, subjects: &[String]) -> Result<Vec<Model>, DbErr> {
        Entity::find()
            .filter(Column::Subject.is_in(subjects))
            .all(&self.db)
            .await
    }

    /// Adds a failed attempt, which takes `weight` milliseconds to be forgiven, and no more than `most` in all. One with the same guess as
    /// the last adds nothing: it is a stuck client, and learns nothing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_attempt(
        &self,
        subject: String,
        now: i64,
        weight: i64,
        most: i64,
        guess: Option<String>,
    ) -> Result<(), DbErr> {
        let known = |column: Column| Expr::col((Entity, column));
        let settled = Expr::case(
            known(Column::LastGuess).eq(Expr::value(guess.clone())),
            known(Column::SettledAt),
        )
        .case(known(Column::SettledAt).gt(now + most - weight), now + most)
        .case(
            known(Column::SettledAt).gt(now),
            known(Column::SettledAt).add(weight),
        )
        .finally(now + weight);
        let first = ActiveModel {
            subject: sea_orm::Set(subject),
            settled_at: sea_orm::Set(now + weight),
            last_guess: sea_orm::Set(guess.clone()),
        };
        Entity::insert(first)
            .on_conflict(
                OnConflict::column(Column::Subject)
                    .value(Column::SettledAt, settled)
                    .value(Column::LastGuess, Expr::value(guess))
                    .to_owned(),
            )
            .exec_without_returning(&self.db)
            .await?;
        Ok(())
    }

    /// Drops the buckets that are empty at `now`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forgive_settled(&self, now: i64) -> Result<(), DbErr> {
        Entity::delete_many()
            .filter(Column::SettledAt.lte(now))
            .exec(&self.db)
            .await?;
        Ok(())
    }
}
