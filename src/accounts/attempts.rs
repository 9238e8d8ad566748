//! Failed attempts: how much each subject has yet to be forgiven.
//!
//! A row is a bucket that leaks: `settled_at` is when it will be empty. One number tells the level and
//! survives restarts; one statement adds to it, so that replicas agree.

use std::time::Duration;

use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{BinOper, Cond, Expr, ExprTrait, Func, OnConflict},
};

use tokio::time::sleep;

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
    /// The last few guesses, newest first: of each a comma and the start of a keyed hash.
    pub last_guess: Option<String>,
}

/// Letters of a guess's keyed hash.
pub const GUESS: usize = 3;
/// Guesses that are remembered: clients that are stuck, each on a password of its own.
const GUESSES: usize = 4;
/// Buckets that one statement of the cleanup visits. SQLite has one writer at a time, so a login waits for the statement: a few milliseconds.
const BATCH: u64 = 1_000;
/// The time between two statements of the cleanup. Without a pause, a login that polls for the write lock of SQLite rarely gets it.
const PAUSE: Duration = Duration::from_millis(20);

impl Model {
    /// Whether this guess is among those that are remembered.
    #[must_use]
    pub fn remembers(&self, guess: &str) -> bool {
        let guesses = self.last_guess.iter().flat_map(|list| list.split(','));
        guesses.into_iter().any(|known| known == guess)
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Subjects of these kinds: each subject starts with its kind.
fn of_kinds(kinds: &[&str]) -> Cond {
    let kinds = kinds.iter().map(|kind| format!("{kind}:"));
    kinds.fold(Cond::any(), |any, kind| {
        any.add(Column::Subject.starts_with(kind))
    })
}

impl Users {
    /// The buckets of these subjects, where they have any.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn attempts(&self, subjects: &[String]) -> Result<Vec<Model>, DbErr> {
        let buckets = Entity::find().filter(Column::Subject.is_in(subjects));
        self.database.within(buckets.all(self.database.db())).await
    }

    /// Adds a failed attempt, which takes `weight` milliseconds to be forgiven, and no more than `most` in all.
    /// One with a guess that is remembered adds nothing: it is a stuck client, and learns nothing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_attempt(
        &self,
        subject: String,
        now: i64,
        weight: i64,
        most: i64,
        guess: Option<&str>,
    ) -> Result<(), DbErr> {
        let known = |column: Column| Expr::col((Entity, column));
        let guess = guess.map(|guess| format!(",{guess}"));
        let part = |text: Expr, from: usize, length: usize| {
            let [from, length] = [from, length].map(|number| i32::try_from(number).unwrap_or(0));
            Func::cust("substr").args([text, from.into(), length.into()])
        };
        // On no guess, and on no list, this is neither true nor false: it counts.
        let repeated = (0..GUESSES).fold(Cond::any(), |any, place| {
            let step = GUESS + 1;
            let remembered = part(known(Column::LastGuess), 1 + place * step, step);
            any.add(Expr::from(remembered).eq(Expr::value(guess.clone())))
        });
        let settled = Expr::case(repeated.clone(), known(Column::SettledAt))
            .case(known(Column::SettledAt).gt(now + most - weight), now + most)
            .case(
                known(Column::SettledAt).gt(now),
                known(Column::SettledAt).add(weight),
            )
            .finally(now + weight);
        let list = Expr::value(guess.clone()).binary(
            BinOper::Custom("||"),
            Func::coalesce([known(Column::LastGuess), Expr::value("")]),
        );
        let guesses = Expr::case(repeated, known(Column::LastGuess)).finally(part(
            list,
            1,
            GUESSES * (GUESS + 1),
        ));
        let first = ActiveModel {
            subject: sea_orm::Set(subject),
            settled_at: sea_orm::Set(now + weight),
            last_guess: sea_orm::Set(guess),
        };
        let add = Entity::insert(first).on_conflict(
            OnConflict::column(Column::Subject)
                .value(Column::SettledAt, settled)
                .value(Column::LastGuess, guesses)
                .to_owned(),
        );
        self.database
            .write(add.exec_without_returning(self.database.db()))
            .await?;
        Ok(())
    }

    /// Deletes the buckets of these subjects, and of all whose subject starts with `prefix`. Returns them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn clear_attempts(
        &self,
        subjects: &[String],
        prefix: Option<&str>,
    ) -> Result<Vec<Model>, DbErr> {
        let mut which = Cond::any().add(Column::Subject.is_in(subjects));
        if let Some(prefix) = prefix {
            which = which.add(Column::Subject.starts_with(prefix));
        }
        let clear = Entity::delete_many().filter(which);
        self.database
            .write(clear.exec_with_returning(self.database.db()))
            .await
    }

    /// Lowers a bucket that ends later than `latest`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn cap_attempt(&self, subject: &str, latest: i64) -> Result<(), DbErr> {
        self.cap(Column::Subject.eq(subject).into(), latest).await
    }

    /// Lowers every bucket of these kinds that ends later than `latest`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn cap_attempts(&self, kinds: &[&str], latest: i64) -> Result<(), DbErr> {
        self.cap(of_kinds(kinds), latest).await
    }

    async fn cap(&self, which: Cond, latest: i64) -> Result<(), DbErr> {
        let cap = Entity::update_many()
            .col_expr(Column::SettledAt, Expr::value(latest))
            .filter(Column::SettledAt.gt(latest))
            .filter(which);
        self.database.write(cap.exec(self.database.db())).await?;
        Ok(())
    }

    /// Counts the buckets of these kinds that end later than `latest`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn attempts_after(&self, kinds: &[&str], latest: i64) -> Result<u64, DbErr> {
        let after = Entity::find()
            .filter(Column::SettledAt.gt(latest))
            .filter(of_kinds(kinds));
        self.database.within(after.count(self.database.db())).await
    }

    /// Drops the buckets that are empty at `now`. Visits the table in the order of its key, because `settled_at` has no index.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forgive_settled(&self, now: i64) -> Result<(), DbErr> {
        let mut visited: Option<String> = None;
        loop {
            let mut batch = Cond::all();
            if let Some(visited) = visited {
                batch = batch.add(Column::Subject.gt(visited));
            }
            let last = Entity::find()
                .select_only()
                .column(Column::Subject)
                .filter(batch.clone())
                .order_by_asc(Column::Subject)
                .offset(BATCH - 1)
                .limit(1)
                .into_tuple::<String>();
            let last = self.database.within(last.one(self.database.db())).await?;
            if let Some(last) = &last {
                batch = batch.add(Column::Subject.lte(last));
            }
            let forgive = Entity::delete_many()
                .filter(batch)
                .filter(Column::SettledAt.lte(now));
            self.database
                .write(forgive.exec(self.database.db()))
                .await?;
            if last.is_none() {
                return Ok(());
            }
            visited = last;
            sleep(PAUSE).await;
        }
    }
}
