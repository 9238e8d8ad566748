//! Facts about the database, for operators.

use std::path::Path;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use time::OffsetDateTime;

use super::{db::is_corrupt, store::AccountStore};

/// Facts about the database.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// The name and version of the database.
    pub version: String,
    /// The clock of the database. `None` for SQLite, which uses the clock of this machine.
    pub now: Option<OffsetDateTime>,
    /// Whether the server is a standby, which rejects changes.
    pub is_standby: bool,
}

impl AccountStore {
    /// Returns descriptions of damage in a SQLite database, or `None` for PostgreSQL, which has the program `pg_amcheck`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn damages(&self) -> Result<Option<Vec<String>>, DbErr> {
        let backend = self.database.db().get_database_backend();
        if backend != DbBackend::Sqlite {
            return Ok(None);
        }
        let check = Statement::from_string(backend, "PRAGMA integrity_check");
        let rows = match self.database.db().query_all_raw(check).await {
            Ok(rows) => rows,
            // The damage prevents the check itself.
            Err(error) if is_corrupt(&error) => return Ok(Some(vec![error.to_string()])),
            Err(error) => return Err(error),
        };
        let texts = rows.iter().map(|row| row.try_get_by_index::<String>(0));
        let texts: Vec<_> = texts.collect::<Result<_, _>>()?;
        // A text may have several lines.
        let lines = texts.iter().flat_map(|text| text.lines());
        let damages = lines.filter(|line| *line != "ok").map(str::to_owned);
        Ok(Some(damages.collect()))
    }

    /// Returns the number of connections of other Signet processes to a PostgreSQL database, and 0 for SQLite.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn other_connections(&self) -> Result<i64, DbErr> {
        let backend = self.database.db().get_database_backend();
        if backend != DbBackend::Postgres {
            return Ok(0);
        }
        let query = "SELECT count(*) AS connections FROM pg_stat_activity WHERE datname = current_database() \
                     AND application_name = 'signet' AND pid <> pg_backend_pid()";
        let query = Statement::from_string(backend, query);
        let row = self
            .database
            .with_timeout(self.database.db().query_one_raw(query))
            .await?;
        row.map_or(Ok(0), |row| row.try_get("", "connections"))
    }

    /// Returns the privileges for keys and issuers that the role lacks, such as `INSERT on issuers`. `None` if it lacks none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn missing_privileges(&self) -> Result<Option<String>, DbErr> {
        let backend = self.database.db().get_database_backend();
        if backend != DbBackend::Postgres {
            return Ok(None);
        }
        let query = "SELECT string_agg(privilege || ' on ' || name, ', ') AS missing \
                     FROM unnest(ARRAY['signing_keys', 'served_keys', 'issuers']) AS name, \
                     unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege \
                     WHERE NOT has_table_privilege(name, privilege)";
        let query = Statement::from_string(backend, query);
        let row = self
            .database
            .with_timeout(self.database.db().query_one_raw(query))
            .await?;
        row.map_or(Ok(None), |row| row.try_get("", "missing"))
    }

    /// Writes a snapshot of a SQLite database into an empty file. The service may write meanwhile.
    ///
    /// # Errors
    /// When the path is not UTF-8, or the database fails.
    pub async fn backup(&self, path: &Path) -> Result<(), DbErr> {
        let path = path
            .to_str()
            .ok_or_else(|| DbErr::Custom("the path is not UTF-8".to_owned()))?;
        let backend = self.database.db().get_database_backend();
        let backup = Statement::from_sql_and_values(backend, "VACUUM INTO ?", [path.into()]);
        self.database.db().execute_raw(backup).await?;
        Ok(())
    }

    /// Returns facts about the database.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn diagnostics(&self) -> Result<Diagnostics, DbErr> {
        let backend = self.database.db().get_database_backend();
        let (name, query) = match backend {
            DbBackend::Sqlite => ("SQLite", "SELECT sqlite_version() AS version"),
            _ => (
                "PostgreSQL",
                "SELECT current_setting('server_version') AS version, clock_timestamp() AS now, pg_is_in_recovery() AS is_standby",
            ),
        };
        let query = Statement::from_string(backend, query);
        let row = self
            .database
            .with_timeout(self.database.db().query_one_raw(query))
            .await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("no answer to SELECT".to_owned()))?;
        let version: String = row.try_get("", "version")?;
        let (now, is_standby) = match backend {
            DbBackend::Sqlite => (None, false),
            _ => (
                Some(row.try_get("", "now")?),
                row.try_get("", "is_standby")?,
            ),
        };
        Ok(Diagnostics {
            version: format!("{name} {version}"),
            now,
            is_standby,
        })
    }
}
