//! What a database tells of itself, for whoever looks after it.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QuerySelect,
    Statement, TryGetable,
};
use time::OffsetDateTime;

use super::{
    Users,
    entity::{Column, Entity},
};

/// What a database tells of itself.
#[derive(Clone, Debug)]
pub struct Vitals {
    /// What it is, and of which version.
    pub version: String,
    /// Its time of day, where that is its own: SQLite has this machine's.
    pub now: Option<OffsetDateTime>,
}

impl Users {
    /// What the database tells of itself.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn vitals(&self) -> Result<Vitals, DbErr> {
        let backend = self.database.db().get_database_backend();
        let (name, query) = match backend {
            DbBackend::Sqlite => ("SQLite", "SELECT sqlite_version() AS version"),
            _ => (
                "PostgreSQL",
                "SELECT current_setting('server_version') AS version, clock_timestamp() AS now",
            ),
        };
        let query = Statement::from_string(backend, query);
        let row = self
            .database
            .within(self.database.db().query_one_raw(query))
            .await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("no answer to SELECT".to_owned()))?;
        let version: String = row.try_get("", "version")?;
        let now = match backend {
            DbBackend::Sqlite => None,
            _ => Some(OffsetDateTime::try_get(&row, "", "now")?),
        };
        Ok(Vitals {
            version: format!("{name} {version}"),
            now,
        })
    }

    /// Returns the time of the latest login. No clock should be before it. The creation of accounts does not count: imports copy
    /// its time from the source.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn latest(&self) -> Result<Option<OffsetDateTime>, DbErr> {
        let latest = Entity::find()
            .select_only()
            .column_as(Column::LastLogin.max(), "last_login")
            .into_tuple::<Option<OffsetDateTime>>()
            .one(self.database.db());
        Ok(self.database.within(latest).await?.flatten())
    }

    /// How many accounts have a cutoff after this Unix second, and the latest of them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn cutoffs_after(&self, second: i64) -> Result<Option<(i64, i64)>, DbErr> {
        let after = Entity::find()
            .select_only()
            .column_as(Column::Id.count(), "accounts")
            .column_as(Column::TokensValidAfter.max(), "latest")
            .filter(Column::TokensValidAfter.gt(second))
            .into_tuple::<(i64, Option<i64>)>()
            .one(self.database.db());
        let after = self.database.within(after).await?;
        Ok(after.and_then(|(accounts, latest)| Some((accounts, latest?))))
    }
}
