//! A sample of the password hashes, to find the most common scheme and cost.

use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{
    entity::{Column, Entity, PasswordHash},
    store::AccountStore,
};

/// If there are fewer hashes, the sample contains all of them.
const PAGE: u64 = 10_000;
/// The number of ranges of IDs, and of hashes from each range.
const RANGES: usize = 100;
const HASHES_PER_RANGE: u64 = 100;

impl AccountStore {
    /// Returns all hashes, or a sample if there are more than ten thousand.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sample_hashes(&self) -> Result<Vec<PasswordHash>, DbErr> {
        let first = self.hashes(i64::MIN, i64::MAX, PAGE).await?;
        if (first.len() as u64) < PAGE {
            return Ok(first);
        }
        let mut sample = Vec::new();
        for (from, to) in self.ranges().await? {
            sample.extend(self.hashes(from, to, HASHES_PER_RANGE).await?);
        }
        Ok(sample)
    }

    /// Returns ranges of IDs that contain an account. Halves the ranges repeatedly and drops empty halves, since IDs may be sparse.
    async fn ranges(&self) -> Result<Vec<(i64, i64)>, DbErr> {
        let mut ranges = vec![(0, i64::MAX)];
        while ranges.len() < RANGES {
            let mut halves = Vec::new();
            for &(from, to) in &ranges {
                let middle = from + (to - from) / 2;
                for (from, to) in [(from, middle), (middle, to)] {
                    if let Some(id) = self.first_id(from, to).await? {
                        halves.push((id, to));
                    }
                }
            }
            // Every range contains one account only.
            if halves == ranges {
                break;
            }
            ranges = halves;
        }
        Ok(ranges)
    }

    /// Returns the first ID in the range.
    async fn first_id(&self, from: i64, to: i64) -> Result<Option<i64>, DbErr> {
        let next = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Id.gte(from))
            .filter(Column::Id.lt(to))
            .order_by_asc(Column::Id)
            .into_tuple();
        self.database
            .with_timeout(next.one(self.database.db()))
            .await
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
        self.database
            .with_timeout(hashes.all(self.database.db()))
            .await
    }
}
