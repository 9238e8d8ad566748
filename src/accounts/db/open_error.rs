//! Errors of opening a database.

use std::{borrow::Cow, path::PathBuf};

use sea_orm::DbErr;

use super::error::operator_hint;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The scheme of the URL is not supported. The message omits the URL, which may contain a password.
    #[error("the scheme of the URL is neither sqlite: nor postgres:")]
    Scheme,
    /// The URL is invalid.
    #[error("the URL is invalid")]
    Url,
    /// The URL names several hosts. libpq accepts this, but sqlx does not.
    #[error("several hosts in one URL are not supported")]
    SeveralHosts,
    /// The database does not store text as UTF-8.
    #[error("the database {name} has the encoding {encoding}, and emails need UTF-8")]
    Encoding {
        /// The name of the database.
        name: String,
        /// The encoding, as PostgreSQL names it.
        encoding: String,
        /// The command that creates a database with UTF-8.
        command: String,
    },
    /// SQLite would parse the path as a URL with options.
    #[error("file: URLs are not supported")]
    FileUrl,
    /// The path begins with a `~` that the shell did not expand.
    #[error("`~` is not expanded in sqlite:PATH")]
    Tilde,
    /// The file or its folder could not be created.
    #[error("cannot create {}: {source}", path.display())]
    Make {
        /// The file or the folder.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The connection failed.
    #[error("cannot open {what}: {source}")]
    Connect {
        /// The description of the database.
        what: String,
        /// The error of the driver.
        source: DbErr,
    },
}

impl OpenError {
    /// Returns how an operator can fix the cause, if the cause is known.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            Self::Scheme => {
                "use sqlite:PATH, such as sqlite:data/signet.db, or postgres://USER@HOST/DATABASE"
            }
            Self::Url => {
                "in the password, write / as %2F, @ as %40, # as %23, ? as %3F and % as %25; a Unix socket has no host, as in \
                 postgres:///DATABASE?host=/run/postgresql&user=USER"
            }
            Self::SeveralHosts => {
                "use one host that leads to the primary, such as a virtual address, HAProxy or PgBouncer"
            }
            Self::Encoding { command, .. } => {
                return Some(
                    format!("run `{command}`, and use the new database in the URL").into(),
                );
            }
            Self::FileUrl => "use the path itself, such as sqlite:data/signet.db",
            Self::Tilde => {
                "use the absolute path, such as sqlite:/home/you/signet.db, or sqlite:./~ for a name that begins with `~`"
            }
            Self::Make { .. } => {
                "create the folder with write permission for this user, or use another path"
            }
            Self::Connect { source, .. } => operator_hint(source)?,
        };
        Some(hint.into())
    }
}
