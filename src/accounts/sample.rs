//! Some hashes from all over: enough to tell what most of them are, however many there are.

use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{
    Users,
    entity::{Column, Entity, PasswordHash},
};

/// So many are read at once; of no more accounts than that, all.
const PAGE: u64 = 10_000;
/// From so many ranges of ids, that many hashes each.
const RANGES: usize = 100;
const EACH: u64 = 100;

impl Users {
    /// The hashes of all accounts that have one, where they are few, and else of some that lie far from each other.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sample(&self) -> Result<Vec<PasswordHash>, DbErr> {
        let first = self.hashes(i64::MIN, i64::MAX, PAGE).await?;
        if (first.len() as u64) < PAGE {
            return Ok(first);
        }
        let mut sample = Vec::new();
        for (from, to) in self.ranges().await? {
            sample.extend(self.hashes(from, to, EACH).await?);
        }
        Ok(sample)
    }

    /// Ranges of ids, each with an account. Those without one are left out as they are halved: ids may be
    /// dense, or far apart, or one may have been given by hand.
    async fn ranges(&self) -> Result<Vec<(i64, i64)>, DbErr> {
        let mut ranges = vec![(0, i64::MAX)];
        while ranges.len() < RANGES {
            let mut halves = Vec::new();
            for &(from, to) in &ranges {
                let middle = from + (to - from) / 2;
                for (from, to) in [(from, middle), (middle, to)] {
                    if let Some(id) = self.next(from, to).await? {
                        halves.push((id, to));
                    }
                }
            }
            // What has one account alone cannot be halved.
            if halves == ranges {
                break;
            }
            ranges = halves;
        }
        Ok(ranges)
    }

    /// The first id from here to before there.
    async fn next(&self, from: i64, to: i64) -> Result<Option<i64>, DbErr> {
        let next = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Id.gte(from))
            .filter(Column::Id.lt(to))
            .order_by_asc(Column::Id)
            .into_tuple();
        self.database.within(next.one(self.database.db())).await
    }

    async fn hashes(&self, from: i64, to: i64, limit: u64) -> Result<Vec<PasswordHash>, DbErr> {
        let hashes = Entity::find()
            .select_only()
            .column(Column::Password)
            .filter(Column::Id.gte(from))
            .filter(Column::Id.lt(to))
            .filter(Column::Password.is_not_null())
            .order_by_asc(Column::Id)
            .limit(limit)
            .into_tuple();
        self.database.within(hashes.all(self.database.db())).await
    }
}
