//! Facts about the database, for operators.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, TryGetable};
use time::OffsetDateTime;

use super::client::DatabaseClient;

/// Facts about the database.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// The name and version of the database.
    pub version: String,
    /// The clock of the database. `None` for SQLite, which uses the clock of this machine.
    pub now: Option<OffsetDateTime>,
}

impl DatabaseClient {
    /// Returns descriptions of damage in a SQLite database, or `None` for PostgreSQL, which has the program `pg_amcheck`.
    pub(in crate::accounts) async fn damages(&self) -> Result<Option<Vec<String>>, DbErr> {
        let backend = self.db().get_database_backend();
        if backend != DbBackend::Sqlite {
            return Ok(None);
        }
        let check = Statement::from_string(backend, "PRAGMA integrity_check");
        let rows = self.db().query_all_raw(check).await?;
        let lines = rows.iter().map(|row| row.try_get_by_index::<String>(0));
        let lines: Vec<_> = lines.collect::<Result<_, _>>()?;
        Ok(Some(
            lines.into_iter().filter(|line| line != "ok").collect(),
        ))
    }

    /// Returns the number of connections of other Signet processes to a PostgreSQL database, and 0 for SQLite.
    pub(in crate::accounts) async fn other_connections(&self) -> Result<i64, DbErr> {
        let backend = self.db().get_database_backend();
        if backend != DbBackend::Postgres {
            return Ok(0);
        }
        let query = "SELECT count(*) AS connections FROM pg_stat_activity WHERE datname = current_database() \
                     AND application_name = 'signet' AND pid <> pg_backend_pid()";
        let query = Statement::from_string(backend, query);
        let row = self.with_timeout(self.db().query_one_raw(query)).await?;
        row.map_or(Ok(0), |row| row.try_get("", "connections"))
    }

    /// Writes a snapshot of a SQLite database into an empty file.
    pub(in crate::accounts) async fn backup(&self, path: &str) -> Result<(), DbErr> {
        let backend = self.db().get_database_backend();
        let backup = Statement::from_sql_and_values(backend, "VACUUM INTO ?", [path.into()]);
        self.db().execute_raw(backup).await?;
        Ok(())
    }

    /// Returns facts about the database.
    pub(in crate::accounts) async fn diagnostics(&self) -> Result<Diagnostics, DbErr> {
        let backend = self.db().get_database_backend();
        let (name, query) = match backend {
            DbBackend::Sqlite => ("SQLite", "SELECT sqlite_version() AS version"),
            _ => (
                "PostgreSQL",
                "SELECT current_setting('server_version') AS version, clock_timestamp() AS now",
            ),
        };
        let query = Statement::from_string(backend, query);
        let row = self.with_timeout(self.db().query_one_raw(query)).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("no answer to SELECT".to_owned()))?;
        let version: String = row.try_get("", "version")?;
        let now = match backend {
            DbBackend::Sqlite => None,
            _ => Some(OffsetDateTime::try_get(&row, "", "now")?),
        };
        Ok(Diagnostics {
            version: format!("{name} {version}"),
            now,
        })
    }
}
