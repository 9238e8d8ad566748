//! Counters of failed attempts.
//!
//! The algorithm is GCRA: a row stores the theoretical arrival time in `settled_at`. One statement updates the row, so that replicas
//! share a counter.

use std::time::Duration;

use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{BinOper, Cond, Expr, ExprTrait, Func, OnConflict},
};
use tokio::time::sleep;

use super::store::AccountStore;

/// The counter of a subject.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempts")]
pub struct Model {
    /// The hashed account or the address.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: String,
    /// When the counter will be zero again, in Unix milliseconds.
    pub settled_at: i64,
    /// Fingerprints of the last wrong passwords, newest first, each after a comma.
    pub last_guess: Option<String>,
}

/// The length of a password fingerprint, in letters of a keyed hash.
pub const FINGERPRINT_LEN: usize = 3;
/// The number of stored fingerprints: several clients may each repeat another wrong password.
const RECENT_FINGERPRINTS: usize = 4;
/// The number of rows that one statement of the cleanup visits. A login on SQLite waits a few milliseconds for the statement.
const BATCH: u64 = 1_000;
/// The time between two statements of the cleanup. Without a pause, a login that polls for the write lock of SQLite rarely gets it.
const PAUSE: Duration = Duration::from_millis(20);

impl Model {
    /// Returns whether this fingerprint is among the stored fingerprints.
    #[must_use]
    pub fn remembers(&self, fingerprint: &str) -> bool {
        let mut known = self.last_guess.iter().flat_map(|list| list.split(','));
        known.any(|known| known == fingerprint)
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Selects subjects of these kinds. A subject starts with its kind.
fn of_kinds(kinds: &[&str]) -> Cond {
    let kinds = kinds.iter().map(|kind| format!("{kind}:"));
    kinds.fold(Cond::any(), |any, kind| {
        any.add(Column::Subject.starts_with(kind))
    })
}

impl AccountStore {
    /// Returns the counters of these subjects.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn attempts(&self, subjects: &[String]) -> Result<Vec<Model>, DbErr> {
        let counters = Entity::find().filter(Column::Subject.is_in(subjects));
        self.database
            .with_timeout(counters.all(self.database.db()))
            .await
    }

    /// Adds a failed attempt: `emission_interval` milliseconds, up to `max_debt` milliseconds in total. An attempt with a stored fingerprint
    /// adds no time, because a client that repeats a password learns no more about the account.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_attempt(
        &self,
        subject: String,
        now: i64,
        emission_interval: i64,
        max_debt: i64,
        fingerprint: Option<&str>,
    ) -> Result<(), DbErr> {
        let known = |column: Column| Expr::col((Entity, column));
        let fingerprint = fingerprint.map(|fingerprint| format!(",{fingerprint}"));
        let part = |text: Expr, from: usize, length: usize| {
            let [from, length] = [from, length].map(|number| i32::try_from(number).unwrap_or(0));
            Func::cust("substr").args([text, from.into(), length.into()])
        };
        // Without a fingerprint or a list, this is NULL, and the attempt counts.
        let repeated = (0..RECENT_FINGERPRINTS).fold(Cond::any(), |any, place| {
            let step = FINGERPRINT_LEN + 1;
            let remembered = part(known(Column::LastGuess), 1 + place * step, step);
            any.add(Expr::from(remembered).eq(Expr::value(fingerprint.clone())))
        });
        let settled = Expr::case(repeated.clone(), known(Column::SettledAt))
            .case(
                known(Column::SettledAt).gt(now + max_debt - emission_interval),
                now + max_debt,
            )
            .case(
                known(Column::SettledAt).gt(now),
                known(Column::SettledAt).add(emission_interval),
            )
            .finally(now + emission_interval);
        let list = Expr::value(fingerprint.clone()).binary(
            BinOper::Custom("||"),
            Func::coalesce([known(Column::LastGuess), Expr::value("")]),
        );
        let fingerprints = Expr::case(repeated, known(Column::LastGuess)).finally(part(
            list,
            1,
            RECENT_FINGERPRINTS * (FINGERPRINT_LEN + 1),
        ));
        let first = ActiveModel {
            subject: sea_orm::Set(subject),
            settled_at: sea_orm::Set(now + emission_interval),
            last_guess: sea_orm::Set(fingerprint),
        };
        let add = Entity::insert(first).on_conflict(
            OnConflict::column(Column::Subject)
                .value(Column::SettledAt, settled)
                .value(Column::LastGuess, fingerprints)
                .to_owned(),
        );
        self.database
            .write(add.exec_without_returning(self.database.db()))
            .await?;
        Ok(())
    }

    /// Deletes and returns the counters of these subjects, and of every subject that starts with `prefix`.
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

    /// Lowers a counter that expires later than `latest`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn cap_attempt(&self, subject: &str, latest: i64) -> Result<(), DbErr> {
        self.cap(Column::Subject.eq(subject).into(), latest).await
    }

    /// Lowers every counter of these kinds that expires later than `latest`.
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

    /// Counts the counters of these kinds that expire later than `latest`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn attempts_after(&self, kinds: &[&str], latest: i64) -> Result<u64, DbErr> {
        let after = Entity::find()
            .filter(Column::SettledAt.gt(latest))
            .filter(of_kinds(kinds));
        self.database
            .with_timeout(after.count(self.database.db()))
            .await
    }

    /// Deletes the counters that expired before `now`. Visits the table in the order of its key, because `settled_at` has no index.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_expired_attempts(&self, now: i64) -> Result<(), DbErr> {
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
            let last = self
                .database
                .with_timeout(last.one(self.database.db()))
                .await?;
            if let Some(last) = &last {
                batch = batch.add(Column::Subject.lte(last));
            }
            let delete = Entity::delete_many()
                .filter(batch)
                .filter(Column::SettledAt.lte(now));
            self.database.write(delete.exec(self.database.db())).await?;
            if last.is_none() {
                return Ok(());
            }
            visited = last;
            sleep(PAUSE).await;
        }
    }
}
